//! Topics in memory, for tests of code that publishes and consumes: partitions, groups and offsets as on Kafka.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::Notify;

use super::{
    ConsumedRecord, GroupStart, Incoming, Interest, Record, RevocationGuard, Subscription, TopicPartition, Transport,
    partition_of,
};
use crate::error::{Error, Result};

const PARTITIONS: i32 = 3;
const BATCH_RECORDS_MAX: usize = 256;

/// A broker in memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryTransport {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// The records of every partition, by offset.
type Logs = BTreeMap<TopicPartition, Vec<Record>>;

#[derive(Debug, Default)]
struct State {
    logs: Logs,
    groups: HashMap<String, Group>,
    next_member: u64,
}

#[derive(Debug, Default)]
struct Group {
    committed: HashMap<TopicPartition, i64>,
    members: BTreeMap<u64, Member>,
    /// Partitions that a member has still to let go of.
    held: HashMap<TopicPartition, Held>,
}

/// Who has a partition still, and who is to get it.
#[derive(Debug)]
struct Held {
    by: u64,
    next: u64,
}

#[derive(Debug, Default)]
struct Member {
    topics: Vec<String>,
    start: GroupStart,
    /// The next offset to hand out, for each partition that is assigned.
    positions: BTreeMap<TopicPartition, i64>,
    paused: Vec<TopicPartition>,
    events: VecDeque<Change>,
}

/// What a member has to be told.
#[derive(Debug)]
enum Change {
    Gained(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl MemoryTransport {
    /// A broker without topics; a topic is made by its first use, with three partitions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every record of a topic, in order per partition.
    pub fn records(&self, topic: &str) -> Vec<ConsumedRecord> {
        let state = self.shared.lock();
        let of_topic = state.logs.iter().filter(|(partition, _)| partition.topic == topic);
        of_topic
            .flat_map(|(place, log)| {
                log.iter().zip(0..).map(|(record, offset)| ConsumedRecord {
                    record: record.clone(),
                    partition: place.partition,
                    offset,
                })
            })
            .collect()
    }

    /// How many records there are on all topics.
    pub fn total(&self) -> usize {
        self.shared.lock().logs.values().map(Vec::len).sum()
    }

    /// Whether every group with members has committed all records of their topics.
    pub fn is_consumed(&self) -> bool {
        let state = self.shared.lock();
        state.groups.values().all(|group| {
            let topics: Vec<&String> = group.members.values().flat_map(|member| &member.topics).collect();
            let logs = state.logs.iter().filter(|(place, _)| topics.contains(&&place.topic));
            logs.into_iter().all(|(place, log)| {
                let committed = group.committed.get(place).copied().unwrap_or(0);
                usize::try_from(committed).is_ok_and(|committed| committed >= log.len())
            })
        })
    }

    /// Whether somebody has subscribed as this group.
    pub fn has_members(&self, group: &str) -> bool {
        self.shared.lock().groups.get(group).is_some_and(|group| !group.members.is_empty())
    }

    /// The offset that a group has committed for a partition.
    pub fn committed(&self, group: &str, partition: &TopicPartition) -> Option<i64> {
        self.shared.lock().groups.get(group)?.committed.get(partition).copied()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }
}

impl State {
    fn append(&mut self, record: Record) {
        let partition = match &record.key {
            Some(key) => partition_of(key, PARTITIONS),
            None => 0,
        };
        let place = TopicPartition { topic: record.topic.clone(), partition };
        self.logs.entry(place).or_default().push(record);
    }

    /// Deals a group's partitions out anew and notes for each member what it gained and lost.
    fn rebalance(&mut self, group: &str) {
        let Self { logs, groups, .. } = self;
        let Some(group) = groups.get_mut(group) else { return };
        let mut topics: Vec<String> = group.members.values().flat_map(|member| member.topics.clone()).collect();
        topics.sort();
        topics.dedup();
        let mut dealt: HashMap<u64, Vec<TopicPartition>> = HashMap::new();
        for topic in topics {
            let interested: Vec<u64> =
                group.members.iter().filter(|(_, member)| member.topics.contains(&topic)).map(|(id, _)| *id).collect();
            for partition in 0..PARTITIONS {
                let turn = usize::try_from(partition).expect("partitions are not negative");
                let id = interested[turn % interested.len()];
                dealt.entry(id).or_default().push(TopicPartition { topic: topic.clone(), partition });
            }
        }
        for (id, member) in &mut group.members {
            let now = dealt.get(id).map_or(&[][..], Vec::as_slice);
            let lost: Vec<_> = member.positions.keys().filter(|held| !now.contains(held)).cloned().collect();
            for partition in &lost {
                member.positions.remove(partition);
                group.held.insert(partition.clone(), Held { by: *id, next: *id });
            }
            member.tell(Change::Lost(lost));
        }
        for (id, partitions) in dealt {
            for partition in partitions {
                // What is being let go of comes when it is free.
                match group.held.get_mut(&partition) {
                    Some(held) => held.next = id,
                    None => group.give(id, partition, logs),
                }
            }
        }
    }

    /// A member has let go of partitions: whoever is to get them does.
    fn release(&mut self, group: &str, by: u64, partitions: &[TopicPartition]) {
        let Self { logs, groups, .. } = self;
        let Some(group) = groups.get_mut(group) else { return };
        for partition in partitions {
            if group.held.get(partition).is_some_and(|held| held.by == by)
                && let Some(Held { next, .. }) = group.held.remove(partition)
            {
                group.give(next, partition.clone(), logs);
            }
        }
    }

    fn next(&mut self, group: &str, id: u64, shared: &Arc<Shared>) -> Option<Incoming> {
        let Self { logs, groups, .. } = self;
        let member = groups.get_mut(group)?.members.get_mut(&id)?;
        match member.events.pop_front() {
            Some(Change::Gained(partitions)) => return Some(Incoming::Assigned(partitions)),
            Some(Change::Lost(partitions)) => {
                let (shared, group) = (shared.clone(), group.to_owned());
                let on_release = Release { shared, group, by: id, partitions: partitions.clone() };
                return Some(Incoming::Revoked { partitions, done: RevocationGuard::new(on_release) });
            }
            None => {}
        }
        let mut records = Vec::new();
        for (place, position) in &mut member.positions {
            let Some(log) = logs.get(place) else { continue };
            if member.paused.contains(place) {
                continue;
            }
            let start = usize::try_from(*position).unwrap_or(0).min(log.len());
            for record in log[start..].iter().take(BATCH_RECORDS_MAX - records.len()) {
                let (partition, offset) = (place.partition, *position);
                records.push(ConsumedRecord { record: record.clone(), partition, offset });
                *position += 1;
            }
        }
        (!records.is_empty()).then_some(Incoming::Records(records))
    }
}

impl Group {
    fn give(&mut self, id: u64, partition: TopicPartition, logs: &Logs) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let start = self.committed.get(&partition).copied().unwrap_or_else(|| match member.start {
            GroupStart::Earliest => 0,
            GroupStart::Latest => logs.get(&partition).map_or(0, |log| i64::try_from(log.len()).unwrap_or(0)),
        });
        if !member.positions.contains_key(&partition) {
            member.positions.insert(partition.clone(), start);
            member.tell(Change::Gained(vec![partition]));
        }
    }
}

impl Member {
    fn tell(&mut self, change: Change) {
        match (self.events.back_mut(), change) {
            (_, Change::Lost(partitions)) if partitions.is_empty() => {}
            (Some(Change::Gained(before)), Change::Gained(partitions)) => before.extend(partitions),
            (_, change) => self.events.push_back(change),
        }
    }
}

/// Frees partitions when it is dropped.
struct Release {
    shared: Arc<Shared>,
    group: String,
    by: u64,
    partitions: Vec<TopicPartition>,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.shared.lock().release(&self.group, self.by, &self.partitions);
        self.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        let mut state = self.shared.lock();
        records.into_iter().for_each(|record| state.append(record));
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        let mut state = self.shared.lock();
        state.next_member += 1;
        let id = state.next_member;
        let member = Member { topics: interest.topics, start: interest.start, ..Member::default() };
        state.groups.entry(interest.group.clone()).or_default().members.insert(id, member);
        state.rebalance(&interest.group);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(Box::new(MemorySubscription { shared: self.shared.clone(), group: interest.group, id }))
    }
}

#[derive(Debug)]
struct MemorySubscription {
    shared: Arc<Shared>,
    group: String,
    id: u64,
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Result<Incoming> {
        let shared = self.shared.clone();
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(incoming) = shared.lock().next(&self.group, self.id, &shared) {
                return Ok(incoming);
            }
            changed.await;
        }
    }

    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        let mut state = self.shared.lock();
        let group = state.groups.get_mut(&self.group).ok_or(Error::Stopped)?;
        for (partition, offset) in offsets {
            group.committed.insert(partition.clone(), *offset);
        }
        Ok(())
    }

    fn lag(&self, partitions: &[TopicPartition]) -> BoxFuture<'static, Result<Vec<(TopicPartition, i64)>>> {
        let state = self.shared.lock();
        let committed = state.groups.get(&self.group).map(|group| &group.committed);
        let lag = partitions.iter().map(|place| {
            let end = state.logs.get(place).map_or(0, Vec::len);
            let committed = committed.and_then(|committed| committed.get(place)).copied().unwrap_or(0);
            (place.clone(), i64::try_from(end).unwrap_or(i64::MAX) - committed)
        });
        ready(Ok(lag.collect())).boxed()
    }

    fn set_paused(&self, partition: &TopicPartition, paused: bool) {
        let mut state = self.shared.lock();
        let Some(member) = state.groups.get_mut(&self.group).and_then(|group| group.members.get_mut(&self.id)) else {
            return;
        };
        member.paused.retain(|other| other != partition);
        if paused {
            member.paused.push(partition.clone());
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.members.remove(&self.id);
            // What it had still to let go of is free as well.
            group.held.retain(|_, held| held.by != self.id);
        }
        state.rebalance(&self.group);
        drop(state);
        self.shared.changed.notify_waiters();
    }
}
