//! What the macros generate, run against a stand-in for `eventkit`: the macros must not depend on
//! the library that depends on them.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

extern crate self as eventkit;

mod derive_event;
pub mod event;
mod mistakes;
pub mod publish;
mod publish_event;

pub use event::Event;
pub use publish::Error;
