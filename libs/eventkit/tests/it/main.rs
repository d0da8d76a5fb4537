//! eventkit's promises, over the memory transport and SQLite (and PostgreSQL where there is one).
#![allow(clippy::unwrap_used, missing_debug_implementations, reason = "tests may panic, and print nothing")]

mod consumer;
mod fixture;
mod layer;
mod macros;
mod outbox;
mod postgres;
mod redrive;
mod relay;
mod support;
mod transport;
