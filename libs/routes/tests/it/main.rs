//! Tests of routes as files.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bounds;
mod cases;
mod depth;
mod faults;
mod groups;
mod guide;
mod idle;
mod kafka;
mod matrix;
mod order;
mod problems;
mod seen;
mod sources;
mod support;
mod swap;
mod transacted;
