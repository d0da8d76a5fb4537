//! The service over HTTP in process, with a real database (SQLite, and PostgreSQL where one is given), the memory
//! transport, a clock that is moved by hand, and an authenticator that believes what a token says.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod applications;
mod candidates;
mod contract;
mod fixture;
mod hiring;
mod interviews;
mod learned;
mod postings;
