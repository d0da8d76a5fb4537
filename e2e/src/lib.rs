//! A harness for the real program: start it on free ports, talk to it, kill it, start it again.
//!
//! # Map
//! - [`program`]: building and running `techleet`; [`backbone`]: a whole one in one process.
//! - [`system`]: one process or many, killed and started again on the same ports.
//! - [`end_state`]: whether everything that follows from the hiring story is there; [`mailbox`]: what was mailed.
//! - [`openapi`]: the parts' descriptions of their own APIs.
//! - [`infrastructure`]: real Kafka, Redis and PostgreSQL.
//! - [`nestjs`]: the service of `examples/nestjs-service`, which shares nothing with ours but the wire.
//! - [`soak`]: how long the tests that kill go on.

pub mod backbone;
pub mod end_state;
pub mod infrastructure;
pub mod mailbox;
pub mod nestjs;
pub mod openapi;
pub mod program;
pub mod soak;
pub mod system;

pub use backbone::Backbone;
