//! The broker from outside: real clients, and raw frames where no client can be made to send what is wanted.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers of tests")]

mod admin;
mod changes;
mod compaction;
mod compression;
mod consumer_groups;
mod crash;
mod damage;
mod durability;
mod fetch_sessions;
mod fetching;
mod flushing;
mod forgetting;
mod groups;
mod hostile;
mod idempotence;
mod limits;
mod measures;
mod quotas;
mod retention;
mod rolling;
mod security;
mod soak;
mod support;
mod syncing;
mod timestamps;
mod topics;
mod transactions;
