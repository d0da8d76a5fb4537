//! TechLeet as a stranger meets it: one request all the way through, restarts, kill -9, and what a start refuses.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod audit;
mod background;
mod compose;
mod copies;
mod demo_command;
mod docker;
mod example;
mod failpoints;
mod full_disk;
mod handlers;
mod kafka_faults;
mod kill;
mod nestjs;
mod operator;
mod outages;
mod packages;
mod postgres_faults;
mod production;
mod promises;
mod rebuild;
mod refused;
mod routes;
mod routes_killed;
mod secured;
mod slice;
mod stalled;
mod start;
mod story;
mod story_by_hand;
mod topics;
mod transport;
mod walk;
