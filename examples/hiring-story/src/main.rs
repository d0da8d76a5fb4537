//! Tells the hiring story to a running system, one step after the other, and prints what each step makes happen.
//!
//! Start the system with `techleet up`, then `cargo run -p hiring-story`. The program talks HTTP to the three services
//! and reads the topics as any Kafka client does; it knows nothing else of them. Read `story.rs` from top to bottom: it
//! is the story. `watch.rs` prints events as they come.

mod story;
mod watch;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use demo::{Addresses, check};
use eventkit::Clock;
use eventkit::transport::kafka::KafkaConfig;

/// How long after the story's end its last events may take to be on their topics.
const ARRIVE_MAX: Duration = Duration::from_secs(60);

/// Tell the hiring story to a running system, and print the events that it makes.
#[derive(Debug, Parser)]
#[command(after_help = "Start the system first:  cargo run --release -- up")]
struct Args {
    /// Where the user-service is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3001")]
    users: String,
    /// Where the company-service is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3002")]
    companies: String,
    /// Where the recruitment-service is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3003")]
    recruitment: String,
    /// A Kafka broker.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// The file with the operator's token, which `techleet up` writes into its data directory.
    #[arg(long, value_name = "FILE", default_value = "data/operator.token")]
    operator_token: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let token = std::fs::read_to_string(&args.operator_token)
        .with_context(|| format!("no operator's token in {}", args.operator_token.display()))?;
    let addresses = Addresses { users: args.users, companies: args.companies, recruitment: args.recruitment };
    let kafka = KafkaConfig { brokers: args.brokers, ..KafkaConfig::default() };
    let began_ms = Clock::system().now_ms();

    let ledger = story::tell(addresses, &kafka, token.trim(), began_ms).await?;

    // Every event was seen once as it came. Now all of them together: each key's events, in their order.
    let found = check::look(&kafka, began_ms, &ledger, ARRIVE_MAX).await?;
    let differences = found.differences(&ledger);
    ensure!(differences.is_empty(), "not as it should be:\n{}", differences.join("\n"));
    say(&format!("\nAll {} events are on their topics, each key's in their order.", ledger.events()));
    Ok(())
}

/// Prints a line. Whoever reads may have left: that does not end the story.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
