//! eventkit's promises, over the memory transport and SQLite (and PostgreSQL where there is one).
#![allow(clippy::unwrap_used, missing_debug_implementations, reason = "tests may panic, and print nothing")]

mod ahead;
mod batch;
mod broken_transports;
mod consumer;
mod consumer_faults;
// the points at which it is killed are there in debug builds
#[cfg(debug_assertions)]
mod crashes;
mod doors;
mod faults;
mod fixture;
mod handover;
mod held;
mod layer;
mod macros;
mod metrics;
mod outbox;
mod parking;
mod postgres;
mod rebuild;
mod redrive;
mod relay;
mod replay;
mod stopped;
mod suites;
mod support;
mod trace;
mod transport;
