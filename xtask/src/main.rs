//! `cargo xtask`: what the repository needs done to itself, written in the language everybody here
//! has installed.

mod clock;
mod compat;
mod machine;
mod matrix;
mod record;
mod soak;
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
    /// Run the Kafka clients of compat/ against the embedded broker and Apache Kafka
    Compat(compat::Options),
    /// Run the suites on every broker, database and place of sessions, and add what was found to docs/matrix.md
    Matrix(matrix::Options),
    /// Kill for long, and add what was found to docs/soak.md: while the hiring story is told, if nothing else is said
    Soak {
        /// Kills in each layout of the system: everything in one process, every part in its own
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        kills: u32,
        /// Kill this often in each layout while requests come in instead
        #[arg(long, conflicts_with = "kills", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        load_kills: Option<u32>,
        /// Go through every failpoint this often instead
        #[arg(long, conflicts_with_all = ["kills", "load_kills"], value_parser = clap::value_parser!(u32).range(1..=10_000))]
        failpoints: Option<u32>,
        /// Take the broker, the databases, the disk and the right time away in turn instead
        #[arg(long, conflicts_with_all = ["kills", "load_kills", "failpoints"])]
        outages: bool,
        /// Seconds for which the broker is away then
        #[arg(long, requires = "outages", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
        away: u32,
        /// Kill the embedded broker this often under everything that clients do with it instead
        #[arg(
            long,
            conflicts_with_all = ["kills", "load_kills", "failpoints", "outages"],
            value_parser = clap::value_parser!(u32).range(1..=100_000),
        )]
        broker_kills: Option<u32>,
        /// Have the broker's power fail, its disk fail and its bits flip at every place, where tests take a sample
        #[arg(long, conflicts_with_all = ["kills", "load_kills", "failpoints", "outages", "broker_kills"])]
        broker_places: bool,
    },
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
        Task::Compat(options) => compat::run(&options),
        Task::Matrix(options) => matrix::run(&options),
        Task::Soak { broker_places: true, .. } => soak::run(soak::Mode::BrokerPlaces),
        Task::Soak { broker_kills: Some(kills), .. } => soak::run(soak::Mode::BrokerKills { kills }),
        Task::Soak { outages: true, away, .. } => soak::run(soak::Mode::Outages { away }),
        Task::Soak { failpoints: Some(rounds), .. } => soak::run(soak::Mode::Failpoints { rounds }),
        Task::Soak { load_kills: Some(kills), .. } => soak::run(soak::Mode::LoadKills { kills }),
        Task::Soak { kills, .. } => soak::run(soak::Mode::Kills { kills }),
        Task::Tidy { write } => tidy::run(write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outages(args: &[&str]) -> Result<Option<u32>, clap::Error> {
        let cli = Cli::try_parse_from([&["cargo xtask", "soak"], args].concat())?;
        let Task::Soak { outages, away, .. } = cli.task else { panic!("{cli:?}") };
        Ok(outages.then_some(away))
    }

    #[test]
    fn outages_last_a_minute_or_as_long_as_is_said() {
        assert_eq!(outages(&[]).unwrap(), None);
        assert_eq!(outages(&["--outages"]).unwrap(), Some(60));
        assert_eq!(outages(&["--outages", "--away", "300"]).unwrap(), Some(300));
        for refused in [&["--away", "300"][..], &["--outages", "--kills", "7"], &["--outages", "--broker-places"]] {
            assert!(outages(refused).is_err(), "{refused:?}");
        }
    }
}
