//! eventkit's promises, over the memory transport and SQLite (and PostgreSQL where there is one).
#![allow(clippy::unwrap_used, missing_debug_implementations, reason = "tests may panic, and print nothing")]

mod batch;
mod consumer;
mod consumer_faults;
mod fixture;
mod layer;
mod macros;
mod outbox;
mod parking;
mod postgres;
mod redrive;
mod relay;
mod support;
mod transport;
