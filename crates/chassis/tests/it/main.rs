//! The crate as its users see it: configuration, problems, a server on a real socket, parts.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod auth;
mod config;
mod data_dir;
mod database;
mod extract;
mod http;
mod http_faults;
mod lifecycle;
mod net;
mod problem;
mod session_client;
mod signals;
mod support;
mod telemetry;
