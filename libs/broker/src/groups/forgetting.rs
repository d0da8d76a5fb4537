//! Forgetting what groups committed: on request, with its topic, and when nobody used it for long.
//!
//! What removes comes later in the log than what it removes, also than commits that are on their way there: so neither
//! a restart nor a commit that was under way brings anything back.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::ResponseError;

use crate::groups::coordinator::Coordinator;
use crate::groups::group::{Group, Phase};
use crate::groups::offsets::stored;
use crate::groups::records::Key;
use crate::state_log::{Content, Entry};
use crate::sync::lock;

/// Commits of a group that are queued for the log and not noted yet.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    /// How many there are of each partition.
    keys: HashMap<(String, i32), usize>,
    /// Requests that are part of a transaction.
    transactional: usize,
}

impl Queued {
    pub(super) fn add(&mut self, keys: &[(String, i32)], transactional: bool) {
        for key in keys {
            *self.keys.entry(key.clone()).or_default() += 1;
        }
        self.transactional += usize::from(transactional);
    }

    pub(super) fn remove(&mut self, keys: &[(String, i32)], transactional: bool) {
        for key in keys {
            if let Some(count) = self.keys.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.keys.remove(key);
                }
            }
        }
        self.transactional -= usize::from(transactional);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.transactional == 0
    }
}

impl Group {
    /// Partitions for which something is committed, waits for its transaction, or is on its way to the log.
    pub(crate) fn committed_keys(&self, wanted: impl Fn(&str, i32) -> bool) -> Vec<(String, i32)> {
        let undecided = self.undecided.values().flat_map(|offsets| offsets.keys());
        let keys = self.offsets.keys().chain(undecided).chain(self.queued.keys.keys());
        let keys: BTreeSet<_> = keys.filter(|(topic, partition)| wanted(topic, *partition)).collect();
        keys.into_iter().cloned().collect()
    }

    /// Whether nobody has used it since then, in the broker's time.
    fn is_idle(&self, before: i64) -> bool {
        let since = self.stored.as_ref().map_or(i64::MIN, |stored| stored.since_ms);
        let since = since.max(self.consumers.as_ref().map_or(i64::MIN, |consumers| consumers.alive_ms));
        let has_members = self.phase != Phase::Empty || !self.pending.is_empty() || self.has_consumers();
        !has_members && self.undecided.is_empty() && self.queued.is_empty() && since < before
    }

    /// Partitions whose offsets nobody has used since then.
    fn expired_keys(&self, before: i64) -> Vec<(String, i32)> {
        if !self.is_idle(before) {
            return Vec::new();
        }
        let expired = self.offsets.iter().filter(|(_, committed)| committed.committed_ms < before);
        expired.map(|(key, _)| key.clone()).collect()
    }
}

impl Coordinator {
    /// Removes a group without members, its offsets too; returns when that is on stable storage.
    pub(crate) async fn delete(&self, group_id: &str) -> Result<(), ResponseError> {
        self.delete_if(group_id, |_| true).await
    }

    async fn delete_if(&self, group_id: &str, admit: impl Fn(&Group) -> bool) -> Result<(), ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::GroupIdNotFound)?;
        let done = {
            let mut groups = lock(&self.groups);
            let mut locked = lock(&group);
            if locked.dead {
                return Err(ResponseError::GroupIdNotFound);
            }
            let has_members = !locked.members.is_empty() || !locked.pending.is_empty() || locked.has_consumers();
            let has_undecided = !locked.undecided.is_empty() || locked.queued.transactional > 0;
            if has_members || has_undecided || !admit(&locked) {
                return Err(ResponseError::NonEmptyGroup);
            }
            let done = self.put(Content::Plain(tombstones(&locked)), |_| {})?;
            locked.dead = true;
            groups.remove(group_id);
            done
        };
        stored(done).await
    }

    /// Forgets what groups committed for a topic that is gone.
    pub(crate) async fn forget_topic(&self, name: &str) {
        for group in self.list() {
            let of_topic = |group: &Group| group.committed_keys(|topic, _| topic == name);
            if let Err(error) = self.remove_offsets(&group, of_topic).await {
                tracing::warn!(topic = name, code = error.code(), "offsets of a deleted topic are left");
            }
        }
    }

    /// Removes offsets of the partitions that `doomed` names; returns when that is on stable storage.
    pub(crate) async fn remove_offsets(
        &self,
        group: &Arc<Mutex<Group>>,
        doomed: impl FnOnce(&Group) -> Vec<(String, i32)>,
    ) -> Result<(), ResponseError> {
        let done = {
            let locked = lock(group);
            let gone = doomed(&locked);
            if gone.is_empty() {
                return Ok(());
            }
            let content = Content::Plain(gone.iter().map(|key| (offset_key(&locked, key), None)).collect());
            let target = Arc::clone(group);
            self.put(content, move |stored| {
                let mut group = lock(&target);
                for key in gone.iter().filter(|_| stored) {
                    group.offsets.remove(key);
                    group.undecided.values_mut().for_each(|offsets| drop(offsets.remove(key)));
                }
            })?
        };
        stored(done).await
    }

    pub(super) async fn sweep_until_stop(&self) {
        let mut every = tokio::time::interval(Duration::from_millis(self.config.offsets_retention_check_interval_ms));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        every.tick().await;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = every.tick() => self.sweep().await,
            }
        }
    }

    /// Removes offsets that nobody used for too long, and groups of which nothing is left.
    pub(crate) async fn sweep(&self) {
        let before = self.clock.now_ms().saturating_sub(self.config.offsets_retention_ms);
        let is_over = |group: &Group| group.is_idle(before) && group.is_vacant();
        for group in self.list() {
            let _ = self.remove_offsets(&group, |group| group.expired_keys(before)).await;
            let (id, over) = {
                let locked = lock(&group);
                (Arc::clone(&locked.id), is_over(&locked))
            };
            if over {
                let _ = self.delete_if(&id, is_over).await;
            }
        }
    }
}

fn offset_key(group: &Group, (topic, partition): &(String, i32)) -> Vec<u8> {
    Key::Offset { group: group.id.to_string(), topic: topic.clone(), partition: *partition }.encode()
}

/// Everything that the log has of a group, or will have, removed.
fn tombstones(group: &Group) -> Vec<Entry> {
    let offsets = group.committed_keys(|_, _| true);
    let mut entries: Vec<Entry> = offsets.iter().map(|key| (offset_key(group, key), None)).collect();
    entries.push((Key::Group { group: group.id.to_string() }.encode(), None));
    entries.extend(group.kept.keys().map(|key| (key.clone(), None)));
    entries
}
