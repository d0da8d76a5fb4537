//! A harness for the real program: start it on free ports, talk to it, kill it, start it again.
//!
//! # Map
//! - [`program`]: building and running `techleet`; [`backbone`]: a whole one in one process.
//! - [`mailbox`]: what was mailed.

pub mod backbone;
pub mod mailbox;
pub mod program;

pub use backbone::Backbone;
