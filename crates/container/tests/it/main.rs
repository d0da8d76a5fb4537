//! The container over the memory transport: rules, mail, gateways, preferences, its HTTP API.

mod api;
mod gateway;
mod mail;
mod rules;
mod samples;
mod support;
