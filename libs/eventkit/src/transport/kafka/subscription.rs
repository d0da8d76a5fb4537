//! A membership in a consumer group: librdkafka polled on a thread of its own, so that a rebalance can wait for
//! records in flight without holding up the runtime.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::contact::Contact;
use super::lag;
use super::{KafkaConfig, client_settings, failed, refused_setting};
use crate::envelope::CLOUD_EVENTS_NAMES;
use crate::error::{Error, Result};
use crate::trace_context::TRACEPARENT;
use crate::transport::{
    ConsumedRecord, GroupStart, HeaderName, Incoming, Interest, Record, RevocationGuard, Subscription, TopicPartition,
};

const BATCH_RECORDS_MAX: usize = 512;
/// How large a batch grows, but for its last record.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCHES_QUEUED_MAX: usize = 8;
/// What one answer to a fetch holds at the most, unless a record alone is larger.
const FETCH_BYTES_MAX: &str = "16777216";
/// About what the headers of an event hold.
const HEADER_BYTES: usize = 256;
/// Bounds how late a stop is noticed by an idle consumer.
const POLL_MAX: Duration = Duration::from_millis(100);

type GroupConsumer = BaseConsumer<GroupContext>;

#[derive(Debug)]
pub(crate) struct KafkaSubscription {
    consumer: Arc<ConsumerHandle>,
    incoming: mpsc::Receiver<Result<Incoming>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The consumer under a name that can be debug-printed.
struct ConsumerHandle(GroupConsumer);

impl std::fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BaseConsumer")
    }
}

impl KafkaSubscription {
    pub(super) fn join(config: &KafkaConfig, contact: Arc<Contact>, interest: Interest) -> Result<Self> {
        let (outgoing, incoming) = mpsc::channel(BATCHES_QUEUED_MAX);
        let context = GroupContext {
            group: interest.group.clone(),
            outgoing,
            gathered: Mutex::default(),
            drain_max: interest.drain_max,
            contact,
        };
        let mut settings = client_settings(config)?;
        if let Some(instance) = &interest.instance {
            settings.set("group.instance.id", instance);
        }
        let reset = match interest.start {
            GroupStart::Earliest => "earliest",
            GroupStart::Latest => "latest",
        };
        let consumer: GroupConsumer = settings
            .set("group.id", &interest.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", reset)
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", config.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (config.session_timeout_ms / 4).to_string())
            .set("queued.max.messages.kbytes", config.prefetch_kib.to_string())
            .set("fetch.max.bytes", FETCH_BYTES_MAX)
            .create_with_context(context)
            .map_err(refused_setting)?;
        let topics: Vec<&str> = interest.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| failed("subscribe", error))?;
        let consumer = Arc::new(ConsumerHandle(consumer));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name(format!("kafka-{}", interest.group))
            .spawn({
                let (consumer, stop) = (consumer.clone(), stop.clone());
                move || poll_until(&stop, &consumer.0)
            })
            .map_err(|error| Error::Transport {
                operation: "start a consumer thread".to_owned(),
                transient: true,
                source: Box::new(error),
            })?;
        Ok(Self { consumer, incoming, stop, thread: Some(thread) })
    }
}

#[async_trait]
impl Subscription for KafkaSubscription {
    async fn next(&mut self) -> Result<Incoming> {
        self.incoming.recv().await.unwrap_or(Err(Error::Stopped))
    }

    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (place, offset) in offsets {
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*offset))
                .map_err(|error| failed("commit offsets", error))?;
        }
        let consumer = self.consumer.clone();
        tokio::task::spawn_blocking(move || consumer.0.commit(&list, CommitMode::Sync))
            .await
            .map_err(|_| Error::Stopped)?
            .map_err(|error| failed("commit offsets", error))
    }

    fn lag(&self, partitions: &[TopicPartition]) -> BoxFuture<'static, Result<Vec<(TopicPartition, i64)>>> {
        let (consumer, partitions) = (self.consumer.clone(), partitions.to_vec());
        let asking = tokio::task::spawn_blocking(move || lag::ask(&consumer.0, &partitions));
        async move { asking.await.unwrap_or(Err(Error::Stopped)) }.boxed()
    }

    fn set_paused(&self, partition: &TopicPartition, paused: bool) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.topic, partition.partition);
        let outcome = match paused {
            true => self.consumer.0.pause(&list),
            false => self.consumer.0.resume(&list),
        };
        if let Err(error) = outcome {
            tracing::debug!(%partition, paused, %error, "partition could not be paused or resumed");
        }
    }

    async fn close(mut self: Box<Self>) {
        self.stop.store(true, Ordering::SeqCst);
        // The thread may be waiting to hand something over.
        self.incoming.close();
        if let Some(thread) = self.thread.take() {
            let Self { consumer, .. } = *self;
            let leave = move || {
                if thread.join().is_err() {
                    tracing::error!("the consumer's thread panicked");
                }
                // Dropping the consumer leaves the group, which takes a round trip.
                drop(consumer);
            };
            if tokio::task::spawn_blocking(leave).await.is_err() {
                tracing::error!("leaving the consumer group panicked");
            }
        }
    }
}

fn poll_until(stop: &AtomicBool, consumer: &GroupConsumer) {
    let context = consumer.context();
    while !stop.load(Ordering::SeqCst) && !context.outgoing.is_closed() {
        let (mut wait, mut bytes) = (POLL_MAX, 0);
        for _ in 0..BATCH_RECORDS_MAX {
            if bytes >= BATCH_BYTES_MAX {
                break;
            }
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = consumed(&message);
                    bytes += record.record.bytes();
                    context.gathered().push(record);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // Fenced by another member under its name, which may be its own former self: this client is done for.
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    context.hand_over();
                    context.end(failed("consume", error));
                    return;
                }
                Some(Err(error)) => {
                    context.contact.complain(&error, "the consumer could not poll");
                    context.contact.refuse(&context.group, &error);
                }
            }
            wait = Duration::ZERO;
        }
        context.hand_over();
    }
}

pub(crate) fn consumed(message: &BorrowedMessage<'_>) -> ConsumedRecord {
    // One piece of memory for all of it: a record has a dozen small parts.
    let (key, value) = (message.key(), message.payload());
    let bytes_max = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + HEADER_BYTES;
    let mut all = Vec::with_capacity(bytes_max);
    all.extend_from_slice(key.unwrap_or_default());
    all.extend_from_slice(value.unwrap_or_default());
    let headers: Vec<(HeaderName, usize)> = message.headers().map_or_else(Vec::new, |headers| {
        let part = |header: Header<'_, &[u8]>| {
            let value = header.value.unwrap_or_default();
            all.extend_from_slice(value);
            (header_name(header.key), value.len())
        };
        headers.iter().map(part).collect()
    });
    let mut all = Bytes::from(all);
    ConsumedRecord {
        record: Record {
            topic: message.topic().to_owned(),
            key: key.map(|key| all.split_to(key.len())),
            value: value.map(|value| all.split_to(value.len())),
            headers: headers.into_iter().map(|(name, bytes)| (name, all.split_to(bytes))).collect(),
            timestamp_ms: message.timestamp().to_millis(),
        },
        partition: message.partition(),
        offset: message.offset(),
    }
}

fn header_name(name: &str) -> HeaderName {
    let known = CLOUD_EVENTS_NAMES.into_iter().chain([TRACEPARENT]).find(|known| *known == name);
    known.map_or_else(|| HeaderName::Owned(name.to_owned()), HeaderName::Borrowed)
}

/// Hands records over and tells the consumer of rebalances, and lets a revocation wait until it has let go.
#[derive(Debug)]
struct GroupContext {
    group: String,
    outgoing: mpsc::Sender<Result<Incoming>>,
    /// Records polled but not handed over yet: a rebalance must not overtake them.
    gathered: Mutex<Vec<ConsumedRecord>>,
    drain_max: Duration,
    contact: Arc<Contact>,
}

impl GroupContext {
    fn gathered(&self) -> MutexGuard<'_, Vec<ConsumedRecord>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self) {
        let records = std::mem::take(&mut *self.gathered());
        if !records.is_empty() {
            self.send(Incoming::Records(records));
        }
    }

    /// Tells that nothing more will come.
    fn end(&self, error: Error) {
        if self.outgoing.blocking_send(Err(error)).is_err() {
            tracing::debug!("a subscription ended while it was being closed");
        }
    }

    /// False when the subscription is closing and nobody listens any more.
    fn send(&self, incoming: Incoming) -> bool {
        self.outgoing.blocking_send(Ok(incoming)).is_ok()
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.contact.note(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.contact.complain(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            let partitions = places(list);
            if partitions.is_empty() {
                return;
            }
            let (guard, released) = sync_channel::<()>(0);
            let done = RevocationGuard::new(guard);
            self.hand_over();
            if self.send(Incoming::Revoked { partitions, done }) {
                // Ends by the guard's drop; nothing is ever sent.
                if released.recv_timeout(self.drain_max) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    tracing::warn!("records in flight did not finish before a rebalance went on");
                }
            }
        }
    }

    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            let partitions = places(list);
            if !partitions.is_empty() {
                self.contact.admit(&self.group);
                self.send(Incoming::Assigned(partitions));
            }
        }
    }
}

fn places(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| TopicPartition { topic: element.topic().to_owned(), partition: element.partition() })
        .collect()
}
