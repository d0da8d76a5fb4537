//! A harness for the real program: start it on free ports, talk to it, kill it, start it again.
//!
//! # Map
//! - [`program`]: building and running `techleet`; [`backbone`]: a whole one in one process.
//! - [`system`]: one process or many, killed and started again on the same ports.
//! - [`end_state`]: whether everything that follows from the hiring story is there; [`mailbox`]: what was mailed.
//! - [`load`]: requests while things are broken; [`promises`]: whether what was answered came true.
//! - [`openapi`]: the parts' descriptions of their own APIs.
//! - [`infrastructure`]: real Kafka, Redis and PostgreSQL.
//! - [`soak`]: how long the tests that kill go on.

pub mod backbone;
pub mod end_state;
pub mod infrastructure;
pub mod load;
pub mod mailbox;
pub mod openapi;
pub mod program;
pub mod promises;
pub mod soak;
pub mod system;

pub use backbone::Backbone;
