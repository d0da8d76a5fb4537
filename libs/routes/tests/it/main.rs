//! Tests of routes as files.

mod cases;
