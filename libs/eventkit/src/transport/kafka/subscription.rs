//! A membership in a consumer group: librdkafka polled on a thread of its own, so that a rebalance can wait for
//! records in flight without holding up the runtime.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::contact::Contact;
use super::lag;
use super::{KafkaConfig, consumer_settings, failed, lock, refused_setting};
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
            made_anew: Mutex::default(),
            drain_max: interest.drain_max,
            contact,
        };
        let mut settings = consumer_settings(config)?;
        // The log is where librdkafka tells that a topic is another one of the same name.
        settings.set("debug", "metadata").set_log_level(RDKafkaLogLevel::Debug);
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

/// A member of a group, as others know it; its subscription does not live longer because of this.
#[derive(Debug, Clone)]
pub(super) struct Member(Weak<ConsumerHandle>);

impl Member {
    /// Which member of which generation it is now; nothing after the end of its subscription.
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.0.upgrade()?.0.group_metadata()
    }
}

impl KafkaSubscription {
    /// Who it is in the group.
    pub(super) fn member(&self) -> Member {
        Member(Arc::downgrade(&self.consumer))
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
        if context.begin_anew(consumer) {
            return;
        }
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
                    lock(&context.gathered).push(record);
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
    /// Topics that were deleted and made again.
    made_anew: Mutex<BTreeSet<String>>,
    drain_max: Duration,
    contact: Arc<Contact>,
}

impl GroupContext {
    fn hand_over(&self) {
        let records = std::mem::take(&mut *lock(&self.gathered));
        if !records.is_empty() {
            self.send(Incoming::Records(records));
        }
    }

    /// Ends the subscription if one of its topics is another one of the same name by now, whose records the group has yet
    /// to see, from the first one on; true if so. This client would not read it: it takes the metadata of a partition
    /// that begins to count its leaders' epochs anew for outdated.
    fn begin_anew(&self, consumer: &GroupConsumer) -> bool {
        let topics = lock(&self.made_anew).clone();
        if topics.is_empty() {
            return false;
        }
        let assigned = match consumer.assignment() {
            Ok(assigned) => places(&assigned),
            Err(error) => {
                tracing::debug!(group = self.group, %error, "the assignment is not known");
                return false;
            }
        };
        let partitions: Vec<_> = assigned.into_iter().filter(|place| topics.contains(&place.topic)).collect();
        self.let_go(partitions.clone());
        // After that no position of the old topic is committed any more.
        if let Err(error) = commit_beginning(consumer, &partitions) {
            tracing::debug!(group = self.group, %error, "where a topic begins could not be committed");
            return false;
        }
        let topics = topics.into_iter().collect::<Vec<_>>().join(", ");
        self.end(Error::Transport {
            operation: format!("read {topics} on"),
            transient: true,
            source: "the topic was deleted and made again; the group joins anew and reads it from its beginning".into(),
        });
        true
    }

    /// Has the consumer let go of partitions, and waits until it has, as long as it may.
    fn let_go(&self, partitions: Vec<TopicPartition>) {
        if partitions.is_empty() {
            return;
        }
        let (guard, released) = sync_channel::<()>(0);
        let done = RevocationGuard::new(guard);
        self.hand_over();
        if self.send(Incoming::Revoked { partitions, done }) {
            // Ends by the guard's drop; nothing is ever sent.
            if released.recv_timeout(self.drain_max) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                tracing::warn!(group = self.group, "records in flight did not finish before a rebalance went on");
            }
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
        match level {
            RDKafkaLogLevel::Debug => lock(&self.made_anew).extend(topic_made_anew(message).map(str::to_owned)),
            _ => self.contact.note(level, facility, message),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.contact.complain(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            self.let_go(places(list));
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

/// The topic of which librdkafka logs that it has another id than before; that it has one at all is no news.
fn topic_made_anew(message: &str) -> Option<&str> {
    let (topic, ids) = message.split_once("Topic ")?.1.split_once(" changed id from ")?;
    let (before, _) = ids.split_once(" to ")?;
    // The id of none is all zeroes, in base64.
    before.chars().any(|digit| digit != 'A' && digit != '=').then_some(topic)
}

/// Has the group begin these partitions at their first record.
fn commit_beginning(consumer: &GroupConsumer, partitions: &[TopicPartition]) -> KafkaResult<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for place in partitions {
        list.add_partition_offset(&place.topic, place.partition, Offset::Offset(0))?;
    }
    consumer.commit(&list, CommitMode::Sync)
}

fn places(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements()
        .iter()
        .map(|element| TopicPartition { topic: element.topic().to_owned(), partition: element.partition() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::topic_made_anew;

    #[test]
    fn only_another_id_is_a_topic_made_anew() {
        let changed = "[thrd:main]: Topic user-events changed id from 4Jw2mYzcT4Gl5b9mO3hC0A to 9bq7cTzcT4Gl5b9mO3hC0A";
        assert_eq!(topic_made_anew(changed), Some("user-events"));
        let first = "[thrd:main]: Topic user-events changed id from AAAAAAAAAAAAAAAAAAAAAA to 9bq7cTzcT4Gl5b9mO3hC0A";
        assert_eq!(topic_made_anew(first), None);
        assert_eq!(topic_made_anew("[thrd:main]: Topic user-events [0] Leader 1 Epoch 3"), None);
    }
}
