//! What the crate promises, checked from outside: one suite over both databases, and what is SQLite's alone.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod both;
mod crash;
mod migrations;
mod postgres;
mod sqlite;
mod support;
