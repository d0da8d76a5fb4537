//! What comes out of a router, and when: read while it works, looked into when it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::JoinHandle;

use super::job::{AUDITS, DEAD, NOTIFICATIONS, Outputs, PARTITIONS};
use crate::process;

/// How long nothing may come out.
const READ_MAX: Duration = Duration::from_secs(60);
/// What comes before this part of everything is not steady yet: Java compiles, groups are joined.
const WARM_UP: u32 = 10;

const OUT: [&str; 3] = [NOTIFICATIONS, AUDITS, DEAD];

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) outputs: Outputs,
    pub(super) first: Instant,
    /// Records after the first part, how long they took and what they cost the router.
    pub(super) steady_outputs: u32,
    pub(super) steady: Duration,
    pub(super) steady_cpu_seconds: f64,
}

/// Somebody who reads.
#[derive(Debug)]
pub(super) struct Watching {
    process_id: Arc<AtomicU32>,
    reading: JoinHandle<anyhow::Result<Seen>>,
}

impl Watching {
    /// Reads so many records in a thread of its own.
    pub(super) fn start(brokers: &str, wanted: u32) -> anyhow::Result<Self> {
        let consumer = consumer(brokers, Offset::Beginning)?;
        let process_id = Arc::new(AtomicU32::new(0));
        let watched = Arc::clone(&process_id);
        let reading = tokio::task::spawn_blocking(move || read(&consumer, wanted, &watched));
        Ok(Self { process_id, reading })
    }

    /// Tells whose processor time counts.
    pub(super) fn follow(&self, process_id: u32) {
        self.process_id.store(process_id, Ordering::Release);
    }

    /// Waits until all is there.
    pub(super) async fn seen(self) -> anyhow::Result<Seen> {
        self.reading.await?
    }
}

/// A record as it came: what it says is looked into later.
struct Raw {
    topic: usize,
    key: Vec<u8>,
    value: Vec<u8>,
}

fn read(consumer: &BaseConsumer, wanted: u32, process_id: &AtomicU32) -> anyhow::Result<Seen> {
    let warm_up = wanted / WARM_UP;
    let (mut first, mut steady) = (None, None);
    let mut records = Vec::with_capacity(usize::try_from(wanted)?);
    while records.len() < usize::try_from(wanted)? {
        let message = consumer
            .poll(READ_MAX)
            .with_context(|| format!("{} of {wanted} records came, then none for {READ_MAX:?}", records.len()))??;
        let now = Instant::now();
        first.get_or_insert(now);
        let topic = OUT.iter().position(|topic| *topic == message.topic()).context("a record of another topic")?;
        let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
        records.push(Raw { topic, key: bytes(message.key()), value: bytes(message.payload()) });
        let is_warm = records.len() > usize::try_from(warm_up)?;
        let process_id = process_id.load(Ordering::Acquire);
        if steady.is_none() && is_warm && process_id != 0 {
            steady = Some((now, records.len(), process::cpu_seconds(process_id)?));
        }
    }
    let (began, before, cpu_before) = steady.context("everything came before the router was known")?;
    let cpu = process::cpu_seconds(process_id.load(Ordering::Acquire))? - cpu_before;
    let took = began.elapsed();
    ensure!(cpu > 0.0, "too few events: the router took no time that can be measured");
    let steady_outputs = wanted - u32::try_from(before)?;
    let mut outputs = Outputs::default();
    for raw in &records {
        outputs.add(OUT[raw.topic], &raw.key, &raw.value);
    }
    let first = first.context("no record came")?;
    Ok(Seen { outputs, first, steady_outputs, steady: took, steady_cpu_seconds: cpu })
}

/// How many records there are beyond those that were wanted.
pub(super) fn more(brokers: &str, wanted: u32) -> anyhow::Result<i64> {
    let consumer = consumer(brokers, Offset::End)?;
    let mut count = 0;
    for topic in OUT {
        for partition in 0..PARTITIONS {
            count += consumer.fetch_watermarks(topic, partition, READ_MAX)?.1;
        }
    }
    Ok(count - i64::from(wanted))
}

fn consumer(brokers: &str, from: Offset) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "20")
        .set("fetch.queue.backoff.ms", "1")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for topic in OUT {
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(topic, partition, from)?;
        }
    }
    consumer.assign(&assignment)?;
    Ok(consumer)
}
