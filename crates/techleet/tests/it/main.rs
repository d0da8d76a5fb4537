//! The program's commands, run as processes against an embedded broker.

mod commands;
mod help;
mod kafka_tools;
mod support;
