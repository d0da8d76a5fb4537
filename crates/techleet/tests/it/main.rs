//! The program's commands, run as processes against an embedded broker.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod commands;
mod config;
mod consume;
mod doctor;
mod group_id;
mod help;
mod kafka_tools;
mod operations;
mod route_files;
mod running;
mod support;
