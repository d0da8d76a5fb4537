//! The user-service over HTTP, in process: every test runs on SQLite, and on PostgreSQL where there is one; what concerns
//! sessions also with Redis where there is one.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod contract;
mod employees;
mod entrance;
mod fixture;
mod hiring;
mod redis;
mod roles;
mod sessions;
