//! What eventkit costs above the client that it uses: the same events, as the same JSON under the same headers, through
//! eventkit's transport and through librdkafka alone, without a database.

mod raw;

use std::time::{Duration, Instant};

use anyhow::Context;
use e2e::system::{BROKER, Layout, System};
use eventkit::outbox::StoredEvent;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport, TopicSpec, ensure_topics};
use eventkit::transport::{GroupStart, Incoming, Interest, Transport};
use eventkit::{Clock, Envelope, Event as _, Keyed as _, testing};
use serde::Serialize;
use uuid::Uuid;

use super::{AccountOpened, SERVICE, account};
use crate::process;
use crate::report::Rows;
use crate::summary::Spread;

const PARTITIONS: i32 = 3;
/// As many as a relay hands over at a time.
const BATCH: u32 = 1_000;
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Contender {
    Librdkafka,
    Eventkit,
}

/// One pass over all events.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    events_per_second: f64,
    /// Processor time of this process, all its threads; without that of the broker.
    cpu_micros_per_event: f64,
}

#[derive(Debug, Serialize)]
struct Run {
    contender: Contender,
    publish: Cost,
    consume: Cost,
}

/// All passes, in the order in which they were.
#[derive(Debug, Serialize)]
pub(crate) struct Costs {
    events: u32,
    rounds: u16,
    runs: Vec<Run>,
}

/// Publishes and reads `events` in turn with and without eventkit, `rounds` times.
pub(crate) async fn measure(events: u32, rounds: u16) -> anyhow::Result<Costs> {
    let folder = tempfile::tempdir()?;
    let mut system = System::prepare(Layout::Apart, folder.path(), &[]).await?;
    system.start_process(BROKER).await?;
    let config = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for contender in [Contender::Librdkafka, Contender::Eventkit] {
            let topic = format!("{contender:?}-{round}");
            let spec = TopicSpec { name: topic.clone(), partitions: PARTITIONS, settings: [].into() };
            ensure_topics(&config, &[spec]).await?;
            runs.push(match contender {
                Contender::Librdkafka => raw::run(config.brokers.clone(), topic, events).await?,
                Contender::Eventkit => ours(&config, &topic, events).await?,
            });
        }
    }
    system.stop().await?;
    Ok(Costs { events, rounds, runs })
}

/// What something took, from `begin` to `end`.
struct Stopwatch {
    began: Instant,
    cpu_seconds: f64,
}

impl Stopwatch {
    fn begin() -> anyhow::Result<Self> {
        Ok(Self { began: Instant::now(), cpu_seconds: process::cpu_seconds(std::process::id())? })
    }

    fn end(self, events: u32) -> anyhow::Result<Cost> {
        let cpu_seconds = process::cpu_seconds(std::process::id())? - self.cpu_seconds;
        Ok(Cost {
            events_per_second: f64::from(events) / self.began.elapsed().as_secs_f64(),
            cpu_micros_per_event: cpu_seconds * 1e6 / f64::from(events),
        })
    }
}

async fn ours(config: &KafkaConfig, topic: &str, events: u32) -> anyhow::Result<Run> {
    let transport = KafkaTransport::new(config.clone())?;
    let watch = Stopwatch::begin()?;
    publish(&transport, topic, events).await?;
    let publish = watch.end(events)?;
    let watch = Stopwatch::begin()?;
    consume(&transport, topic, events).await?;
    Ok(Run { contender: Contender::Eventkit, publish, consume: watch.end(events)? })
}

/// As a relay does it, with events that need not be read from a store.
pub(crate) async fn publish(transport: &KafkaTransport, topic: &str, events: u32) -> anyhow::Result<()> {
    let clock = Clock::system();
    let mut published = 0;
    while published < events {
        let until = (published + BATCH).min(events);
        let records = (published..until).map(|number| {
            let event = account(number);
            let (now, event_id) = (clock.now(), Uuid::now_v7().to_string());
            let mut envelope = Envelope::of(&event)?;
            envelope.event_id = Some(event_id.clone());
            envelope.correlation_id = Some(event_id.clone());
            envelope.timestamp = Some(now);
            envelope.service = SERVICE.to_owned();
            let stored = StoredEvent {
                position: number.into(),
                event_id,
                topic: topic.to_owned(),
                key: event.key(),
                sequence: 1,
                event_type: AccountOpened::TYPE.to_owned(),
                service: SERVICE.to_owned(),
                traceparent: None,
                occurred_at_ms: now.as_millisecond(),
                recorded_at_ms: now.as_millisecond(),
                envelope: envelope.write()?,
            };
            Ok(stored.into_record())
        });
        transport.publish(records.collect::<eventkit::Result<_>>()?).await?;
        published = until;
    }
    Ok(())
}

/// Up to what a handler is given.
async fn consume(transport: &KafkaTransport, topic: &str, events: u32) -> anyhow::Result<()> {
    let interest = Interest {
        group: topic.to_owned(),
        topics: vec![topic.to_owned()],
        instance: None,
        drain_max: DRAIN_MAX,
        start: GroupStart::Earliest,
    };
    let mut subscription = transport.subscribe(interest).await?;
    let mut seen = 0;
    while seen < events {
        let Incoming::Records(records) = subscription.next().await? else { continue };
        for record in records {
            let received = testing::received::<AccountOpened>(topic, &record)?;
            anyhow::ensure!(!received.event.owner.is_empty(), "an event came back empty");
            seen += 1;
        }
    }
    subscription.close().await;
    Ok(())
}

impl Costs {
    fn median(&self, contender: Contender, number: fn(&Run) -> f64) -> anyhow::Result<f64> {
        let runs = self.runs.iter().filter(|run| run.contender == contender);
        Ok(Spread::of(runs.map(number).collect()).context("no run")?.median)
    }

    fn row(&self, name: &str, digits: usize, number: fn(&Run) -> f64) -> Vec<String> {
        let medians = [Contender::Librdkafka, Contender::Eventkit].map(|contender| self.median(contender, number));
        let [Ok(raw), Ok(ours)] = medians else { return vec![name.to_owned()] };
        vec![name.to_owned(), format!("{raw:.digits$}"), format!("{ours:.digits$}"), format!("{:.2}", ours / raw)]
    }
}

impl Rows for Costs {
    fn headings(&self) -> Vec<&'static str> {
        vec!["medians", "librdkafka", "eventkit", "eventkit / librdkafka"]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        vec![
            self.row("publish, CPU µs per event", 2, |run| run.publish.cpu_micros_per_event),
            self.row("publish, events/s", 0, |run| run.publish.events_per_second),
            self.row("consume, CPU µs per event", 2, |run| run.consume.cpu_micros_per_event),
            self.row("consume, events/s", 0, |run| run.consume.events_per_second),
        ]
    }
}
