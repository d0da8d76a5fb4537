//! The hiring story over HTTP and Kafka, at any size, and the proof that all of it arrived.
//!
//! Companies with departments and positions come into being; employees are taken on, moved, log in; jobs are posted;
//! candidates apply, are reviewed, hired, rejected, or withdraw; who was hired becomes an employee; managers log out
//! and somebody is removed. Everything is asked for with stable `Idempotency-Key`s and tried again when a service is
//! away, so that the story also passes while parts of the system are killed.
//!
//! Nobody can log in afterwards as anybody of the story: its password is made for the run and kept nowhere.
//!
//! # Map
//! - [`plan`]: how large the story is; `people`: names and texts.
//! - [`Client`]: requests that are safe to repeat; [`Invitations`]: links that only events tell.
//! - `door`: how people get in; `administrator`: who does most of it, and leaves with the story.
//! - [`story`]: the story itself; `hiring`: jobs and applications.
//! - [`ledger`]: what must be on the topics afterwards; [`check`]: whether it is.

mod administrator;
pub mod check;
mod client;
mod door;
mod error;
mod hiring;
mod invitations;
pub mod ledger;
mod people;
pub mod plan;
pub mod story;
#[cfg(test)]
mod testing;

pub use administrator::Left;
pub use client::{Addresses, Answer, Client};
pub use door::random_password;
pub use error::Error;
pub use invitations::Invitations;
pub use plan::Plan;
pub use story::{Progress, Story, log_in_without_roles, tell, tell_until};
