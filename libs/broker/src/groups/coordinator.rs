//! The coordinator of all groups: finds them, tends their deadlines, stores what must survive.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::{Catalog, OFFSETS_TOPIC, Topic};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::groups::consumers::kept::{self, Records};
use crate::groups::consumers::{Consumers, World};
use crate::groups::group::{Group, Joined, Offsets, Phase, Synced};
use crate::groups::membership::{GroupLimits, Join, Pending, Sync, SyncStep};
use crate::groups::records::{Committed, Key, Snapshot};
use crate::log::control::Marker;
use crate::log::records::Record;
use crate::num::i32_of;
use crate::state_log::{self, Content, Ends, Entry, ProducerRun, Said, Store};
use crate::sync::lock;

/// All groups.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(super) config: Arc<Config>,
    pub(super) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(super) catalog: Arc<Catalog>,
    pub(super) groups: Mutex<HashMap<Arc<str>, Arc<Mutex<Group>>>>,
    pub(super) stop: CancellationToken,
    tasks: TaskTracker,
}

impl Coordinator {
    /// Reads the log of group states and begins to tend what is in it.
    pub(crate) async fn start(
        config: Arc<Config>,
        catalog: Arc<Catalog>,
        ends: Ends,
        tasks: TaskTracker,
    ) -> Result<Arc<Self>, Error> {
        let stop = ends.stop.clone();
        let topic = state_log::topic(&catalog, OFFSETS_TOPIC).await?;
        let failed = || Error::Topic { topic: OFFSETS_TOPIC.to_owned(), reason: "it has no partition".to_owned() };
        let (store, writer) = Store::new(&topic).ok_or_else(failed)?;
        let session = Duration::from_millis(config.consumer_group_session_timeout_ms);
        let (world, now_ms) = (world(&catalog), config.clock.now_ms());
        let groups = tokio::task::spawn_blocking(move || restore(&topic, &world, session, now_ms))
            .await
            .map_err(|_| Error::Worker { operation: "replaying groups" })??;
        let clock = Arc::clone(&config.clock);
        let coordinator = Arc::new(Self { config, clock, store, catalog, groups: Mutex::new(groups), stop, tasks });
        let state = Arc::downgrade(&coordinator);
        coordinator.tasks.spawn(ends.run(async move {
            writer.run(move || state.upgrade().map(|coordinator| coordinator.contents()).unwrap_or_default()).await;
        }));
        let sweeper = Arc::clone(&coordinator);
        coordinator.tasks.spawn(async move { sweeper.sweep_until_stop().await });
        for group in coordinator.list() {
            coordinator.ensure_tended(&group);
        }
        Ok(coordinator)
    }

    /// The group, if there is one.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Mutex<Group>>> {
        lock(&self.groups).get(id).cloned()
    }

    /// The group, made if there is none.
    pub(crate) fn get_or_create(&self, id: &str) -> Result<Arc<Mutex<Group>>, ResponseError> {
        let mut groups = lock(&self.groups);
        if let Some(group) = groups.get(id) {
            return Ok(Arc::clone(group));
        }
        if groups.len() >= self.config.groups_max {
            return Err(ResponseError::PolicyViolation);
        }
        let id: Arc<str> = Arc::from(id);
        let group = Arc::new(Mutex::new(Group::new(Arc::clone(&id))));
        groups.insert(id, Arc::clone(&group));
        Ok(group)
    }

    /// All groups.
    pub(crate) fn list(&self) -> Vec<Arc<Mutex<Group>>> {
        lock(&self.groups).values().cloned().collect()
    }

    /// A member wants in; returns when the generation begins.
    pub(crate) async fn join(self: &Arc<Self>, group_id: &str, join: Join) -> Joined {
        let member_id = join.member_id.clone();
        if group_id.is_empty() {
            return Joined::refused(&ResponseError::InvalidGroupId, &member_id);
        }
        let session = i32::try_from(join.session_timeout.as_millis()).unwrap_or(i32::MAX);
        if !(self.config.group_session_timeout_min_ms..=self.config.group_session_timeout_max_ms).contains(&session) {
            return Joined::refused(&ResponseError::InvalidSessionTimeout, &member_id);
        }
        let found = match self.get(group_id) {
            Some(group) => Ok(group),
            None if join.member_id.is_empty() => self.get_or_create(group_id),
            None => Err(ResponseError::UnknownMemberId),
        };
        let group = match found {
            Ok(group) => group,
            Err(error) => return Joined::refused(&error, &member_id),
        };
        let limits = GroupLimits {
            members_max: self.config.group_members_max,
            initial_delay: Duration::from_millis(self.config.group_initial_rebalance_delay_ms),
        };
        let pending = {
            let found = Arc::clone(&group);
            let mut group = lock(&group);
            if group.dead {
                return Joined::refused(&ResponseError::CoordinatorNotAvailable, &member_id);
            }
            if group.has_consumers() {
                return Joined::refused(&ResponseError::InconsistentGroupProtocol, &member_id);
            }
            group.consumers = None;
            let _ = self.keep_consumers(&found, &mut group);
            group.join(join, limits, Instant::now())
        };
        self.ensure_tended(&group);
        match pending {
            Pending::Now(joined) => joined,
            Pending::Later(joined) => self
                .until_stop(joined)
                .await
                .unwrap_or_else(|| Joined::refused(&ResponseError::NotCoordinator, &member_id)),
        }
    }

    /// A member asks for its assignment; returns when the leader has assigned and that is on stable storage.
    pub(crate) async fn sync(self: &Arc<Self>, group_id: &str, sync: Sync) -> Synced {
        let Some(group) = self.get(group_id) else { return Synced::refused(&ResponseError::UnknownMemberId) };
        let answer = {
            let mut locked = lock(&group);
            match locked.sync(sync, Instant::now()) {
                SyncStep::Answer(answer) => answer,
                SyncStep::Store { generation, answer } => {
                    if !self.store_assignment(&group, &mut locked, generation) {
                        locked.assigned(generation, false, Instant::now());
                    }
                    Pending::Later(answer)
                }
            }
        };
        match answer {
            Pending::Now(synced) => synced,
            Pending::Later(synced) => {
                self.until_stop(synced).await.unwrap_or_else(|| Synced::refused(&ResponseError::RebalanceInProgress))
            }
        }
    }

    fn store_assignment(&self, group: &Arc<Mutex<Group>>, locked: &mut Group, generation: i32) -> bool {
        let snapshot = locked.snapshot(self.clock.now_ms());
        let key = Key::Group { group: locked.id.to_string() };
        let target = Arc::clone(group);
        let content = Content::Plain(vec![(key.encode(), Some(snapshot.encode()))]);
        self.store.put(content, move |stored| {
            let mut group = lock(&target);
            if stored {
                group.stored = Some(snapshot);
            }
            group.assigned(generation, stored, Instant::now());
        })
    }

    /// A member is alive.
    pub(crate) fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::UnknownMemberId)?;
        lock(&group).heartbeat(member_id, instance, generation, Instant::now())
    }

    /// A member leaves.
    pub(crate) fn leave(&self, group_id: &str, member_id: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        let group = self.get(group_id).ok_or(ResponseError::UnknownMemberId)?;
        let mut locked = lock(&group);
        let result = locked.leave(member_id, instance, Instant::now());
        self.store_if_emptied(&group, &mut locked);
        result
    }

    /// Starts a task that tends the group's deadlines, unless one does or there are none.
    pub(super) fn ensure_tended(self: &Arc<Self>, group: &Arc<Mutex<Group>>) {
        {
            let mut locked = lock(group);
            if locked.tended || (locked.members.is_empty() && locked.pending.is_empty() && !locked.has_consumers()) {
                return;
            }
            locked.tended = true;
        }
        let this = Arc::clone(self);
        let group = Arc::clone(group);
        self.tasks.spawn(async move { this.tend(&group).await });
    }

    async fn tend(&self, group: &Arc<Mutex<Group>>) {
        loop {
            let (next, changed) = {
                let mut locked = lock(group);
                let next = locked.tend(Instant::now());
                self.store_if_emptied(group, &mut locked);
                // Unless it is stored whoever is out comes back after a restart, and is out again then.
                let _ = self.keep_consumers(group, &mut locked);
                let Some(next) = next else {
                    locked.tended = false;
                    return;
                };
                (next, Arc::clone(&locked.changed))
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(next) => {}
                () = changed.notified() => {}
            }
        }
    }

    fn store_if_emptied(&self, group: &Arc<Mutex<Group>>, locked: &mut Group) {
        if !std::mem::take(&mut locked.emptied) || locked.phase != Phase::Empty {
            return;
        }
        let snapshot = locked.snapshot(self.clock.now_ms());
        let key = Key::Group { group: locked.id.to_string() };
        let target = Arc::clone(group);
        // Unless it is stored the members come back after a restart, and their sessions end then.
        let content = Content::Plain(vec![(key.encode(), Some(snapshot.encode()))]);
        let _ = self.store.put(content, move |stored| {
            if stored {
                lock(&target).stored = Some(snapshot);
            }
        });
    }

    /// Everything there is, as it is to be written.
    fn contents(&self) -> Vec<Content> {
        let mut entries = Vec::new();
        let mut undecided: HashMap<ProducerRun, Vec<Entry>> = HashMap::new();
        for group in self.list() {
            let locked = lock(&group);
            if let Some(stored) = &locked.stored {
                entries.push((Key::Group { group: locked.id.to_string() }.encode(), Some(stored.encode())));
            }
            if let Some(consumers) = &locked.consumers {
                entries.extend(consumers.records(&locked.id).into_iter().map(|(key, value)| (key, Some(value))));
            }
            let entry = |(topic, partition): &(String, i32), committed: &Committed| {
                let key = Key::Offset { group: locked.id.to_string(), topic: topic.clone(), partition: *partition };
                (key.encode(), Some(committed.encode()))
            };
            entries.extend(locked.offsets.iter().map(|(key, committed)| entry(key, committed)));
            for (producer, offsets) in &locked.undecided {
                let pending = offsets.iter().map(|(key, committed)| entry(key, committed));
                undecided.entry(*producer).or_default().extend(pending);
            }
        }
        let pending = undecided.into_iter().map(|(producer, entries)| Content::Pending(producer, entries));
        [Content::Plain(entries)].into_iter().chain(pending).collect()
    }

    async fn until_stop<T>(&self, answer: oneshot::Receiver<T>) -> Option<T> {
        tokio::select! {
            answer = answer => answer.ok(),
            () = self.stop.cancelled() => None,
        }
    }
}

/// Topics as members of KIP-848 may read them.
pub(crate) fn world(catalog: &Catalog) -> World {
    let topics = catalog.list();
    let topics = topics.iter().filter(|topic| !topic.is_internal());
    topics.map(|topic| (topic.name.clone(), topic.id, i32_of(topic.partitions.len()))).collect()
}

/// What the log of groups says, as far as it was read.
#[derive(Debug, Default)]
struct Restored {
    snapshots: HashMap<String, Snapshot>,
    offsets: HashMap<String, Offsets>,
    /// Of groups of KIP-848.
    consumers: HashMap<String, Records>,
    /// What waits for a decision, by producer and group.
    undecided: HashMap<ProducerRun, HashMap<String, Offsets>>,
}

impl Restored {
    fn take(&mut self, said: &Said<'_>) {
        match said {
            Said::Record(record) => self.take_record(record),
            Said::Pending(producer, record) => {
                if let Some((Key::Offset { group, topic, partition }, Some(committed))) = offset_of(record) {
                    let offsets = self.undecided.entry(*producer).or_default().entry(group).or_default();
                    offsets.insert((topic, partition), committed);
                }
            }
            Said::Decision(producer, marker) => {
                // A marker that fences has a later epoch than what it decides about.
                let decided: Vec<ProducerRun> =
                    self.undecided.keys().filter(|run| run.id == producer.id).copied().collect();
                for (group, offsets) in decided.iter().filter_map(|run| self.undecided.remove(run)).flatten() {
                    if *marker == Marker::Commit {
                        self.offsets.entry(group).or_default().extend(offsets);
                    }
                }
            }
        }
    }

    fn take_record(&mut self, record: &Record<'_>) {
        if let Some((Key::Offset { group, topic, partition }, committed)) = offset_of(record) {
            let offsets = self.offsets.entry(group.clone()).or_default();
            match committed {
                Some(committed) => drop(offsets.insert((topic, partition), committed)),
                None => {
                    offsets.remove(&(topic.clone(), partition));
                    // Also what waits for a decision, as it was when this was written.
                    let pending = self.undecided.values_mut().filter_map(|groups| groups.get_mut(&group));
                    pending.for_each(|offsets| drop(offsets.remove(&(topic.clone(), partition))));
                }
            }
            return;
        }
        if let Some((key, group)) = record.key.and_then(|key| Some((key, kept::group_of(key)?))) {
            let records = self.consumers.entry(group).or_default();
            match record.value {
                Some(value) => records.insert(key.to_vec(), value.to_vec()),
                None => records.remove(key),
            };
            return;
        }
        if let Some(Key::Group { group }) = record.key.and_then(Key::decode) {
            match record.value {
                Some(value) => self.snapshots.extend(Snapshot::decode(value).map(|snapshot| (group, snapshot))),
                None => {
                    self.snapshots.remove(&group);
                }
            }
        }
    }
}

/// The key of a committed offset, and what it says; `None` for other records, and for values that are unreadable.
fn offset_of(record: &Record<'_>) -> Option<(Key, Option<Committed>)> {
    let key = record.key.and_then(Key::decode).filter(|key| matches!(key, Key::Offset { .. }))?;
    match record.value {
        Some(value) => Some((key, Some(Committed::decode(value)?))),
        None => Some((key, None)),
    }
}

/// The groups as the log tells them; blocking.
fn restore(
    topic: &Topic,
    world: &World,
    session: Duration,
    now_ms: i64,
) -> Result<HashMap<Arc<str>, Arc<Mutex<Group>>>, Error> {
    let Some(partition) = topic.partition(0) else { return Ok(HashMap::new()) };
    let mut restored = Restored::default();
    let replayed = state_log::replay(partition, |said| restored.take(&said));
    let replayed =
        replayed.map_err(|error| Error::Topic { topic: OFFSETS_TOPIC.to_owned(), reason: error.to_string() })?;
    let now = Instant::now();
    let mut groups: HashMap<Arc<str>, Arc<Mutex<Group>>> = HashMap::new();
    let with_offsets = restored.offsets.iter().filter(|(_, offsets)| !offsets.is_empty()).map(|(id, _)| id);
    let with_undecided = restored.undecided.values().flat_map(HashMap::keys);
    restored.consumers.retain(|_, records| !records.is_empty());
    let known = restored.snapshots.keys().chain(restored.consumers.keys());
    let ids: BTreeSet<String> = with_offsets.chain(known).chain(with_undecided).cloned().collect();
    for id in ids {
        let mut group = Group::new(Arc::from(id.as_str()));
        if let Some(snapshot) = restored.snapshots.remove(&id) {
            group.restore(snapshot, now);
        }
        if let Some(records) = restored.consumers.remove(&id) {
            let consumers = Consumers::restore(&records, world.clone(), session, now);
            // Its offsets are kept as long as if it had been there until now.
            group.consumers = consumers.map(|mut consumers| {
                consumers.alive_ms = now_ms;
                consumers
            });
            group.kept = records;
        }
        group.offsets = restored.offsets.remove(&id).unwrap_or_default();
        for (producer, undecided) in &mut restored.undecided {
            group.undecided.extend(undecided.remove(&id).map(|offsets| (*producer, offsets)));
        }
        groups.insert(Arc::clone(&group.id), Arc::new(Mutex::new(group)));
    }
    tracing::debug!(records = replayed, groups = groups.len(), "groups restored");
    Ok(groups)
}
