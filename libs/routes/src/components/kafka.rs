//! `kafka:`: topics, over a transport that whoever runs the engine brings along.
//!
//! Records of one key go through the route one after the other, records of different keys at the same
//! time. What a route sends is not waited for step by step; an offset is committed only when everything
//! before it has been through the route and all that it sent has been acknowledged. What fails becomes a
//! dead letter, and until that is acknowledged its key stands still. With `transacted: true` what records send, their
//! dead letters and their offsets are transactions.

mod consume;
mod lanes;
mod ledger;
mod outbox;
mod send;
mod transacted;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::check::Takes;
use crate::exchange::{Exception, Text};
use crate::run::{BoxFuture, Core};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Producer, Side};

const ONE_CLUSTER: &str = "the cluster and its client are configured once";

/// What `kafka:` addresses may say.
pub static SPEC: ComponentSpec = ComponentSpec {
    name: "kafka",
    about: "Brings the records of topics, in order for each key, and sends records; what fails becomes a dead letter",
    path: "topic",
    side: Side::Both,
    options: &[
        EndpointOption::new("groupId", Takes::Text, Side::From, "the group whose offsets count; must be there"),
        EndpointOption::new(
            "autoOffsetReset",
            Takes::OneOf(&["earliest", "latest"]),
            Side::From,
            "where a group without offsets begins (latest)",
        ),
        EndpointOption::new(
            "transacted",
            Takes::Bool,
            Side::From,
            "whether what records send, their dead letters and their offsets count together or not at all (false)",
        ),
        EndpointOption::new("key", Takes::Text, Side::To, "the key; the header `kafka.KEY` comes first"),
        EndpointOption::meaningless("brokers", ONE_CLUSTER),
        EndpointOption::meaningless("clientId", ONE_CLUSTER),
        EndpointOption::meaningless("securityProtocol", ONE_CLUSTER),
        EndpointOption::meaningless("saslMechanism", ONE_CLUSTER),
        EndpointOption::meaningless("saslJaasConfig", ONE_CLUSTER),
        EndpointOption::meaningless("requestRequiredAcks", "all copies acknowledge"),
        EndpointOption::meaningless("enableIdempotence", "the producer is idempotent"),
        EndpointOption::meaningless("compressionCodec", ONE_CLUSTER),
        EndpointOption::meaningless("lingerMs", ONE_CLUSTER),
        EndpointOption::meaningless("recordMetadata", "a step does not wait for the answer"),
        EndpointOption::meaningless("consumersCount", "records of different keys go at the same time"),
        EndpointOption::meaningless("maxPollRecords", "the limit of exchanges under way counts"),
        EndpointOption::meaningless("autoCommitEnable", "an offset is committed when its record is finished"),
        EndpointOption::meaningless("allowManualCommit", "an offset is committed when its record is finished"),
        EndpointOption::meaningless("breakOnFirstError", "a record that fails becomes a dead letter"),
        EndpointOption::meaningless("keyDeserializer", "keys and values are text"),
        EndpointOption::meaningless("valueDeserializer", "keys and values are text"),
        EndpointOption::meaningless("keySerializer", "keys and values are written as text or bytes"),
        EndpointOption::meaningless("valueSerializer", "keys and values are written as text or bytes"),
    ],
};

/// A Kafka client.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Joins a group.
    fn subscribe(&self, wanted: Subscription) -> BoxFuture<'_, Result<Box<dyn Reader>, String>>;

    /// Takes a record over. It comes back as soon as the record has its place, and gives what ends when
    /// the record is acknowledged. Records of one key stay in the order in which they were taken over.
    fn send(&self, record: OutRecord) -> BoxFuture<'_, crate::exchange::Result<Acknowledged>>;

    /// Whether a record is for this group: one that was sent back for another is passed over.
    fn is_for(&self, record: &InRecord, group: &str) -> bool {
        let _ = (record, group);
        true
    }

    /// What a record is known by, wherever it lies: what follows from it gets its ids from that.
    fn identity(&self, record: &InRecord) -> Text {
        record.place()
    }

    /// Whether a header that came with a record goes along with what a route sends.
    fn is_forwarded(&self, header: &str) -> bool {
        let _ = header;
        true
    }

    /// What a record that could not be handled is sent as.
    fn dead_letter(&self, record: &InRecord, failure: &Failure<'_>) -> OutRecord {
        let mut headers = record.headers.clone();
        let failure = failure.exception;
        let said = failure.message().map(|said| Bytes::copy_from_slice(said.as_bytes())).unwrap_or_default();
        headers.push((Text::fixed("exceptionClass"), Bytes::from_static(failure.class().name.as_bytes())));
        headers.push((Text::fixed("exceptionMessage"), said));
        OutRecord {
            topic: format!("{}.dlq", record.topic),
            key: record.key.clone(),
            value: record.value.clone(),
            headers,
        }
    }
}

/// Why a record could not be handled.
#[derive(Debug)]
pub struct Failure<'f> {
    /// What failed it.
    pub exception: &'f Exception,
    /// The group that gave it up.
    pub group: &'f str,
    /// How often its last step was tried.
    pub attempts: u32,
    /// When it was first taken up, in milliseconds since 1970.
    pub first_ms: i64,
    /// When it was given up, in milliseconds since 1970.
    pub last_ms: i64,
}

/// Ends when a record is acknowledged.
pub type Acknowledged = std::pin::Pin<Box<dyn Future<Output = crate::exchange::Result<()>> + Send + Sync + 'static>>;

/// A topic and a partition of it.
pub type Place = (Text, i32);

/// What a reader tells.
pub enum Incoming {
    /// Records, in order for each partition.
    Records(Vec<InRecord>),
    /// These partitions are read from now on.
    Assigned(Vec<Place>),
    /// These partitions go to somebody else as soon as `done` is dropped: what is under way is to end before.
    Revoked {
        /// The partitions.
        places: Vec<Place>,
        /// What the others wait for.
        done: Box<dyn Send>,
    },
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(records) => f.debug_tuple("Records").field(&records.len()).finish(),
            Self::Assigned(places) => f.debug_tuple("Assigned").field(places).finish(),
            Self::Revoked { places, .. } => f.debug_tuple("Revoked").field(places).finish(),
        }
    }
}

/// A membership in a group.
pub trait Reader: Send {
    /// What comes next, and of records at the most as many; with 0 only what concerns partitions. May be
    /// dropped while it waits.
    ///
    /// # Errors
    /// The membership is over.
    fn next(&mut self, most: usize) -> BoxFuture<'_, Result<Incoming, String>>;

    /// Commits offsets: of each partition the next one that is to be read.
    fn commit(&mut self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, Result<(), String>>;

    /// Stops or goes on reading a partition.
    fn pause(&mut self, place: &Place, is_paused: bool) {
        let _ = (place, is_paused);
    }

    /// The transactions in which the records are handled, if that was wanted.
    fn transaction(&self) -> Option<Arc<dyn Transaction>> {
        None
    }

    /// Leaves the group.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

/// Sends and offsets of a membership that count together or not at all, one transaction after the other.
pub trait Transaction: Send + Sync + fmt::Debug {
    /// Begins the next one.
    fn begin(&self) -> BoxFuture<'_, Result<(), Broken>>;

    /// Takes a record over as a part of it, as [`Transport::send`] does. A refusal that may pass is an exception of the
    /// class `org.apache.kafka.common.errors.RetriableException`; after any the transaction can only be aborted.
    fn send(&self, record: OutRecord) -> BoxFuture<'_, crate::exchange::Result<Acknowledged>>;

    /// Commits it together with offsets, as [`Reader::commit`] takes them.
    fn commit(&self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, Result<(), Broken>>;

    /// Ends it so that nothing of it counts.
    fn abort(&self) -> BoxFuture<'_, Result<(), Broken>>;
}

/// Why a transaction was not begun, committed or aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// It can be aborted, and another one begun.
    Aborted(String),
    /// There is no further one in this membership.
    Over(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted(reason) | Self::Over(reason) => f.write_str(reason),
        }
    }
}

/// What a route wants of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The topics.
    pub topics: Vec<String>,
    /// The group.
    pub group: String,
    /// Whether a group without offsets begins with the oldest record.
    pub from_beginning: bool,
    /// The route, which is the same after a restart.
    pub route: Text,
    /// Whether the records are handled in transactions: see [`Reader::transaction`].
    pub transacted: bool,
}

/// A record that came.
#[derive(Debug, Clone)]
pub struct InRecord {
    /// Its topic.
    pub topic: Text,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; nothing for a tombstone.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<(Text, Bytes)>,
}

impl InRecord {
    /// How large its key, its value and its headers are together.
    pub fn bytes(&self) -> usize {
        bytes(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }

    /// Where it lies; a topic that is made anew has other records there.
    pub fn place(&self) -> Text {
        let Self { topic, partition, offset, timestamp_ms, .. } = self;
        Text::from(format!("{topic}/{partition}/{offset}/{timestamp_ms}"))
    }
}

/// A record to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRecord {
    /// The topic.
    pub topic: String,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; nothing for a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(Text, Bytes)>,
}

impl OutRecord {
    /// How large its key, its value and its headers are together.
    pub fn bytes(&self) -> usize {
        bytes(self.key.as_ref(), self.value.as_ref(), &self.headers)
    }
}

fn bytes(key: Option<&Bytes>, value: Option<&Bytes>, headers: &[(Text, Bytes)]) -> usize {
    let headers = headers.iter().map(|(name, value)| name.len() + value.len());
    key.map_or(0, Bytes::len) + value.map_or(0, Bytes::len) + headers.sum::<usize>()
}

/// The component over a transport.
#[derive(Debug)]
pub struct Kafka {
    transport: Arc<dyn Transport>,
}

impl Kafka {
    /// The component over this transport.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }
}

impl Component for Kafka {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let key = endpoint.word("key").map(Text::from);
        Ok(Arc::new(send::Sender { topic: endpoint.text.path, key, transport: Arc::clone(&self.transport) }))
    }

    fn consumer(&self, endpoint: Endpoint, core: &Core) -> Result<Box<dyn Consumer>, String> {
        let group = endpoint.word("groupId").filter(|group| !group.is_empty());
        let wanted = Subscription {
            topics: endpoint.text.path.split(',').map(|topic| topic.trim().to_owned()).collect(),
            group: group.ok_or("`kafka:` in `from` needs `groupId`")?,
            from_beginning: endpoint.word("autoOffsetReset").as_deref() == Some("earliest"),
            route: Text::EMPTY,
            transacted: endpoint.flag("transacted").unwrap_or(false),
        };
        Ok(Box::new(consume::Source {
            wanted,
            transport: Arc::clone(&self.transport),
            in_flight_max: core.limits.in_flight_max,
            open_max: core.limits.open_records_max,
            open_bytes_max: core.limits.open_bytes_max,
            body_bytes_max: core.limits.body_bytes_max,
        }))
    }
}
