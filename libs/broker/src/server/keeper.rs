//! Housekeeping in the background: the checkpoint while something changes, retention, closing idle files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, is_internal};
use crate::config::Config;
use crate::groups::coordinator::Coordinator;
use crate::groups::group::Offsets;
use crate::lines::Lines;
use crate::log::checkpoint::{self, Checkpoint};
use crate::metrics as names;
use crate::sync::lock;

/// How often what is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) checkpoint_every: Duration,
    pub(crate) retention_every: Duration,
    pub(crate) compaction_every: Duration,
    pub(crate) compaction_keys_max: usize,
    pub(crate) measure_every: Duration,
}

impl Pace {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            checkpoint_every: Duration::from_millis(config.checkpoint_interval_ms),
            retention_every: Duration::from_millis(config.retention_check_interval_ms),
            compaction_every: Duration::from_millis(config.compaction_check_interval_ms),
            compaction_keys_max: config.compaction_keys_max,
            measure_every: Duration::from_millis(config.measure_interval_ms),
        }
    }
}

/// Runs until the broker stops; without traffic it only wakes for retention and compaction.
pub(crate) async fn run(catalog: Arc<Catalog>, groups: Arc<Coordinator>, pace: Pace, stop: CancellationToken) {
    let mut retention = interval(Duration::ZERO, pace.retention_every);
    let mut compaction = interval(pace.compaction_every, pace.compaction_every);
    let mut measuring = interval(pace.measure_every, pace.measure_every);
    let mut measured = Measured::default();
    let mut idle_since = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = catalog.env.changed.notified() => {
                // A pause first, so that many changes make one checkpoint.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pace.checkpoint_every) => {}
                }
                save_checkpoint(&catalog, false).await;
            }
            _ = retention.tick() => {
                apply_retention(&catalog).await;
                idle_since = catalog.env.files.close_idle(idle_since);
            }
            _ = measuring.tick() => measured = measure_apart(&catalog, &groups, measured).await,
            _ = compaction.tick() => compact(&catalog, pace.compaction_keys_max).await,
        }
    }
}

/// Notes in the checkpoint what changed; `all` also writes every recovery point, as a clean stop does.
pub(crate) async fn save_checkpoint(catalog: &Arc<Catalog>, all: bool) -> bool {
    let catalog = Arc::clone(catalog);
    let saved = tokio::task::spawn_blocking(move || {
        let _alone = crate::sync::lock(&catalog.checkpointing);
        let mut changed = false;
        let mut checkpoint = Checkpoint::new();
        for partition in catalog.partitions() {
            let known = match partition.checkpoint(all) {
                Some(known) => {
                    changed = true;
                    known
                }
                None => partition.known(),
            };
            checkpoint.insert((partition.topic_id, partition.index), known);
        }
        if !changed {
            return true;
        }
        match checkpoint::save(&*catalog.env.disk, &catalog.env.data_dir, &checkpoint) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "checkpoint not written, the next recovery scans more");
                // What it would have said is still to be said.
                for partition in catalog.partitions() {
                    partition.state().note_changed();
                }
                false
            }
        }
    });
    saved.await.unwrap_or(false)
}

/// Groups and topics whose lag is told at most: what was told once is in the registry of metrics for good.
const LAGS_MAX: usize = 10_000;

/// A group may have a new name every time.
static UNTOLD_LAGS: Lines = Lines::new(1);

/// What was told the last time: what is gone since then is told once more, as nothing.
#[derive(Debug, Default)]
struct Measured {
    topics: BTreeSet<Arc<str>>,
    lags: BTreeSet<(Arc<str>, String)>,
    ever: Ever,
}

/// The lags that were told at any time, up to a number.
#[derive(Debug, Default)]
struct Ever(BTreeSet<(Arc<str>, String)>);

impl Ever {
    /// Whether this one is told: if it was before, or there is room.
    fn admit(&mut self, group: &Arc<str>, topic: &str, max: usize) -> bool {
        let key = (Arc::clone(group), topic.to_owned());
        self.0.contains(&key) || (self.0.len() < max && self.0.insert(key))
    }
}

/// As [`measure`], in a thread that may wait for whoever holds a partition.
async fn measure_apart(catalog: &Arc<Catalog>, groups: &Arc<Coordinator>, mut measured: Measured) -> Measured {
    let (catalog, groups) = (Arc::clone(catalog), Arc::clone(groups));
    let measuring = tokio::task::spawn_blocking(move || {
        measure(&catalog, &groups, &mut measured);
        measured
    });
    measuring.await.unwrap_or_else(|_| {
        tracing::error!("measuring worker was lost");
        Measured::default()
    })
}

/// Tells how large topics are, and how far groups are behind.
fn measure(catalog: &Catalog, groups: &Coordinator, before: &mut Measured) {
    let mut now = Measured { ever: std::mem::take(&mut before.ever), ..Measured::default() };
    let size = |topic: &Arc<str>, bytes: u64| {
        metrics::gauge!(names::LOG_BYTES, "topic" => Arc::clone(topic)).set(bytes as f64);
    };
    for topic in catalog.list() {
        size(&topic.name, topic.partitions.iter().map(|partition| partition.size_bytes()).sum());
        now.topics.insert(Arc::clone(&topic.name));
    }
    let behind = |group: &Arc<str>, topic: &str, lag: i64| {
        metrics::gauge!(names::GROUP_LAG, "group" => Arc::clone(group), "topic" => topic.to_owned()).set(lag as f64);
    };
    for group in groups.list() {
        let (id, offsets) = {
            let group = lock(&group);
            (Arc::clone(&group.id), group.offsets.clone())
        };
        for (topic, lag) in lags(catalog, &offsets) {
            if !now.ever.admit(&id, &topic, LAGS_MAX) {
                if let Some(left_out) = UNTOLD_LAGS.admit() {
                    tracing::debug!(left_out, "lag of a group is not told, too many were");
                }
                continue;
            }
            behind(&id, &topic, lag);
            now.lags.insert((Arc::clone(&id), topic));
        }
    }
    before.topics.difference(&now.topics).for_each(|topic| size(topic, 0));
    before.lags.difference(&now.lags).for_each(|(group, topic)| behind(group, topic, 0));
    *before = now;
}

/// Records that are not committed, by topic.
fn lags(catalog: &Catalog, offsets: &Offsets) -> BTreeMap<String, i64> {
    let mut lags: BTreeMap<String, i64> = BTreeMap::new();
    for ((topic, index), committed) in offsets {
        let Some(partition) = catalog.get(topic).and_then(|topic| topic.partition(*index).cloned()) else { continue };
        let behind = partition.offsets().high_watermark.saturating_sub(committed.offset).max(0);
        *lags.entry(topic.clone()).or_default() += behind;
    }
    lags
}

fn interval(first: Duration, every: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + first, every.max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

/// Cleans the partitions of compacted topics, one after the other; the broker's own state logs write themselves anew.
async fn compact(catalog: &Arc<Catalog>, keys_max: usize) {
    for partition in catalog.partitions() {
        if !partition.config().compacts || is_internal(&partition.topic) {
            continue;
        }
        let cleaned = Arc::clone(&partition);
        match tokio::task::spawn_blocking(move || cleaned.compact(keys_max)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(topic = %partition.topic, partition = partition.index, error = &error as &dyn std::error::Error, "compaction failed");
            }
            Err(_) => tracing::error!("compaction worker was lost"),
        }
    }
}

async fn apply_retention(catalog: &Arc<Catalog>) {
    let catalog = Arc::clone(catalog);
    let done = tokio::task::spawn_blocking(move || {
        for partition in catalog.partitions() {
            if let Err(error) = partition.apply_retention() {
                tracing::warn!(topic = %partition.topic, partition = partition.index, error = &error as &dyn std::error::Error, "retention failed");
            }
        }
    });
    if done.await.is_err() {
        tracing::error!("retention worker was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_of_ever_new_groups_do_not_fill_the_registry() {
        let mut ever = Ever::default();
        let told = (0..10).filter(|at| ever.admit(&Arc::from(format!("group {at}")), "t", 3)).count();
        assert_eq!(told, 3);
        assert!(ever.admit(&Arc::from("group 0"), "t", 3), "what was told is told on");
        assert!(!ever.admit(&Arc::from("group 0"), "another", 3));
    }
}
