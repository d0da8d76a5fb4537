//! What the company-service can refuse or fail at: nothing that other services do not.

pub use chassis::EntityError as Error;
