//! `kafka:` over eventkit's transport: groups with a name that stays, sends that are not waited for one by one, dead
//! letters that can be redriven like any other.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventkit::dead_letter::{self, Cause};
use eventkit::transport::{self, ConsumedRecord, GroupStart, HeaderName, Interest, Record, TopicPartition};
use routes::components::kafka::{
    Acknowledged, Broken, Failure, InRecord, Incoming, OutRecord, Place, Reader, Subscription, Transaction, Transport,
};
use routes::exchange::{Exception, Text, class};
use routes::run::BoxFuture;
use uuid::Uuid;

/// How long a rebalance waits for records in flight; a little longer than the route itself holds them.
const DRAIN_MAX: Duration = Duration::from_secs(6);
/// How many records are kept for a route that is busy, and how large they are together, before its partitions pause.
const KEPT_MAX: usize = 2_048;
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest name of a member.
const NAME_MAX: usize = 200;

/// The clients of all routes of a process.
#[derive(Debug)]
pub(crate) struct EventkitTransport {
    inner: Arc<dyn transport::Transport>,
    /// Who this copy of the container is: the same after a restart. Nothing where members come and go.
    instance: Option<String>,
}

impl EventkitTransport {
    pub(crate) fn new(inner: Arc<dyn transport::Transport>, instance: Option<String>) -> Self {
        Self { inner, instance }
    }
}

impl Transport for EventkitTransport {
    fn subscribe(&self, wanted: Subscription) -> BoxFuture<'_, Result<Box<dyn Reader>, String>> {
        let interest = Interest {
            group: wanted.group,
            topics: wanted.topics,
            instance: self.instance.as_ref().map(|instance| member_name(instance, &wanted.route)),
            drain_max: DRAIN_MAX,
            start: if wanted.from_beginning { GroupStart::Earliest } else { GroupStart::Latest },
        };
        let transactions = wanted.transacted.then(|| transactional_id(self.instance.as_deref(), &wanted.route));
        Box::pin(async move {
            let (subscription, transaction) = match &transactions {
                None => (self.inner.subscribe(interest).await.map_err(|error| eventkit::chain(&error))?, None),
                Some(name) => {
                    let joined = self.inner.subscribe_transacted(interest, name).await;
                    let (subscription, transaction) = joined.map_err(|error| eventkit::chain(&error))?;
                    (subscription, Some(transaction))
                }
            };
            let reader: Box<dyn Reader> = Box::new(GroupReader {
                subscription,
                transaction: transaction.map(|inner| Arc::new(GroupTransaction(inner)) as Arc<dyn Transaction>),
                kept: VecDeque::new(),
                kept_bytes: 0,
                assigned: HashSet::new(),
                paused: HashSet::new(),
                is_full: false,
            });
            Ok(reader)
        })
    }

    fn send(&self, record: OutRecord) -> BoxFuture<'_, routes::exchange::Result<Acknowledged>> {
        let record = going(record);
        Box::pin(async move {
            let acknowledged = self.inner.hand_over(vec![record]).await.map_err(exception)?;
            let acknowledged: Acknowledged = Box::pin(async move { acknowledged.await.map_err(exception) });
            Ok(acknowledged)
        })
    }

    fn is_for(&self, record: &InRecord, group: &str) -> bool {
        header(record, dead_letter::REDRIVE_GROUP).is_none_or(|wanted| wanted == group.as_bytes())
    }

    fn identity(&self, record: &InRecord) -> Text {
        match header(record, "ce_id").and_then(|id| std::str::from_utf8(id).ok()) {
            Some(id) => Text::from(id),
            None => Text::from(dead_letter::identity_of(&consumed(record))),
        }
    }

    fn is_forwarded(&self, header: &str) -> bool {
        !header.starts_with("dlq-") && header != dead_letter::IDENTITY
    }

    fn dead_letter(&self, record: &InRecord, failure: &Failure<'_>) -> OutRecord {
        let cause = Cause {
            group: failure.group,
            error: &failure.exception.to_string(),
            kind: kind(failure.exception),
            attempts: failure.attempts,
            first_failed_at_ms: failure.first_ms,
            failed_at_ms: failure.last_ms,
        };
        let letter = dead_letter::letter(&consumed(record), &cause);
        let headers = letter.headers.into_iter().map(|(name, value)| (Text::from(&*name), value));
        OutRecord { topic: letter.topic, key: letter.key, value: letter.value, headers: headers.collect() }
    }
}

/// The name of a route's membership, of the characters that Kafka takes.
fn member_name(instance: &str, route: &str) -> String {
    let name = format!("{instance}-{route}");
    let is_legal = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    match name.len() <= NAME_MAX && name.chars().all(is_legal) {
        true => name,
        false => format!("{instance}-{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, route.as_bytes())),
    }
}

/// What the transactions of a route are called: by the same name a container that starts again ends at once what it had
/// begun before. Where members come and go each has its own, and the group alone keeps a former one out.
fn transactional_id(instance: Option<&str>, route: &str) -> String {
    match instance {
        Some(instance) => member_name(instance, route),
        None => member_name(&Uuid::now_v7().to_string(), route),
    }
}

/// The transactions of a membership.
#[derive(Debug)]
struct GroupTransaction(Arc<dyn transport::Transaction>);

impl Transaction for GroupTransaction {
    fn begin(&self) -> BoxFuture<'_, Result<(), Broken>> {
        Box::pin(async move { self.0.begin().await.map_err(broken) })
    }

    fn send(&self, record: OutRecord) -> BoxFuture<'_, routes::exchange::Result<Acknowledged>> {
        let record = going(record);
        Box::pin(async move {
            let acknowledged = self.0.hand_over(vec![record]).await.map_err(refusal)?;
            let acknowledged: Acknowledged = Box::pin(async move { acknowledged.await.map_err(refusal) });
            Ok(acknowledged)
        })
    }

    fn commit(&self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, Result<(), Broken>> {
        Box::pin(async move { self.0.commit(&committed(&offsets)).await.map_err(broken) })
    }

    fn abort(&self) -> BoxFuture<'_, Result<(), Broken>> {
        Box::pin(async move { self.0.abort().await.map_err(broken) })
    }
}

fn broken(error: eventkit::Error) -> Broken {
    let reason = eventkit::chain(&error);
    if error.is_transient() { Broken::Aborted(reason) } else { Broken::Over(reason) }
}

/// As [`exception`]; a topic that takes nothing is not waited for, since a whole transaction would wait with it.
fn refusal(error: eventkit::Error) -> Exception {
    match error {
        eventkit::Error::TopicRefused { .. } => Exception::new(&class::KAFKA, eventkit::chain(&error)),
        error => exception(error),
    }
}

/// The word for a failure in a dead letter.
fn kind(exception: &Exception) -> &'static str {
    let is_a = |class| exception.chain().any(|thrown| thrown.class().is_a(class));
    if is_a(&class::JACKSON) {
        "undecodable"
    } else if is_a(&class::TIMEOUT) || is_a(&class::EXCHANGE_TIMED_OUT) || is_a(&class::SOCKET_TIMEOUT) {
        "timeout"
    } else if is_transient(exception) {
        "transient"
    } else {
        "permanent"
    }
}

/// Whether trying again may help.
pub(crate) fn is_transient(exception: &Exception) -> bool {
    let is_a = |class| exception.chain().any(|thrown| thrown.class().is_a(class));
    let busy =
        [&class::IO, &class::TIMEOUT, &class::EXCHANGE_TIMED_OUT, &class::KAFKA_RETRIABLE, &class::THROTTLER_REJECTED];
    busy.into_iter().any(is_a) && !is_a(&class::JACKSON)
}

/// What eventkit could not do, as routes know it.
pub(crate) fn exception(error: eventkit::Error) -> Exception {
    let class = if error.is_transient() { &class::KAFKA_TIMEOUT } else { &class::KAFKA };
    Exception::new(class, eventkit::chain(&error))
}

fn header<'r>(record: &'r InRecord, name: &str) -> Option<&'r Bytes> {
    record.headers.iter().find_map(|(known, value)| (known.as_str() == name).then_some(value))
}

fn header_name(name: &Text) -> HeaderName {
    HeaderName::Owned(name.to_string())
}

fn consumed(record: &InRecord) -> ConsumedRecord {
    ConsumedRecord {
        record: Record {
            topic: record.topic.to_string(),
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.iter().map(|(name, value)| (header_name(name), value.clone())).collect(),
            timestamp_ms: Some(record.timestamp_ms),
        },
        partition: record.partition,
        offset: record.offset,
    }
}

fn going(record: OutRecord) -> Record {
    Record {
        topic: record.topic,
        key: record.key,
        value: record.value,
        headers: record.headers.into_iter().map(|(name, value)| (header_name(&name), value)).collect(),
        timestamp_ms: None,
    }
}

fn committed(offsets: &[(Text, i32, i64)]) -> Vec<(TopicPartition, i64)> {
    let place = |topic: &Text, partition| TopicPartition { topic: topic.to_string(), partition };
    offsets.iter().map(|(topic, partition, next)| (place(topic, *partition), *next)).collect()
}

fn came(record: ConsumedRecord) -> InRecord {
    let ConsumedRecord { record, partition, offset } = record;
    InRecord {
        topic: Text::from(record.topic),
        partition,
        offset,
        timestamp_ms: record.timestamp_ms.unwrap_or(0),
        key: record.key,
        value: record.value,
        headers: record.headers.into_iter().map(|(name, value)| (text(name), value)).collect(),
    }
}

fn text(name: HeaderName) -> Text {
    match name {
        HeaderName::Borrowed(name) => Text::fixed(name),
        HeaderName::Owned(name) => Text::from(name),
    }
}

/// A membership in a group. Records that the route has no room for yet are kept, and when they are many the partitions
/// pause: what concerns partitions is always listened to.
struct GroupReader {
    subscription: Box<dyn transport::Subscription>,
    transaction: Option<Arc<dyn Transaction>>,
    kept: VecDeque<InRecord>,
    kept_bytes: usize,
    assigned: HashSet<TopicPartition>,
    /// Partitions that the route does not want to be read for a while.
    paused: HashSet<TopicPartition>,
    /// Whether all partitions are paused because enough is kept.
    is_full: bool,
}

impl GroupReader {
    fn take(&mut self, most: usize) -> Incoming {
        let records: Vec<_> = self.kept.drain(..most.min(self.kept.len())).collect();
        self.kept_bytes -= records.iter().map(InRecord::bytes).sum::<usize>();
        self.have_room();
        Incoming::Records(records)
    }

    fn keep(&mut self, records: Vec<ConsumedRecord>) {
        for record in records.into_iter().map(came) {
            self.kept_bytes += record.bytes();
            self.kept.push_back(record);
        }
        self.set_full(self.is_full || self.kept.len() >= KEPT_MAX || self.kept_bytes >= KEPT_BYTES_MAX);
    }

    /// Drops what is kept of partitions that are somebody else's.
    fn drop_kept(&mut self, gone: &[TopicPartition]) {
        let is_gone = |record: &InRecord| {
            gone.iter().any(|place| record.topic == place.topic.as_str() && record.partition == place.partition)
        };
        self.kept.retain(|record| !is_gone(record));
        self.kept_bytes = self.kept.iter().map(InRecord::bytes).sum();
        self.have_room();
    }

    fn have_room(&mut self) {
        let has_room = self.kept.len() <= KEPT_MAX / 4 && self.kept_bytes <= KEPT_BYTES_MAX / 4;
        self.set_full(self.is_full && !has_room);
    }

    fn set_full(&mut self, is_full: bool) {
        if std::mem::replace(&mut self.is_full, is_full) != is_full {
            for place in self.assigned.iter().filter(|place| !self.paused.contains(place)) {
                self.subscription.set_paused(place, is_full);
            }
        }
    }
}

fn places(partitions: &[TopicPartition]) -> Vec<Place> {
    partitions.iter().map(|place| (Text::from(place.topic.as_str()), place.partition)).collect()
}

impl Reader for GroupReader {
    fn next(&mut self, most: usize) -> BoxFuture<'_, Result<Incoming, String>> {
        Box::pin(async move {
            loop {
                if most > 0 && !self.kept.is_empty() {
                    return Ok(self.take(most));
                }
                match self.subscription.next().await.map_err(|error| eventkit::chain(&error))? {
                    transport::Incoming::Records(records) => self.keep(records),
                    transport::Incoming::Assigned(partitions) => {
                        let places = places(&partitions);
                        if self.is_full {
                            partitions.iter().for_each(|place| self.subscription.set_paused(place, true));
                        }
                        self.assigned.extend(partitions);
                        return Ok(Incoming::Assigned(places));
                    }
                    transport::Incoming::Revoked { partitions, done } => {
                        for place in &partitions {
                            self.assigned.remove(place);
                            self.paused.remove(place);
                        }
                        self.drop_kept(&partitions);
                        return Ok(Incoming::Revoked { places: places(&partitions), done: Box::new(done) });
                    }
                }
            }
        })
    }

    fn commit(&mut self, offsets: Vec<(Text, i32, i64)>) -> BoxFuture<'_, Result<(), String>> {
        let offsets = committed(&offsets);
        Box::pin(async move { self.subscription.commit(&offsets).await.map_err(|error| eventkit::chain(&error)) })
    }

    fn pause(&mut self, (topic, partition): &Place, is_paused: bool) {
        let place = TopicPartition { topic: topic.to_string(), partition: *partition };
        if !self.is_full {
            self.subscription.set_paused(&place, is_paused);
        }
        if is_paused {
            self.paused.insert(place);
        } else {
            // What is full pauses it all the same.
            self.paused.remove(&place);
        }
    }

    fn transaction(&self) -> Option<Arc<dyn Transaction>> {
        self.transaction.clone()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self { subscription, transaction, .. } = *self;
        drop(transaction);
        Box::pin(async move { subscription.close().await })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A subscription that has records, and notes whether it is paused.
    #[derive(Debug, Default)]
    struct Full {
        incoming: VecDeque<Vec<ConsumedRecord>>,
        is_paused: Arc<Mutex<bool>>,
    }

    #[async_trait::async_trait]
    impl transport::Subscription for Full {
        async fn next(&mut self) -> eventkit::Result<transport::Incoming> {
            match self.incoming.pop_front() {
                Some(records) => Ok(transport::Incoming::Records(records)),
                None => std::future::pending().await,
            }
        }

        async fn commit(&self, _: &[(TopicPartition, i64)]) -> eventkit::Result<()> {
            Ok(())
        }

        fn lag(&self, _: &[TopicPartition]) -> BoxFuture<'static, eventkit::Result<Vec<(TopicPartition, i64)>>> {
            Box::pin(async { Ok(Vec::new()) })
        }

        fn set_paused(&self, _: &TopicPartition, paused: bool) {
            *self.is_paused.lock().unwrap() = paused;
        }

        async fn close(self: Box<Self>) {}
    }

    #[tokio::test]
    async fn records_that_are_kept_are_counted_by_their_bytes() {
        let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
        let large = |offset| ConsumedRecord {
            record: Record {
                topic: "t".to_owned(),
                key: None,
                value: Some(megabyte.clone()),
                headers: Vec::new(),
                timestamp_ms: None,
            },
            partition: 0,
            offset,
        };
        let place = TopicPartition { topic: "t".to_owned(), partition: 0 };
        let incoming = (0..20).map(|offset| vec![large(offset)]).collect();
        let full = Full { incoming, ..Full::default() };
        let is_paused = Arc::clone(&full.is_paused);
        let mut reader = GroupReader {
            subscription: Box::new(full),
            transaction: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            assigned: HashSet::from([place.clone()]),
            paused: HashSet::new(),
            is_full: false,
        };
        // Nobody wants a record; what has come is kept.
        tokio::select! {
            biased;
            incoming = reader.next(0) => panic!("{incoming:?}"),
            () = std::future::ready(()) => {}
        }
        assert_eq!((reader.kept.len(), *is_paused.lock().unwrap()), (20, true));
        let taken = reader.next(16).await.unwrap();
        assert!(matches!(taken, Incoming::Records(records) if records.len() == 16));
        assert!(!*is_paused.lock().unwrap());
        reader.drop_kept(&[place]);
        assert_eq!((reader.kept.len(), reader.kept_bytes), (0, 0));
    }
}
