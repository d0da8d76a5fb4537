//! The company-service over HTTP, in process, on both databases.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod contract;
mod departments;
mod entities;
mod fixture;
mod head_count;
mod headquarters;
mod scopes;
mod start;
