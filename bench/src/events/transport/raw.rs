//! The same by a program that uses librdkafka's own client, as sparingly as it lets one.

use std::time::Duration;

use anyhow::{bail, ensure};
use eventkit::envelope::format_millis;
use eventkit::{Clock, Event as _, Keyed as _};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::{AccountOpened, SERVICE, account};
use super::{BATCH, Contender, Run, Stopwatch};
use crate::answers::Answers;

const POLL_MAX: Duration = Duration::from_millis(100);
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// The envelope, as a program writes it that knows its one event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_id: String,
    event_type: String,
    schema_version: u32,
    data: AccountOpened,
    timestamp: String,
    service: String,
    correlation_id: String,
}

/// Publishes and reads them; the settings are those of eventkit's transport.
pub(super) async fn run(brokers: String, topic: String, events: u32) -> anyhow::Result<Run> {
    tokio::task::spawn_blocking(move || {
        let watch = Stopwatch::begin()?;
        publish(&brokers, &topic, events)?;
        let publish = watch.end(events)?;
        let watch = Stopwatch::begin()?;
        consume(&brokers, &topic, events)?;
        Ok(Run { contender: Contender::Librdkafka, publish, consume: watch.end(events)? })
    })
    .await?
}

fn publish(brokers: &str, topic: &str, events: u32) -> anyhow::Result<()> {
    let producer: BaseProducer<Answers> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .create_with_context(Answers::default())?;
    let clock = Clock::system();
    for number in 0..events {
        let event = account(number);
        let (now, event_id) = (clock.now(), Uuid::now_v7().to_string());
        let (key, timestamp) = (event.key(), format_millis(now));
        let text = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new_with_capacity(7)
            .insert(text("ce_specversion", "1.0"))
            .insert(text("ce_id", &event_id))
            .insert(text("ce_source", "/bench"))
            .insert(text("ce_type", AccountOpened::TYPE))
            .insert(text("ce_time", &timestamp))
            .insert(text("ce_subject", &key))
            .insert(text("content-type", "application/json"));
        let value = serde_json::to_vec(&Envelope {
            event_id: event_id.clone(),
            event_type: AccountOpened::TYPE.to_owned(),
            schema_version: AccountOpened::VERSION,
            data: event,
            timestamp,
            service: SERVICE.to_owned(),
            correlation_id: event_id,
        })?;
        let mut record =
            BaseRecord::to(topic).key(&key).payload(&value).headers(headers).timestamp(now.as_millisecond());
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    producer.poll(POLL_MAX);
                }
                Err((error, _)) => bail!(error),
            }
        }
        if number % BATCH == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(FLUSH_MAX)?;
    let (acknowledged, _) = producer.context().counted();
    ensure!(acknowledged == events, "{acknowledged} of {events} were acknowledged");
    Ok(())
}

fn consume(brokers: &str, topic: &str, events: u32) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.max.messages.kbytes", "4096")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut seen = 0;
    while seen < events {
        let Some(message) = consumer.poll(POLL_MAX) else { continue };
        let message = message?;
        let envelope: Envelope = serde_json::from_slice(message.payload().unwrap_or_default())?;
        let is_of_type = |header: Header<'_, &[u8]>| header.key == "ce_type" && header.value.is_some();
        ensure!(message.headers().is_some_and(|headers| headers.iter().any(is_of_type)), "an event has its type");
        ensure!(!envelope.data.owner.is_empty(), "an event came back empty");
        seen += 1;
    }
    Ok(())
}
