//! librdkafka as the client of both brokers, with its own defaults where nothing else is said.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::server::Server;
use crate::answers::Answers;
use crate::process;

/// Partitions of the topics that are measured.
pub(crate) const PARTITIONS: i32 = 3;

/// How long the producer looks for answers when its queue is full; it looks that long even if there are some.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// How often it looks for them otherwise, in records.
const LOOK_EVERY: u32 = 1_000;
const FLUSH_MAX: Duration = Duration::from_secs(300);
/// How long the consumer waits for the next record.
const READ_MAX: Duration = Duration::from_secs(60);
/// The consumer has no sooner fetched enough than it would rest for a second, which says nothing of the broker.
const FETCH_BACKOFF_MS: &str = "1";

/// What a load was like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) records_per_second: f64,
    /// Of the broker's process.
    pub(crate) broker_cpu_micros: f64,
    /// Of this process.
    pub(crate) client_cpu_micros: f64,
}

/// Puts a load on a broker that tells how long it took, and watches what it costs.
pub(crate) fn watch(
    server: &Server,
    records: u32,
    load: impl FnOnce() -> anyhow::Result<Duration>,
) -> anyhow::Result<Cost> {
    let client_cpu = || process::cpu_seconds(std::process::id());
    let (broker_before, client_before) = (server.cpu_seconds()?, client_cpu()?);
    let took = load()?;
    let per_record = |seconds: f64| seconds * 1e6 / f64::from(records);
    Ok(Cost {
        records_per_second: f64::from(records) / took.as_secs_f64(),
        broker_cpu_micros: per_record(server.cpu_seconds()? - broker_before),
        client_cpu_micros: per_record(client_cpu()? - client_before),
    })
}

/// A producer with acks=all.
pub(crate) struct Producer {
    producer: BaseProducer<Answers>,
    topic: String,
    sent: u32,
}

impl Producer {
    pub(crate) fn open(address: SocketAddr, topic: &str, linger_ms: Option<u32>) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address.to_string()).set("acks", "all");
        if let Some(linger_ms) = linger_ms {
            config.set("linger.ms", linger_ms.to_string());
        }
        let producer = config.create_with_context(Answers::default())?;
        Ok(Self { producer, topic: topic.to_owned(), sent: 0 })
    }

    /// Sends a record to a partition that the client chooses.
    pub(crate) fn send(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.send_to(None, payload)
    }

    /// Sends one record to each of the first partitions, and waits until they are acknowledged.
    pub(crate) fn greet(&mut self, partitions: i32) -> anyhow::Result<()> {
        for partition in 0..partitions {
            self.send_to(Some(partition), b"")?;
        }
        self.flush()
    }

    fn send_to(&mut self, partition: Option<i32>, payload: &[u8]) -> anyhow::Result<()> {
        let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.topic).payload(payload);
        record.partition = partition;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(FULL_PAUSE);
                }
                Err((error, _)) => bail!(error),
            }
        }
        self.sent += 1;
        if self.sent.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
        Ok(())
    }

    /// Takes what the broker has answered.
    pub(crate) fn look(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until all that was sent is acknowledged.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        self.producer.flush(FLUSH_MAX)?;
        let (acknowledged, refused) = self.producer.context().counted();
        ensure!(acknowledged == self.sent, "{acknowledged} of {} were acknowledged, {refused} refused", self.sent);
        Ok(())
    }
}

/// Produces records; how long it took from the first until all were acknowledged.
pub(crate) fn produce(address: SocketAddr, topic: &str, records: u32, bytes: usize) -> anyhow::Result<Duration> {
    let payload = payload(bytes);
    let mut producer = Producer::open(address, topic, None)?;
    // Nothing of what comes before the first record is to be measured.
    producer.greet(1)?;
    let began = Instant::now();
    for _ in 0..records {
        producer.send(&payload)?;
    }
    producer.flush()?;
    Ok(began.elapsed())
}

/// Bytes without a pattern.
fn payload(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

/// Reads a topic from its beginning, without a group.
pub(crate) struct Reader(BaseConsumer);

impl Reader {
    pub(crate) fn open(address: SocketAddr, topic: &str, partitions: i32) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address.to_string())
            .set("group.id", topic)
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
            .create()?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok(Self(consumer))
    }

    /// Waits for the next record, and has its value looked at.
    pub(crate) fn next<T>(&self, look: impl FnOnce(&[u8]) -> T) -> anyhow::Result<T> {
        let message = self.0.poll(READ_MAX).with_context(|| format!("no record in {} s", READ_MAX.as_secs()))??;
        Ok(look(message.payload().unwrap_or_default()))
    }
}

/// Reads so many records; how long it took from the first to the last.
pub(crate) fn consume(address: SocketAddr, topic: &str, records: u32) -> anyhow::Result<Duration> {
    let reader = Reader::open(address, topic, PARTITIONS)?;
    reader.next(|_| ())?;
    let began = Instant::now();
    let mut bytes = 0;
    for _ in 1..records {
        bytes += reader.next(<[u8]>::len)?;
    }
    ensure!(bytes > 0, "all records are empty");
    Ok(began.elapsed())
}
