//! How fast and how large the real program is: numbers for `docs/benchmarks.md`, and no judgement of them.

mod answers;
mod backlog;
mod broker;
mod create_users;
mod events;
mod load;
mod peer;
mod process;
mod report;
mod routes;
mod start;
mod summary;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use e2e::program;

use events::{compare, consume, latency, relay, transport, workers};
use load::Load;
use report::Format;

/// Measures the release build of techleet
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    /// Measure this program instead of building one
    #[arg(long, global = true, value_name = "PATH")]
    program: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    measurement: Measurement,
}

/// The measurements of `bench eventkit`, as `docs/benchmarks.md` says how to run each.
const EVENTKIT: [&str; 8] = [
    "create-users --connections 32 --seconds 10 --rounds 3",
    "latency --rate 1000 --seconds 10",
    "relay --events 1000000",
    "consume --events 200000",
    "consume-peer --events 200000 --rounds 3",
    "transport --events 500000 --rounds 3",
    "backlog --events 1000000",
    "workers --messages 10000 --keys 100 --workers 100",
];

#[derive(Debug, Subcommand)]
enum Measurement {
    /// All that is told of eventkit, one after the other: create-users, latency, relay, consume, consume-peer, transport,
    /// backlog and workers
    Eventkit,
    /// How long `techleet up` takes to be ready, and how much memory it then holds
    Start {
        /// Starts on an empty data directory, and as many on a used one
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
        rounds: u16,
        /// Employees in a used data directory
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        users: u32,
    },
    /// How many employees it creates over HTTP and what that costs, in turn with the NestJS service of examples/
    CreateUsers {
        /// Kept-alive connections, each with one request at a time
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
        connections: u16,
        /// How long is measured, after a second that is not
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
        seconds: u16,
        /// How often each is measured, one after the other
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
        rounds: u16,
        /// Measure `techleet up` once and nothing else
        #[arg(long, conflicts_with = "rounds")]
        alone: bool,
    },
    /// How fast a relay works off a backlog, and whether a larger one makes an event dearer
    Relay {
        /// Events of the largest backlog; smaller ones are its tenth, hundredth and so on, down to 10,000
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        events: u32,
    },
    /// How fast a consumer handles events with inbox row and effect
    Consume {
        /// Events that are handled
        #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        events: u32,
    },
    /// The same from the embedded broker, in turn with a KafkaJS consumer that keeps an inbox
    ConsumePeer {
        /// Events on the topic
        #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        events: u32,
        /// How often each is measured, one after the other
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
        rounds: u16,
    },
    /// How long an event takes from its commit until a reader of its topic has it
    Latency {
        /// Commits a second, one event each
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        /// How long
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
        seconds: u32,
    },
    /// What eventkit costs above librdkafka alone: the same events published and read, without a database
    Transport {
        /// Events published and read in one pass
        #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
        events: u32,
        /// Passes of each, in turn
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
        rounds: u16,
    },
    /// Start the user-service on a backlog of events: how soon it is ready, how fast it works it off, how long new
    /// events wait meanwhile
    Backlog {
        /// Events that are stored and not published when it starts
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
        events: u32,
    },
    /// How long many workers take for messages of 0 to 5 ms on one partition, in order per key
    Workers {
        /// Messages on the partition
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        messages: u32,
        /// Keys that they are spread over
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        keys: u16,
        /// Workers of the consumer
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        workers: u16,
    },
    /// What the broker does and costs, in turn with Apache Kafka 4: as it comes, and with a sync per batch
    Broker(broker::Options),
    /// The routing job on the container, in turn with Apache Camel and Benthos; how soon a changed file counts, and what
    /// idle routes cost
    Routes(routes::Options),
}

impl Measurement {
    /// The others measure eventkit in this process.
    fn runs_program(&self) -> bool {
        !matches!(self, Self::Relay { .. } | Self::Consume { .. } | Self::Workers { .. })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if cli.measurement.runs_program() {
        let program = match cli.program {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None => program::build(true)?,
        };
        program::choose(program)?;
    }
    measure(cli.measurement, cli.format).await
}

async fn measure(measurement: Measurement, format: Format) -> anyhow::Result<()> {
    match measurement {
        Measurement::Eventkit => Box::pin(measure_eventkit(format)).await,
        Measurement::Start { rounds, users } => report::print(format, &start::measure(rounds, users).await?),
        Measurement::CreateUsers { connections, seconds, alone: true, .. } => {
            report::print(format, &create_users::measure(Load { connections, seconds }).await?)
        }
        Measurement::CreateUsers { connections, seconds, rounds, .. } => {
            report::print(format, &peer::compare(Load { connections, seconds }, rounds).await?)
        }
        Measurement::Relay { events } => report::print(format, &relay::measure(events).await?),
        Measurement::Consume { events } => report::print(format, &consume::measure(events).await?),
        Measurement::Transport { events, rounds } => report::print(format, &transport::measure(events, rounds).await?),
        Measurement::Backlog { events } => report::print(format, &backlog::measure(events).await?),
        Measurement::ConsumePeer { events, rounds } => report::print(format, &compare::measure(events, rounds).await?),
        Measurement::Latency { rate, seconds } => report::print(format, &latency::measure(rate, seconds).await?),
        Measurement::Broker(options) => broker::run(options, format).await,
        Measurement::Routes(options) => routes::run(options, format).await,
        Measurement::Workers { messages, keys, workers } => {
            report::print(format, &workers::measure(messages, keys.into(), workers.into()).await?)
        }
    }
}

/// Measures one after the other; what fails is told of, and the others go on.
async fn measure_eventkit(format: Format) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for line in EVENTKIT {
        report::title(format, line)?;
        let cli = Cli::try_parse_from(["bench"].into_iter().chain(line.split(' ')))?;
        if let Err(error) = measure(cli.measurement, format).await {
            peer::say(&format!("failed: {line}: {error:#}"))?;
            failed.push(line);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_measures_eventkit_is_what_the_page_says_of_each() {
        let page = include_str!("../../docs/benchmarks.md");
        for line in EVENTKIT {
            assert!(page.contains(&format!("cargo run --release -p bench -- {line}\n")), "{line}");
            Cli::try_parse_from(["bench"].into_iter().chain(line.split(' '))).unwrap();
        }
    }
}
