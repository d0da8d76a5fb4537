//! What every transport must do, as tests over the trait alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::error::Error;
use crate::transport::{
    ConsumedRecord, GroupStart, Incoming, Interest, Record, Subscription, TopicPartition, Transport,
};

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a member is watched that is to get nothing, well within the time that it may be let go of in.
const HANDED_ON_MAX: Duration = Duration::from_millis(300);
const KEYS: usize = 5;
const RECORDS_PER_KEY: usize = 20;
/// How often a record is refused, and how many of its key stand behind it.
const REFUSALS: usize = 5;
const FOLLOWERS: usize = 200;
const FOLLOWER_BYTES: usize = 16 * 1024;

/// Runs the whole contract against one transport; topics and groups are new ones.
///
/// Each topic is told to `create` before it is used, for a broker that makes none by itself.
///
/// ```
/// # use std::sync::Arc;
/// # use eventkit::testing::transport_suite;
/// # use eventkit::transport::memory::MemoryTransport;
/// # #[tokio::main]
/// # async fn main() {
/// // In a test of the crate that has the transport.
/// transport_suite(Arc::new(MemoryTransport::new()), async |_topic| {}).await;
/// # }
/// ```
///
/// # Panics
/// When the transport breaks the contract, saying how.
pub async fn transport_suite(transport: Arc<dyn Transport>, create: impl AsyncFn(String)) {
    let topic = async |name: &str| {
        let topic = unique(name);
        create(topic.clone()).await;
        topic
    };
    records_arrive_as_they_were_sent(&transport, &topic("arrive").await).await;
    records_of_a_key_arrive_in_order(&transport, &topic("order").await).await;
    every_group_gets_every_record(&transport, &topic("groups").await).await;
    a_new_member_goes_on_where_the_group_committed(&transport, &topic("resume").await).await;
    what_was_not_committed_comes_again(&transport, &topic("again").await).await;
    members_of_a_group_share_the_partitions(&transport, &topic("share").await).await;
    a_partition_is_handed_on_when_its_member_has_let_go_of_it(&transport, &topic("guard").await).await;
    a_paused_partition_delivers_nothing_until_it_is_resumed(&transport, &topic("pause").await).await;
    lag_is_what_the_group_has_not_committed(&transport, &topic("lag").await).await;
}

/// Runs the part of the contract that needs a record which is refused for good: nothing behind it of its key is taken.
///
/// `refused` is a record of `topic`, which takes it not; the topic is a new one, and takes records of 16 KiB.
///
/// # Panics
/// When the transport breaks the contract, saying how.
pub async fn refusal_suite(transport: Arc<dyn Transport>, refused: &Record) {
    let topic = refused.topic.as_str();
    let key = refused.key.clone();
    let of_key = |value: &str| Record { key: key.clone(), ..record(topic, "", value) };
    // So large together that they go out in more requests than one.
    let follower = "follower".repeat(FOLLOWER_BYTES / "follower".len());
    transport.publish(vec![of_key("0")]).await.expect("publish");
    for _ in 0..REFUSALS {
        let followers = (0..FOLLOWERS).map(|_| of_key(&follower));
        let all = std::iter::once(of_key("before")).chain([refused.clone()]).chain(followers).collect();
        match transport.publish(all).await {
            Err(Error::Transport { transient: false, .. }) => {}
            other => panic!("a record that is refused for good is told as such: {other:?}"),
        }
    }
    let alone = transport.publish(vec![refused.clone()]).await;
    assert!(matches!(alone, Err(Error::Transport { transient: false, .. })), "alone it is refused as well: {alone:?}");
    transport.publish(vec![of_key("end")]).await.expect("what comes later is taken");
    let mut member = Member::join(&transport, &unique("group"), topic).await;
    let mut values = Vec::new();
    while values.last().map(Bytes::as_ref) != Some(b"end") {
        values.extend(
            member.receive(1, "records to the last one").await.into_iter().filter_map(|consumed| consumed.record.value),
        );
    }
    let is_follower = |value: &&Bytes| value.starts_with(b"follower");
    assert_eq!(values.iter().filter(is_follower).count(), 0, "a record overtook an earlier one of its key");
    member.subscription.close().await;
}

async fn records_arrive_as_they_were_sent(transport: &Arc<dyn Transport>, topic: &str) {
    let sent = Record {
        headers: vec![("ce_id".into(), Bytes::from_static(b"1")), ("empty".into(), Bytes::new())],
        ..record(topic, "user-1", "{\"a\":1}")
    };
    let tombstone = Record { value: None, ..sent.clone() };
    transport.publish(vec![sent.clone(), tombstone.clone()]).await.expect("publish");
    let mut member = Member::join(transport, &unique("group"), topic).await;
    let received = member.receive(2, "an event and a tombstone").await;
    let received: Vec<Record> = received.into_iter().map(|consumed| consumed.record).collect();
    assert_eq!(received, [sent, tombstone], "records arrive as they were sent");
    member.subscription.close().await;
}

async fn records_of_a_key_arrive_in_order(transport: &Arc<dyn Transport>, topic: &str) {
    publish_numbers(transport, topic).await;
    let mut member = Member::join(transport, &unique("group"), topic).await;
    assert_in_order(&member.receive(KEYS * RECORDS_PER_KEY, "all records of a topic").await);
    member.subscription.close().await;
}

async fn every_group_gets_every_record(transport: &Arc<dyn Transport>, topic: &str) {
    publish_numbers(transport, topic).await;
    for _ in 0..2 {
        let mut member = Member::join(transport, &unique("group"), topic).await;
        let received = member.receive(KEYS * RECORDS_PER_KEY, "all records for each group").await;
        assert_in_order(&received);
        member.subscription.commit(&ends(&received)).await.expect("commit");
        member.subscription.close().await;
    }
}

async fn a_new_member_goes_on_where_the_group_committed(transport: &Arc<dyn Transport>, topic: &str) {
    let group = unique("group");
    publish_numbers(transport, topic).await;
    let mut first = Member::join(transport, &group, topic).await;
    let received = first.receive(KEYS * RECORDS_PER_KEY, "records to commit").await;
    let ends = ends(&received);
    first.subscription.commit(&ends).await.expect("commit");
    first.subscription.close().await;
    transport.publish(vec![record(topic, "key-0", "after")]).await.expect("publish");
    let mut second = Member::join(transport, &group, topic).await;
    let received = second.receive(1, "what came after the commit").await;
    let value = received[0].record.value.as_deref();
    assert_eq!(value, Some(b"after".as_slice()), "a new member goes on where its group committed");
    second.subscription.close().await;
}

async fn what_was_not_committed_comes_again(transport: &Arc<dyn Transport>, topic: &str) {
    let group = unique("group");
    let records = (0..4).map(|number| record(topic, "key", &number.to_string())).collect();
    transport.publish(records).await.expect("publish");
    let mut first = Member::join(transport, &group, topic).await;
    let received = first.receive(4, "records to commit in part").await;
    first.subscription.commit(&[(received[0].topic_partition(), received[2].offset)]).await.expect("commit");
    first.subscription.close().await;
    let mut second = Member::join(transport, &group, topic).await;
    let again = second.receive(2, "what was delivered and not committed").await;
    let values: Vec<_> = again.iter().map(|consumed| consumed.record.value.as_deref()).collect();
    assert_eq!(values, [Some(b"2".as_slice()), Some(b"3".as_slice())], "what was delivered and not committed");
    second.subscription.close().await;
}

async fn a_partition_is_handed_on_when_its_member_has_let_go_of_it(transport: &Arc<dyn Transport>, topic: &str) {
    let group = unique("group");
    publish_numbers(transport, topic).await;
    let mut first = Member::join(transport, &group, topic).await;
    first.receive(KEYS * RECORDS_PER_KEY, "all records for the only member").await;
    let mut second = Member::join(transport, &group, topic).await;
    let revoked = async {
        loop {
            tokio::select! {
                incoming = first.subscription.next() => match incoming.expect("incoming") {
                    Incoming::Revoked { partitions, done } => return (partitions, done),
                    other => first.note(other),
                },
                incoming = second.subscription.next() => second.note(incoming.expect("incoming")),
            }
        }
    };
    let (partitions, done) = tokio::time::timeout(PATIENCE, revoked).await.expect("partitions are taken away");
    let has_one = |member: &Member| partitions.iter().any(|place| member.assigned.contains(place));
    let early = async {
        while !has_one(&second) {
            let incoming = second.subscription.next().await.expect("incoming");
            second.note(incoming);
        }
    };
    let early = tokio::time::timeout(HANDED_ON_MAX, early).await;
    assert!(early.is_err(), "a partition went to another member before the first had let go of it");
    drop(done);
    let handed_on = async {
        while !has_one(&second) {
            tokio::select! {
                incoming = first.subscription.next() => first.note(incoming.expect("incoming")),
                incoming = second.subscription.next() => second.note(incoming.expect("incoming")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, handed_on).await.expect("it goes to the other member then");
    first.subscription.close().await;
    second.subscription.close().await;
}

async fn members_of_a_group_share_the_partitions(transport: &Arc<dyn Transport>, topic: &str) {
    let group = unique("group");
    publish_numbers(transport, topic).await;
    let mut first = Member::join(transport, &group, topic).await;
    first.receive(KEYS * RECORDS_PER_KEY, "all records for the only member").await;
    let mut second = Member::join(transport, &group, topic).await;
    let balanced = async {
        while second.assigned.is_empty() || first.assigned.iter().any(|place| second.assigned.contains(place)) {
            tokio::select! {
                incoming = first.subscription.next() => first.note(incoming.expect("incoming")),
                incoming = second.subscription.next() => second.note(incoming.expect("incoming")),
            }
        }
    };
    tokio::time::timeout(PATIENCE, balanced).await.expect("two members share a topic's partitions");
    assert!(!first.assigned.is_empty(), "the first member keeps some partitions");
    first.subscription.close().await;
    second.subscription.close().await;
}

async fn a_paused_partition_delivers_nothing_until_it_is_resumed(transport: &Arc<dyn Transport>, topic: &str) {
    let mut member = Member::join(transport, &unique("group"), topic).await;
    transport.publish(vec![record(topic, "key", "first")]).await.expect("publish");
    let place = member.receive(1, "a record before the pause").await[0].topic_partition();
    member.subscription.set_paused(&place, true);
    transport.publish(vec![record(topic, "key", "second")]).await.expect("publish");
    let early = tokio::time::timeout(Duration::from_millis(300), member.receive(1, "nothing")).await;
    assert!(early.is_err(), "a paused partition delivered a record");
    member.subscription.set_paused(&place, false);
    let received = member.receive(1, "records of a partition that goes on").await;
    assert_eq!(received[0].record.value.as_deref(), Some(b"second".as_slice()));
    member.subscription.close().await;
}

async fn lag_is_what_the_group_has_not_committed(transport: &Arc<dyn Transport>, topic: &str) {
    let mut member = Member::join(transport, &unique("group"), topic).await;
    transport.publish((0..3).map(|number| record(topic, "key", &number.to_string())).collect()).await.expect("publish");
    let place = member.receive(3, "records to be behind of").await[0].topic_partition();
    for (committed, behind) in [(None, 3), (Some(2), 1), (Some(3), 0)] {
        if let Some(offset) = committed {
            member.subscription.commit(&[(place.clone(), offset)]).await.expect("commit");
        }
        let mut lag = member.subscription.lag(&member.assigned).await.expect("lag");
        lag.retain(|(_, records)| *records != 0);
        let expected = if behind == 0 { Vec::new() } else { vec![(place.clone(), behind)] };
        assert_eq!(lag, expected, "the lag after committing {committed:?}");
    }
    member.subscription.close().await;
}

/// A member of a group, and what it holds.
struct Member {
    subscription: Box<dyn Subscription>,
    assigned: Vec<TopicPartition>,
    received: Vec<ConsumedRecord>,
}

impl Member {
    async fn join(transport: &Arc<dyn Transport>, group: &str, topic: &str) -> Self {
        let interest = Interest {
            group: group.to_owned(),
            topics: vec![topic.to_owned()],
            instance: None,
            drain_max: Duration::from_secs(5),
            start: GroupStart::Earliest,
        };
        let subscription = transport.subscribe(interest).await.expect("subscribe");
        Self { subscription, assigned: Vec::new(), received: Vec::new() }
    }

    fn note(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Records(records) => self.received.extend(records),
            Incoming::Assigned(places) => self.assigned.extend(places),
            Incoming::Revoked { partitions, .. } => self.assigned.retain(|place| !partitions.contains(place)),
        }
    }

    /// Waits for so many records, of which `what` tells; bounded by the caller where less is fine.
    async fn receive(&mut self, records: usize, what: &str) -> Vec<ConsumedRecord> {
        let gather = async {
            while self.received.len() < records {
                let incoming = self.subscription.next().await.expect("incoming");
                self.note(incoming);
            }
        };
        if tokio::time::timeout(PATIENCE, gather).await.is_err() {
            let arrived = self.received.len();
            panic!("only {arrived} of {records} arrived within {} s: {what}", PATIENCE.as_secs());
        }
        std::mem::take(&mut self.received)
    }
}

fn unique(name: &str) -> String {
    format!("suite-{name}-{}", Uuid::now_v7())
}

fn record(topic: &str, key: &str, value: &str) -> Record {
    Record {
        topic: topic.to_owned(),
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
        timestamp_ms: Some(1_795_485_927_123),
    }
}

async fn publish_numbers(transport: &Arc<dyn Transport>, topic: &str) {
    let records =
        (0..RECORDS_PER_KEY).flat_map(|number| (0..KEYS).map(move |key| (format!("key-{key}"), number.to_string())));
    let records = records.map(|(key, number)| record(topic, &key, &number)).collect();
    transport.publish(records).await.expect("publish");
}

fn assert_in_order(received: &[ConsumedRecord]) {
    let mut numbers: HashMap<Bytes, Vec<usize>> = HashMap::new();
    for consumed in received {
        let number = std::str::from_utf8(consumed.record.value.as_deref().expect("a value")).expect("text");
        let of_key = numbers.entry(consumed.record.key.clone().expect("a key")).or_default();
        of_key.push(number.parse().expect("a number"));
    }
    assert_eq!(numbers.len(), KEYS);
    for (key, numbers) in numbers {
        assert_eq!(numbers, (0..RECORDS_PER_KEY).collect::<Vec<_>>(), "order of {key:?}");
    }
}

fn ends(received: &[ConsumedRecord]) -> Vec<(TopicPartition, i64)> {
    let mut ends = HashMap::new();
    for consumed in received {
        ends.insert(consumed.topic_partition(), consumed.offset + 1);
    }
    ends.into_iter().collect()
}
