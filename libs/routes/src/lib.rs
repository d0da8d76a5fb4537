//! Runs routes that are written in Apache Camel's YAML DSL.
//!
//! # Map
//! - [`exchange`]: what travels through a route: body, headers, properties, variables, exception.
//! - [`language`]: how a text of an expression language becomes something that can be evaluated.

pub mod clock;
pub mod exchange;
pub mod language;

pub use clock::Clock;
