//! Committing and fetching offsets.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Buf;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::catalog::OFFSETS_TOPIC;
use crate::groups::coordinator::Coordinator;
use crate::groups::group::{Group, Member, Phase};
use crate::groups::records::{Committed, Key};
use crate::log::control::Marker;
use crate::state_log::{Content, Entry, ProducerRun};
use crate::sync::lock;
use crate::txns::transaction::Slot;

/// The protocol type of groups of consumers.
const CONSUMER_PROTOCOL: &str = "consumer";

/// Who commits; a committer outside any membership has no id and generation -1.
#[derive(Debug, Clone)]
pub(crate) struct Committer {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
}

/// An offset to commit.
#[derive(Debug, Clone)]
pub(crate) struct NewOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) committed: Committed,
}

impl Coordinator {
    /// Commits; returns when it is on stable storage.
    ///
    /// # Errors
    /// Kafka's: an unknown or fenced member, a stale generation, a rebalance, a log that takes nothing.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        group_id: &str,
        committer: Committer,
        offsets: Vec<NewOffset>,
    ) -> Result<(), ResponseError> {
        if group_id.is_empty() && committer.generation >= 0 {
            return Err(ResponseError::InvalidGroupId);
        }
        let done = {
            let group = self.group_for_commit(group_id, committer.generation)?;
            let mut locked = lock(&group);
            if locked.dead {
                return Err(ResponseError::CoordinatorNotAvailable);
            }
            check_committer(&mut locked, &committer)?;
            self.check_there(&offsets)?;
            let content = Content::Plain(entries(group_id, &offsets));
            let (target, keys) = (Arc::clone(&group), keys_of(&offsets));
            let queued = self.put(content, move |stored| {
                let mut group = lock(&target);
                group.queued.remove(&keys_of(&offsets), false);
                for new in offsets.into_iter().filter(|_| stored) {
                    group.offsets.insert((new.topic, new.partition), new.committed);
                }
            })?;
            locked.queued.add(&keys, false);
            queued
        };
        stored(done).await
    }

    /// Commits within a producer's transaction: the offsets count when that is committed. `admit` is asked, under the
    /// group's lock, to queue what it is given if the transaction is open.
    ///
    /// # Errors
    /// Those of [`Self::commit`], and those of `admit`.
    pub(crate) async fn commit_in_transaction(
        self: &Arc<Self>,
        group_id: &str,
        committer: Committer,
        offsets: Vec<NewOffset>,
        transaction: &Slot,
        producer: ProducerRun,
    ) -> Result<(), ResponseError> {
        if group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let done = {
            let group = self.group_for_commit(group_id, committer.generation)?;
            let mut locked = lock(&group);
            if locked.dead {
                return Err(ResponseError::CoordinatorNotAvailable);
            }
            // Clients before group metadata was sent along do not say who they are.
            if committer.generation >= 0 || !committer.member_id.is_empty() {
                check_committer(&mut locked, &committer)?;
            }
            self.check_there(&offsets)?;
            let content = Content::Pending(producer, entries(group_id, &offsets));
            let (target, keys) = (Arc::clone(&group), keys_of(&offsets));
            let note = move |stored: bool| {
                let mut group = lock(&target);
                group.queued.remove(&keys_of(&offsets), true);
                if !stored {
                    return;
                }
                let undecided = group.undecided.entry(producer).or_default();
                for new in offsets {
                    undecided.insert((new.topic, new.partition), new.committed);
                }
            };
            // Under the transaction's lock, so that its marker comes later in the log.
            let queued = transaction.while_open(producer, OFFSETS_TOPIC, 0, || self.put(content, note))??;
            locked.queued.add(&keys, true);
            queued
        };
        stored(done).await
    }

    /// Decides about what a producer committed in its transaction; `false` if that could not be stored.
    pub(crate) async fn decide(self: &Arc<Self>, producer: ProducerRun, marker: Marker) -> bool {
        let this = Arc::clone(self);
        let queued = self.put(Content::Decision(producer, marker), move |stored| {
            if !stored {
                return;
            }
            for group in this.list() {
                let mut group = lock(&group);
                let decided: Vec<ProducerRun> =
                    group.undecided.keys().filter(|run| run.id == producer.id).copied().collect();
                for offsets in decided.iter().filter_map(|run| group.undecided.remove(run)).collect::<Vec<_>>() {
                    if marker == Marker::Commit {
                        group.offsets.extend(offsets);
                    }
                }
            }
        });
        match queued {
            Ok(done) => stored(done).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Whether the topics are there still: under the group's lock, so that one that is deleted takes its offsets with it.
    fn check_there(&self, offsets: &[NewOffset]) -> Result<(), ResponseError> {
        let is_there = |new: &NewOffset| self.catalog.get(&new.topic).is_some();
        if offsets.iter().all(is_there) { Ok(()) } else { Err(ResponseError::UnknownTopicOrPartition) }
    }

    /// Queues a content; `note` is told when it is on stable storage, or could not be put there.
    pub(super) fn put(
        &self,
        content: Content,
        note: impl FnOnce(bool) + Send + 'static,
    ) -> Result<oneshot::Receiver<bool>, ResponseError> {
        let (tell, done) = oneshot::channel();
        let queued = self.store.put(content, move |stored| {
            note(stored);
            let _ = tell.send(stored);
        });
        if queued { Ok(done) } else { Err(ResponseError::CoordinatorNotAvailable) }
    }

    /// The group, made if a committer without membership names a new one.
    fn group_for_commit(
        self: &Arc<Self>,
        group_id: &str,
        generation: i32,
    ) -> Result<Arc<std::sync::Mutex<Group>>, ResponseError> {
        match self.get(group_id) {
            Some(group) => Ok(group),
            None if generation < 0 => self.get_or_create(group_id),
            None => Err(ResponseError::IllegalGeneration),
        }
    }
}

fn keys_of(offsets: &[NewOffset]) -> Vec<(String, i32)> {
    offsets.iter().map(|new| (new.topic.clone(), new.partition)).collect()
}

/// Returns when what was queued is on stable storage.
pub(super) async fn stored(done: oneshot::Receiver<bool>) -> Result<(), ResponseError> {
    match done.await {
        Ok(true) => Ok(()),
        _ => Err(ResponseError::CoordinatorNotAvailable),
    }
}

/// Offsets as records.
fn entries(group_id: &str, offsets: &[NewOffset]) -> Vec<Entry> {
    let entry = |new: &NewOffset| {
        let key = Key::Offset { group: group_id.to_owned(), topic: new.topic.clone(), partition: new.partition };
        (key.encode(), Some(new.committed.encode()))
    };
    offsets.iter().map(entry).collect()
}

/// The topics that the members of a group read.
#[derive(Debug)]
pub(crate) enum Subscribed {
    /// There are no members.
    Nothing,
    Topics(HashSet<String>),
    /// The members do not say it in a way that is known here.
    Unknown,
}

impl Group {
    /// What its members read, as far as they say it.
    pub(crate) fn subscribed(&self) -> Subscribed {
        if let Some(consumers) = self.consumers.as_ref().filter(|consumers| !consumers.members.is_empty()) {
            return Subscribed::Topics(consumers.read_topics());
        }
        if self.members.is_empty() {
            return Subscribed::Nothing;
        }
        if self.protocol_type.as_deref() != Some(CONSUMER_PROTOCOL) {
            return Subscribed::Unknown;
        }
        let of_member = |member: &Member| subscription_topics(&member.protocols.first()?.1);
        let topics: Option<Vec<Vec<String>>> = self.members.values().map(of_member).collect();
        topics.map_or(Subscribed::Unknown, |topics| Subscribed::Topics(topics.into_iter().flatten().collect()))
    }
}

/// The topics at the front of a consumer's subscription, where they stand in every version of it.
pub(crate) fn subscription_topics(mut subscription: &[u8]) -> Option<Vec<String>> {
    let _version = subscription.try_get_i16().ok()?;
    let count = usize::try_from(subscription.try_get_i32().ok()?).ok()?;
    // Each topic takes two bytes at least: a count beyond that is no count.
    if count > subscription.len() / 2 {
        return None;
    }
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(subscription.try_get_i16().ok()?).ok()?;
        let (name, rest) = subscription.split_at_checked(length)?;
        topics.push(String::from_utf8(name.to_vec()).ok()?);
        subscription = rest;
    }
    Some(topics)
}

/// Whether this committer may commit now.
fn check_committer(group: &mut Group, committer: &Committer) -> Result<(), ResponseError> {
    let outside = committer.generation < 0 && committer.member_id.is_empty();
    if outside {
        // With members in the group, only they commit.
        let has_members = group.phase != Phase::Empty || group.has_consumers();
        return if !has_members { Ok(()) } else { Err(ResponseError::UnknownMemberId) };
    }
    if let Some(consumers) = &group.consumers {
        return consumers.check_committer(&committer.member_id, committer.generation);
    }
    group.check_member(&committer.member_id, committer.instance.as_deref(), committer.generation)?;
    if let Some(member) = group.members.get_mut(&committer.member_id) {
        member.touch(Instant::now());
    }
    match group.phase {
        Phase::Empty => Err(ResponseError::UnknownMemberId),
        Phase::Completing => Err(ResponseError::RebalanceInProgress),
        Phase::Preparing | Phase::Stable => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_subscription_are_read_and_nonsense_is_not() {
        let subscription = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        let topics = Some(vec!["a".to_owned(), "bc".to_owned()]);
        assert_eq!(subscription_topics(subscription), topics);
        for length in 0..13 {
            assert_eq!(subscription_topics(&subscription[..length]), None, "length {length}");
        }
        assert_eq!(subscription_topics(b"\0\x01\x7f\xff\xff\xff\0\x01a"), None);
        assert_eq!(subscription_topics(b"\0\x01\xff\xff\xff\xff"), None);
    }
}
