//! A harness for the real program: start it on free ports, talk to it, kill it, start it again.
//!
//! # Map
//! - [`program`]: building and running `techleet`; [`backbone`]: a whole one in one process.
//! - [`system`]: one process or many, killed and started again on the same ports; [`balancer`]: what stands before copies.
//! - [`end_state`]: whether everything that follows from the hiring story is there; [`wire`]: on the topics, record by
//!   record; [`mails`]: in the [`mailbox`]; [`trail`]: in the audit trail; [`gateway`]: what was sent as text messages
//!   and push notices.
//! - [`slow_proxy`]: a slow way to a server; [`small_disk`]: a disk that can be filled; [`wall_clock`]: a clock that can be
//!   set forth and back.
//! - [`load`]: requests while things are broken; [`promises`]: whether what was answered came true.
//! - [`shell`]: commands as a reader pastes them; [`openapi`]: the parts' descriptions of their own APIs.
//! - [`infrastructure`]: real Kafka, Redis and PostgreSQL; [`ground`]: which of them a run stands on.
//! - [`nestjs`]: the service of `examples/nestjs-service`, which shares nothing with ours but the wire.
//! - [`stage`]: how long a test that tells stories may take; [`soak`]: how long the tests that kill go on.

pub mod backbone;
pub mod balancer;
pub mod end_state;
pub mod gateway;
pub mod ground;
pub mod infrastructure;
pub mod load;
pub mod mailbox;
pub mod mails;
pub mod nestjs;
pub mod openapi;
pub mod program;
pub mod promises;
pub mod shell;
pub mod slow_proxy;
pub mod small_disk;
pub mod soak;
pub mod stage;
pub mod system;
pub mod trail;
pub mod wall_clock;
pub mod wire;

pub use backbone::Backbone;
