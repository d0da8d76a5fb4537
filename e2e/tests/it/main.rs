//! TechLeet as a stranger meets it: one request all the way through, restarts, kill -9, and what a start refuses.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod background;
mod compose;
mod copies;
mod docker;
mod example;
mod failpoints;
mod kafka_faults;
mod kill;
mod nestjs;
mod operator;
mod outages;
mod postgres_faults;
mod production;
mod rebuild;
mod secured;
mod slice;
mod start;
mod story;
mod topics;
mod transport;
mod walk;
