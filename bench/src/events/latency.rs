//! How long an event takes from its commit until a reader of its topic has it, on the embedded broker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use e2e::system::{BROKER, Layout, System};
use eventkit::Origin;
use eventkit::relay::{self, RelayConfig};
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, KafkaTransport, Start, TopicSpec, ensure_topics};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{SERVICE, Store, TOPIC, account};
use crate::report::Rows;
use crate::summary::percentile;

const PARTITIONS: i32 = 3;
const STOP_MAX: Duration = Duration::from_secs(5);
/// How long the reader waits for the next event.
const READ_MAX: Duration = Duration::from_secs(30);

/// How long it took, on each database.
#[derive(Debug, Serialize)]
pub(crate) struct Latencies {
    rate: u32,
    seconds: u32,
    databases: Vec<Latency>,
}

#[derive(Debug, Serialize)]
struct Latency {
    database: &'static str,
    events: usize,
    events_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Commits `rate` units of work a second, each with one event, whether those before are done or not.
pub(crate) async fn measure(rate: u32, seconds: u32) -> anyhow::Result<Latencies> {
    let mut databases = Vec::new();
    for store in Store::both().await? {
        let folder = tempfile::tempdir()?;
        let mut system = System::prepare(Layout::Apart, folder.path(), &[]).await?;
        system.start_process(BROKER).await?;
        databases.push(measure_on(&store, &system.broker(), rate, seconds).await?);
        store.publisher.db().close().await;
        system.stop().await?;
    }
    Ok(Latencies { rate, seconds, databases })
}

async fn measure_on(store: &Store, broker: &str, rate: u32, seconds: u32) -> anyhow::Result<Latency> {
    let config = KafkaConfig { brokers: broker.to_owned(), ..KafkaConfig::default() };
    let topic = TopicSpec { name: TOPIC.to_owned(), partitions: PARTITIONS, settings: std::iter::empty().collect() };
    ensure_topics(&config, &[topic]).await?;
    let transport = Arc::new(KafkaTransport::new(config.clone())?);
    let relay = relay::start(RelayConfig::new(SERVICE, SERVICE), store.publisher.clone(), transport);
    let events = usize::try_from(rate * seconds)?;
    let (tell, is_warm) = oneshot::channel();
    let reader = tokio::task::spawn_blocking(move || read(&config, events + 1, tell));
    // Once one event has come through, the relay and the reader have their connections.
    let mut work = store.publisher.begin(Origin::default());
    work.publish(&account(rate * seconds)).await?;
    work.commit().await?;
    is_warm.await.context("the first event did not come")?;

    let committed = Arc::new(Mutex::new(Vec::with_capacity(events)));
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut units: JoinSet<eventkit::Result<()>> = JoinSet::new();
    for number in 0..rate * seconds {
        ticks.tick().await;
        let (publisher, committed) = (store.publisher.clone(), committed.clone());
        units.spawn(async move {
            let mut work = publisher.begin(Origin::default());
            let event_id = work.publish(&account(number)).await?;
            work.commit().await?;
            committed.lock().expect("nobody panics while holding it").push((event_id, Instant::now()));
            Ok(())
        });
    }
    while let Some(unit) = units.join_next().await {
        unit??;
    }
    let events_per_second = f64::from(rate * seconds) / began.elapsed().as_secs_f64();
    let seen = reader.await??;
    relay.stop(STOP_MAX).await;

    let seen: std::collections::HashMap<String, Instant> = seen.into_iter().collect();
    let committed = std::mem::take(&mut *committed.lock().expect("nobody panics while holding it"));
    let waits = committed.iter().map(|(id, committed)| {
        let seen = seen.get(id).with_context(|| format!("event {id} is not on its topic"))?;
        // The relay may be faster than the task that committed.
        Ok(seen.saturating_duration_since(*committed).as_secs_f64() * 1000.0)
    });
    let mut waits = waits.collect::<anyhow::Result<Vec<f64>>>()?;
    waits.sort_by(f64::total_cmp);
    let ms = |percent| percentile(&waits, percent).context("no event was committed");
    Ok(Latency { database: store.name, events, events_per_second, p50_ms: ms(50)?, p99_ms: ms(99)? })
}

/// When each event was there, by its id; tells of the first.
fn read(config: &KafkaConfig, events: usize, tell: oneshot::Sender<()>) -> anyhow::Result<Vec<(String, Instant)>> {
    let reader = KafkaReader::open(config, TOPIC, None, Start::Beginning)?;
    let (mut seen, mut tell) = (Vec::with_capacity(events), Some(tell));
    while seen.len() < events {
        let record = reader.next(READ_MAX)?.with_context(|| format!("{} of {events} events came", seen.len()))?;
        let id = record.record.header("ce_id").context("an event has its id in a header")?;
        seen.push((id.to_owned(), Instant::now()));
        // Whoever does not listen any more has failed, and says why.
        let _ = tell.take().map(|tell| tell.send(()));
    }
    Ok(seen)
}

impl Rows for Latencies {
    fn headings(&self) -> Vec<&'static str> {
        vec!["from commit to topic", "events", "commits/s", "p50, ms", "p99, ms"]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |latency: &Latency| {
            vec![
                latency.database.to_owned(),
                latency.events.to_string(),
                format!("{:.0}", latency.events_per_second),
                format!("{:.2}", latency.p50_ms),
                format!("{:.2}", latency.p99_ms),
            ]
        };
        self.databases.iter().map(row).collect()
    }
}
