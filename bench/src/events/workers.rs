//! How much sooner many workers are done with one partition whose keys must stay in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Record, Transport, partition_of};
use eventkit::{Consumer, Effect, Envelope, HandlerResult, Received};
use serde::Serialize;

use super::{AccountOpened, LOOK_EVERY, Store, TOPIC};
use crate::report::Rows;

/// Partitions of a topic in memory; only the first one is used.
const PARTITIONS: i32 = 3;
/// Work takes 0 to 5 ms, in turn.
const WORK_MS: u32 = 6;
const PUBLISHED_AT_ONCE: usize = 1_000;

/// How long it took.
#[derive(Debug, Serialize)]
pub(crate) struct Worked {
    messages: u32,
    keys: usize,
    workers: usize,
    seconds: f64,
    /// All work one after the other would take this long, if sleeping were exact.
    serial_seconds: f64,
}

/// Works for as many milliseconds as the account's owner says.
struct Work(Arc<AtomicU32>);

impl Effect<AccountOpened> for Work {
    async fn perform(&self, received: &Received<AccountOpened>) -> HandlerResult {
        let ms = received.event.owner.parse().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Lets `workers` handle `messages` of `keys` on one partition.
pub(crate) async fn measure(messages: u32, keys: usize, workers: usize) -> anyhow::Result<Worked> {
    let store = Store::sqlite().await?;
    let transport = Arc::new(MemoryTransport::new());
    let on_first = |account: &i64| partition_of(format!("account-{account}").as_bytes(), PARTITIONS) == 0;
    let accounts: Vec<i64> = (1..).filter(on_first).take(keys).collect();
    let records = (0..messages).zip(accounts.iter().cycle()).map(|(number, account)| record(number, *account));
    let records = records.collect::<anyhow::Result<Vec<_>>>()?;
    for some in records.chunks(PUBLISHED_AT_ONCE) {
        transport.publish(some.to_vec()).await?;
    }

    let done = Arc::new(AtomicU32::new(0));
    let consumer = Consumer::new("workers").effect::<AccountOpened>(Work(done.clone())).concurrency(workers);
    let began = Instant::now();
    let running = consumer.start(store.publisher.clone(), transport);
    while done.load(Ordering::Relaxed) < messages {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    running.stop().await;
    store.publisher.db().close().await;
    let serial_ms: u32 = (0..messages).map(|number| number % WORK_MS).sum();
    Ok(Worked { messages, keys, workers, seconds, serial_seconds: f64::from(serial_ms) / 1000.0 })
}

fn record(number: u32, account_id: i64) -> anyhow::Result<Record> {
    let mut envelope = Envelope::of(&AccountOpened { account_id, owner: (number % WORK_MS).to_string() })?;
    envelope.event_id = Some(format!("message-{number}"));
    Ok(Record {
        topic: TOPIC.to_owned(),
        key: Some(Bytes::from(format!("account-{account_id}"))),
        value: Some(Bytes::from(envelope.write()?)),
        headers: Vec::new(),
        timestamp_ms: None,
    })
}

impl Rows for Worked {
    fn headings(&self) -> Vec<&'static str> {
        vec!["one partition, in order per key", ""]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let rows = [
            ("messages", self.messages.to_string()),
            ("keys", self.keys.to_string()),
            ("workers", self.workers.to_string()),
            ("seconds", format!("{:.2}", self.seconds)),
            ("seconds of work", format!("{:.2}", self.serial_seconds)),
        ];
        rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }
}
