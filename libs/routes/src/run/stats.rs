//! What routes and their steps have done, in numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, Ordering::Relaxed};
use std::time::Duration;

use crate::check::Step;
use crate::exchange::Text;

/// A step as it stands in a file, and what it has done.
#[derive(Debug)]
pub struct StepInfo {
    /// Its id in the file; otherwise its kind and its line, for example `setBody:12`. No other step of the route has it.
    pub name: Text,
    /// What kind of step it is, for example `setBody`.
    pub kind: &'static str,
    /// The file in which it stands: of error handling, another than that of the route, perhaps.
    pub file: Arc<str>,
    /// The line where it begins.
    pub line: usize,
    /// How many steps it stands in.
    pub depth: usize,
    /// The addresses that it sends to, as far as the file says them, without options.
    pub sends_to: Vec<Text>,
    /// What it has done.
    pub stats: Stats,
}

impl StepInfo {
    /// The names that a step may have, the best first.
    pub(crate) fn names(step: &Step) -> impl Iterator<Item = String> {
        let (element, kind) = (&step.element, step.kind.spec.name);
        let (line, column) = (element.at.line, element.at.column);
        let first = element.id.clone().unwrap_or_else(|| format!("{kind}:{line}"));
        let second = format!("{first}:{column}");
        let others = (2..).map(move |number| format!("{kind}:{line}:{column}:{number}"));
        [first, second].into_iter().chain(others)
    }
}

/// Counters of a route or of a step.
#[derive(Debug, Default)]
pub struct Stats {
    begun: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
    handled: AtomicU64,
    redelivered: AtomicU64,
    dead_lettered: AtomicU64,
    nanos: AtomicU64,
    last_nanos: AtomicU64,
    unacknowledged: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Exchanges that came in.
    pub total: u64,
    /// Exchanges that ended with an exception: of a step, those that it failed, whoever handled that then.
    pub failed: u64,
    /// Exceptions that `onException` or a dead letter channel handled; of a route alone.
    pub handled: u64,
    /// Attempts after the first.
    pub redelivered: u64,
    /// Exchanges that became a dead letter: of their source, or by the route's dead letter channel.
    pub dead_lettered: u64,
    /// Exchanges that are under way.
    pub in_flight: u64,
    /// Exchanges that have been through the steps, and wait for what they sent to be acknowledged; of a route alone.
    pub unacknowledged: u64,
    /// The time of all exchanges that ended, in nanoseconds, waits between attempts included.
    pub nanos: u64,
    /// The time of the exchange that ended last.
    pub last: Duration,
}

impl Snapshot {
    /// The time of an exchange in the mean.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.nanos.checked_div(self.total - self.in_flight).unwrap_or(0))
    }
}

impl Stats {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        // In this order, so that never more has ended than begun.
        let ended = self.ended.load(Ordering::Acquire);
        let total = self.begun.load(Relaxed);
        Snapshot {
            total,
            failed: self.failed.load(Relaxed),
            handled: self.handled.load(Relaxed),
            redelivered: self.redelivered.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            in_flight: total.saturating_sub(ended),
            unacknowledged: self.unacknowledged.load(Relaxed),
            nanos: self.nanos.load(Relaxed),
            last: Duration::from_nanos(self.last_nanos.load(Relaxed)),
        }
    }

    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self, is_failed: bool, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
        self.last_nanos.store(nanos, Relaxed);
        if is_failed {
            self.failed.fetch_add(1, Relaxed);
        }
        self.ended.fetch_add(1, Ordering::Release);
    }

    /// Counts an exchange that waits for acknowledgements, until what comes back is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.unacknowledged.fetch_add(1, Relaxed);
        Waiting(self)
    }

    pub(super) fn handle(&self) {
        self.handled.fetch_add(1, Relaxed);
    }

    pub(super) fn bury(&self) {
        self.dead_lettered.fetch_add(1, Relaxed);
    }

    pub(super) fn redeliver(&self) {
        self.redelivered.fetch_add(1, Relaxed);
    }
}

/// An exchange that waits for acknowledgements.
pub(crate) struct Waiting<'s>(&'s Stats);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.unacknowledged.fetch_sub(1, Relaxed);
    }
}
