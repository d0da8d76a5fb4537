//! `cargo xtask`: what the repository needs done to itself, written in the language everybody here
//! has installed.

mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this repository
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Write docs/asyncapi.json, the description of every topic and event, anew
    Asyncapi,
    /// Check the rules that neither the compiler nor clippy knows
    Tidy {
        /// Write generated files anew instead of reporting stale ones
        #[arg(long)]
        write: bool,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().task {
        Task::Asyncapi => tidy::write_asyncapi(),
        Task::Tidy { write } => tidy::run(write),
    }
}
