//! The hiring story over HTTP and Kafka, at any size, and the proof that all of it arrived.
//!
//! Companies with departments and positions come into being; employees are taken on, moved, log in; jobs are posted;
//! candidates apply, are reviewed, hired, rejected, or withdraw; who was hired becomes an employee; managers log out
//! and somebody is removed. Everything is asked for with stable `Idempotency-Key`s and tried again when a service is
//! away, so that the story also passes while parts of the system are killed.
//!
//! # Map
//! - [`plan`]: how large the story is; `people`: names and texts.
//! - [`Client`]: requests that are safe to repeat; [`Invitations`]: links that only events tell.
//! - [`story`]: the story itself; `hiring`: jobs and applications.
//! - [`ledger`]: what must be on the topics afterwards; [`check`]: whether it is.

pub mod check;
mod client;
mod error;
mod hiring;
mod invitations;
pub mod ledger;
mod people;
pub mod plan;
pub mod story;

pub use client::{Addresses, Answer, Client};
pub use error::Error;
pub use invitations::Invitations;
pub use plan::Plan;
pub use story::{Progress, Story, log_in_without_roles, tell};
