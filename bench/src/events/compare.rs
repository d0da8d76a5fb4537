//! Events handled from the embedded broker with inbox row and effect, by eventkit and by KafkaJS in turn.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use e2e::nestjs;
use e2e::system::{BROKER, Layout, System};
use eventkit::Consumer;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport, TopicSpec, ensure_topics};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use super::consume::{BATCH_MAX, Count, wait_until_handled};
use super::{AccountOpened, LOOK_EVERY, Store, TOPIC, transport};
use crate::peer::say;
use crate::process;
use crate::report::Rows;
use crate::summary::Spread;

const PARTITIONS: i32 = 3;
/// Events that are handled with a transaction each.
const ALONE_MAX: u32 = 20_000;
/// How long a contender may take.
const DONE_MAX: Duration = Duration::from_secs(600);

/// Who handles events, and how many share a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Contender {
    KafkajsAlone,
    KafkajsBatch,
    EventkitAlone,
    EventkitShared,
    EventkitBatch,
}

const CONTENDERS: [(Contender, &str); 5] = [
    (Contender::KafkajsAlone, "KafkaJS, one by one"),
    (Contender::KafkajsBatch, "KafkaJS, batches"),
    (Contender::EventkitAlone, "eventkit, alone"),
    (Contender::EventkitShared, "eventkit, shared"),
    (Contender::EventkitBatch, "eventkit, batch"),
];

#[derive(Debug, Serialize)]
struct Run {
    database: &'static str,
    contender: Contender,
    events: u32,
    events_per_second: f64,
    /// Of the consumer's process, without that of broker and PostgreSQL.
    cpu_micros_per_event: f64,
}

/// All runs, in the order in which they were.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    rounds: u16,
    runs: Vec<Run>,
}

/// Lets each handle `events` from the same topic, `rounds` times on each database.
pub(crate) async fn measure(events: u32, rounds: u16) -> anyhow::Result<Compared> {
    let folder = tempfile::tempdir()?;
    let mut system = System::prepare(Layout::Apart, folder.path(), &[]).await?;
    system.start_process(BROKER).await?;
    let config = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let topic = TopicSpec { name: TOPIC.to_owned(), partitions: PARTITIONS, settings: [].into() };
    ensure_topics(&config, &[topic]).await?;
    transport::publish(&KafkaTransport::new(config.clone())?, TOPIC, events).await?;

    let peer = nestjs::build()?;
    if let Err(why) = &peer {
        say(&format!("left out: KafkaJS: {why}"))?;
    }
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for (contender, name) in CONTENDERS {
            for store in Store::both().await? {
                say(&format!("{}, round {round} of {rounds}: {name}", store.name))?;
                let group = format!("{contender:?}-{}-{round}", store.name);
                let transport = || KafkaTransport::new(config.clone()).map(Arc::new);
                let alone = ALONE_MAX.min(events);
                let run = match (contender, &peer) {
                    (Contender::KafkajsAlone | Contender::KafkajsBatch, Err(_)) => continue,
                    (Contender::KafkajsAlone, Ok(peer)) => theirs(peer, &config, &store, &group, "event", alone).await,
                    (Contender::KafkajsBatch, Ok(peer)) => theirs(peer, &config, &store, &group, "batch", events).await,
                    (Contender::EventkitAlone, _) => {
                        let count = Count::default();
                        let consumer = Consumer::new(&group).on::<AccountOpened>(count.clone());
                        ours(&store, &group, consumer, &count, transport()?, alone).await
                    }
                    (Contender::EventkitShared, _) => {
                        let count = Count::default();
                        let consumer = Consumer::new(&group).on::<AccountOpened>(count.clone());
                        let consumer = consumer.share_units().batch_max(BATCH_MAX);
                        ours(&store, &group, consumer, &count, transport()?, events).await
                    }
                    (Contender::EventkitBatch, _) => {
                        let count = Count::default();
                        let consumer = Consumer::new(&group).on_batch::<AccountOpened>(count.clone());
                        ours(&store, &group, consumer.batch_max(BATCH_MAX), &count, transport()?, events).await
                    }
                }?;
                let (events, events_per_second, cpu_micros_per_event) = run;
                runs.push(Run { database: store.name, contender, events, events_per_second, cpu_micros_per_event });
                store.publisher.db().close().await;
            }
        }
    }
    system.stop().await?;
    Ok(Compared { rounds, runs })
}

/// Events, events a second, and processor time of each in microseconds.
type Speed = (u32, f64, f64);

fn speed(events: u32, began: Instant, cpu_seconds: f64) -> Speed {
    (events, f64::from(events) / began.elapsed().as_secs_f64(), cpu_seconds * 1e6 / f64::from(events))
}

/// From the first event that is handled until the inbox has them all.
async fn ours(
    store: &Store,
    group: &str,
    consumer: Consumer,
    count: &Count,
    transport: Arc<KafkaTransport>,
    events: u32,
) -> anyhow::Result<Speed> {
    let running = consumer.start(store.publisher.clone(), transport);
    while count.handled() == 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (began, cpu_before) = (Instant::now(), process::cpu_seconds(std::process::id())?);
    wait_until_handled(store, group, count, events).await?;
    let speed = speed(events, began, process::cpu_seconds(std::process::id())? - cpu_before);
    running.stop().await;
    Ok(speed)
}

async fn theirs(
    built: &Path,
    config: &KafkaConfig,
    store: &Store,
    group: &str,
    transactions: &str,
    events: u32,
) -> anyhow::Result<Speed> {
    let mut child = Command::new("node")
        .arg(built.join("dist/consumer.js"))
        .env("KAFKA_BROKERS", &config.brokers)
        .env("KAFKA_GROUP_ID", group)
        .env("DATABASE_URL", &store.url)
        .env("TOPIC", TOPIC)
        .env("EVENTS", events.to_string())
        .env("TRANSACTIONS", transactions)
        .env("NODE_ENV", "production")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start node")?;
    let process_id = child.id().context("it ended at once")?;
    let mut lines = BufReader::new(child.stdout.take().context("a piped stdout")?).lines();
    wait_for(&mut lines, "begun").await?;
    let (began, cpu_before) = (Instant::now(), process::cpu_seconds(process_id)?);
    wait_for(&mut lines, "handled").await?;
    let speed = speed(events, began, process::cpu_seconds(process_id)? - cpu_before);
    child.kill().await?;
    Ok(speed)
}

async fn wait_for(lines: &mut Lines<BufReader<ChildStdout>>, begin: &str) -> anyhow::Result<()> {
    tokio::time::timeout(DONE_MAX, async {
        while let Some(line) = lines.next_line().await? {
            if line.starts_with(begin) {
                return Ok(());
            }
        }
        bail!("the KafkaJS consumer ended before it was done")
    })
    .await
    .context("the KafkaJS consumer takes too long")?
}

impl Rows for Compared {
    fn headings(&self) -> Vec<&'static str> {
        vec!["medians", "events", "events/s", "CPU µs per event"]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for database in ["SQLite", "PostgreSQL"] {
            for (contender, name) in CONTENDERS {
                let of_it = |run: &&Run| run.database == database && run.contender == contender;
                let median = |number: fn(&Run) -> f64| {
                    Spread::of(self.runs.iter().filter(of_it).map(number).collect()).map(|spread| spread.median)
                };
                let (Some(events), Some(speed), Some(cpu)) = (
                    self.runs.iter().find(of_it).map(|run| run.events),
                    median(|run| run.events_per_second),
                    median(|run| run.cpu_micros_per_event),
                ) else {
                    continue;
                };
                rows.push(vec![
                    format!("{database}: {name}"),
                    events.to_string(),
                    format!("{speed:.0}"),
                    format!("{cpu:.1}"),
                ]);
            }
        }
        rows
    }
}
