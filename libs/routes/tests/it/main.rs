//! Tests of routes as files.

mod cases;
mod faults;
mod matrix;
mod problems;
mod sources;
mod support;
