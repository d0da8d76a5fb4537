//! What carries records between processes: one trait for publishing, one for a consumer's subscription.

pub mod kafka;
pub mod memory;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;

/// The name of a header; the usual ones are not copied.
pub type HeaderName = Cow<'static, str>;

/// A record to publish: key, value and headers as they go on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic's name.
    pub topic: String,
    /// The key, which decides the partition; records without one go anywhere.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers in order; names may repeat.
    pub headers: Vec<(HeaderName, Bytes)>,
    /// Milliseconds since 1970; the transport's own time if `None`.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// The first header of this name as text, if there is one and it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value).ok()
    }

    /// How large its key and its value are together.
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A record as it was received.
#[derive(Debug, Clone)]
pub struct ConsumedRecord {
    /// The record.
    pub record: Record,
    /// The partition's number.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
}

impl ConsumedRecord {
    /// The partition that it came from.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.record.topic.clone(), partition: self.partition }
    }
}

/// What a subscription tells its consumer.
#[derive(Debug)]
pub enum Incoming {
    /// Records, in order per partition.
    Records(Vec<ConsumedRecord>),
    /// These partitions are now this member's.
    Assigned(Vec<TopicPartition>),
    /// These partitions go to another member as soon as `done` is dropped: finish and commit what is in flight first.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// Dropped by the consumer when it has let go of them.
        done: RevocationGuard,
    },
}

/// Keeps a rebalance waiting while it lives (up to the transport's own limit).
pub struct RevocationGuard(#[allow(dead_code, reason = "its drop is the message")] Option<Box<dyn Send>>);

impl RevocationGuard {
    /// A guard that drops `on_release` when it is dropped: for a transport that waits for that.
    pub fn new(on_release: impl Send + 'static) -> Self {
        Self(Some(Box::new(on_release)))
    }

    /// A guard that nobody waits for.
    pub fn detached() -> Self {
        Self(None)
    }
}

impl fmt::Debug for RevocationGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevocationGuard")
    }
}

/// What a consumer asks of a subscription.
#[derive(Debug, Clone)]
pub struct Interest {
    /// The consumer group.
    pub group: String,
    /// The topics.
    pub topics: Vec<String>,
    /// The member's own name in the group, the same after a restart: it then takes its partitions back at once instead
    /// of waiting for its former self to be given up. No two members of a group may share one.
    pub instance: Option<String>,
    /// How long a revocation waits for records in flight.
    pub drain_max: Duration,
    /// Where a group begins that has no offsets yet.
    pub start: GroupStart,
}

/// Where a group begins on a partition for which it has no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupStart {
    /// With the oldest record.
    #[default]
    Earliest,
    /// Behind the newest: what was there before is not for it.
    Latest,
}

/// Ends when records that were handed over are acknowledged by all replicas, or one of them was refused.
pub type Acknowledgement = Pin<Box<dyn Future<Output = Result<()>> + Send + Sync>>;

/// Publishes records and subscribes to topics.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Publishes records so that those of one key arrive in the order given; done when all are acknowledged by all
    /// replicas.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when at least one was not acknowledged; any of the others may have been, but none of
    /// a refused record's key that stands behind it. Not transient means refused for good: too large, say.
    async fn publish(&self, records: Vec<Record>) -> Result<()>;

    /// Takes records over as [`Transport::publish`] does, and comes back as soon as they have their places; what it
    /// gives ends when all are acknowledged. For whoever has more to do meanwhile.
    ///
    /// Without an implementation of its own it waits for the acknowledgement.
    ///
    /// # Errors
    /// Those of [`Transport::publish`], here or where the acknowledgement is waited for.
    async fn hand_over(&self, records: Vec<Record>) -> Result<Acknowledgement> {
        let outcome = self.publish(records).await;
        Ok(Box::pin(std::future::ready(outcome)))
    }

    /// Joins a consumer group.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the client cannot be made; being unable to reach the broker is none.
    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>>;

    /// Joins a consumer group with transactions of which `name` is the owner's: the same after a restart, so that what the
    /// former owner had begun is ended at once, and never that of two who are alive.
    ///
    /// Without an implementation of its own a transport has no transactions.
    ///
    /// # Errors
    /// As [`Transport::subscribe`], and [`crate::Error::Config`] where there are no transactions.
    async fn subscribe_transacted(
        &self,
        interest: Interest,
        name: &str,
    ) -> Result<(Box<dyn Subscription>, Arc<dyn Transaction>)> {
        let _ = (interest, name);
        Err(crate::Error::Config { reason: "this transport has no transactions".to_owned() })
    }
}

/// Sends and offsets of one subscription that count together or not at all, one transaction after the other.
#[async_trait]
pub trait Transaction: fmt::Debug + Send + Sync {
    /// Begins the next one.
    ///
    /// # Errors
    /// [`crate::Error::TransactionOver`]: there is no further one, and the subscription has to be begun anew.
    async fn begin(&self) -> Result<()>;

    /// Takes records over as a part of it, as [`Transport::hand_over`] does. Nobody who reads committed records sees them
    /// before the commit. After one that was refused the transaction can only be aborted.
    ///
    /// # Errors
    /// Those of [`Transport::publish`], here or where the acknowledgement is waited for.
    async fn hand_over(&self, records: Vec<Record>) -> Result<Acknowledgement>;

    /// Commits it together with the offsets of the next records to handle.
    ///
    /// # Errors
    /// [`crate::Error::Transport`]: nothing of it counts, and it is to be aborted. [`crate::Error::TransactionOver`]: as
    /// for [`Transaction::begin`]; whether it counts is seen by where the next subscription begins.
    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()>;

    /// Ends it so that nothing of it counts.
    ///
    /// # Errors
    /// [`crate::Error::TransactionOver`], as for [`Transaction::begin`].
    async fn abort(&self) -> Result<()>;
}

/// A membership in a consumer group.
#[async_trait]
pub trait Subscription: fmt::Debug + Send + Sync {
    /// What comes next; waits for it. Safe to drop while it waits.
    ///
    /// # Errors
    /// [`crate::Error::Stopped`] after the end; [`crate::Error::Transport`] for faults that the client does not mend itself.
    async fn next(&mut self) -> Result<Incoming>;

    /// Commits, for each partition, the offset of the next record to handle.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the commit was refused, for example because the partition was taken away.
    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()>;

    /// How many records of each of these partitions the group has not committed; goes on without this subscription. A
    /// partition may be missing of which that is not known.
    ///
    /// # Errors
    /// The future's: [`crate::Error::Transport`] when the broker does not answer.
    fn lag(&self, partitions: &[TopicPartition]) -> BoxFuture<'static, Result<Vec<(TopicPartition, i64)>>>;

    /// Stops or goes on fetching a partition.
    fn set_paused(&self, partition: &TopicPartition, paused: bool);

    /// Leaves the group; offsets are not committed by it.
    async fn close(self: Box<Self>);
}

/// The partition that Kafka's Java client puts a key in: murmur2 over the key's bytes.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    let positive = i64::from(murmur2(key) & 0x7fff_ffff);
    i32::try_from(positive % i64::from(partitions.max(1))).expect("a remainder of an i32 is an i32")
}

/// MurmurHash2 in the 32-bit form and with the seed that Kafka's clients share.
fn murmur2(data: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes(chunk.try_into().expect("chunks of four bytes"));
        word = word.wrapping_mul(MULTIPLIER);
        word ^= word >> 24;
        word = word.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ word;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// Values that Kafka's own client gives (its unit tests list them).
    #[test]
    fn murmur2_answers_as_the_java_client_does() {
        let known: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key).cast_signed(), hash);
        }
    }
}
