//! The container over the memory transport: rules, mail, gateways, preferences, its HTTP API.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod api;
mod deploy;
mod gateway;
mod http;
mod mail;
mod refusals;
mod rules;
mod samples;
mod schema;
mod seen;
mod state;
mod support;
mod web;
