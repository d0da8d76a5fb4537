//! The names of this crate's metrics, and the handles through which they are told.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram};

/// Counter, labels `db` and `outcome` (`committed`, `rolled_back`, `timed_out`, `failed`): units of work that ended.
pub const UNITS_TOTAL: &str = "db_units_total";
/// Histogram, label `db`, seconds: how long a commit took, the flush to disk included.
pub const COMMIT_SECONDS: &str = "db_commit_seconds";
/// Histogram, label `db`, units: how many units one commit made durable.
pub const BATCH_UNITS: &str = "db_batch_units";
/// Gauge, label `db`, units: how many units wait for their turn.
pub const UNITS_WAITING: &str = "db_units_waiting";

/// How a unit ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Committed,
    RolledBack,
    TimedOut,
    Failed,
}

/// What a database has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Commits carried out (SQLite: each makes a whole batch of units durable).
    pub commits: u64,
    /// Units that are durable.
    pub units_committed: u64,
    /// Units rolled back by their owner, or dropped.
    pub units_rolled_back: u64,
    /// Units rolled back because they took too long.
    pub units_timed_out: u64,
    /// Units whose commit failed or whose transaction the database gave up.
    pub units_failed: u64,
    /// Units waiting for their turn now.
    pub units_waiting: u64,
}

/// Counts for [`Stats`] and for the process's metrics recorder.
#[derive(Debug)]
pub(crate) struct Meter {
    commits: AtomicU64,
    outcomes: [(AtomicU64, Counter); 4],
    waiting: AtomicU64,
    commit_seconds: Histogram,
    batch_units: Histogram,
    units_waiting: Gauge,
}

impl Meter {
    /// Handles are made once, so a recorder must be installed before the database is opened.
    pub(crate) fn new(db: &str) -> Self {
        metrics::describe_counter!(UNITS_TOTAL, "Units of work that ended, by outcome");
        metrics::describe_histogram!(COMMIT_SECONDS, metrics::Unit::Seconds, "Time of a commit, flush included");
        metrics::describe_histogram!(BATCH_UNITS, "Units of work made durable by one commit");
        metrics::describe_gauge!(UNITS_WAITING, "Units of work waiting for their turn");
        let db = db.to_owned();
        let outcome = |outcome: &'static str| {
            let counter = metrics::counter!(UNITS_TOTAL, "db" => db.clone(), "outcome" => outcome);
            (AtomicU64::new(0), counter)
        };
        Self {
            commits: AtomicU64::new(0),
            outcomes: [outcome("committed"), outcome("rolled_back"), outcome("timed_out"), outcome("failed")],
            waiting: AtomicU64::new(0),
            commit_seconds: metrics::histogram!(COMMIT_SECONDS, "db" => db.clone()),
            batch_units: metrics::histogram!(BATCH_UNITS, "db" => db.clone()),
            units_waiting: metrics::gauge!(UNITS_WAITING, "db" => db),
        }
    }

    pub(crate) fn ended(&self, outcome: Outcome, units: u64) {
        if units == 0 {
            return;
        }
        let (count, counter) = &self.outcomes[outcome as usize];
        count.fetch_add(units, Ordering::Relaxed);
        counter.increment(units);
    }

    pub(crate) fn committed(&self, units: u64, seconds: f64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commit_seconds.record(seconds);
        // a batch is far below 2^52, where this would begin to round
        #[allow(clippy::cast_precision_loss, reason = "a batch is far below 2^52")]
        self.batch_units.record(units as f64);
        self.ended(Outcome::Committed, units);
    }

    pub(crate) fn waits(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.units_waiting.increment(1.0);
    }

    pub(crate) fn waits_no_more(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.units_waiting.decrement(1.0);
    }

    pub(crate) fn stats(&self) -> Stats {
        let count = |outcome: Outcome| self.outcomes[outcome as usize].0.load(Ordering::Relaxed);
        Stats {
            commits: self.commits.load(Ordering::Relaxed),
            units_committed: count(Outcome::Committed),
            units_rolled_back: count(Outcome::RolledBack),
            units_timed_out: count(Outcome::TimedOut),
            units_failed: count(Outcome::Failed),
            units_waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}
