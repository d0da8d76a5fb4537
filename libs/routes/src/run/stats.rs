//! What a route has done, in numbers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Counters of one route.
#[derive(Debug, Default)]
pub struct RouteStats {
    started: AtomicU64,
    failed: AtomicU64,
    handled: AtomicU64,
    redelivered: AtomicU64,
    dead_lettered: AtomicU64,
    in_flight: AtomicI64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Exchanges that came in.
    pub total: u64,
    /// Exchanges that ended with an exception.
    pub failed: u64,
    /// Exceptions that `onException` or a dead letter channel handled.
    pub handled: u64,
    /// Steps that were tried again.
    pub redelivered: u64,
    /// Exchanges whose cause became a dead letter of its source.
    pub dead_lettered: u64,
    /// Exchanges that are under way.
    pub in_flight: i64,
}

impl RouteStats {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            total: self.started.load(Relaxed),
            failed: self.failed.load(Relaxed),
            handled: self.handled.load(Relaxed),
            redelivered: self.redelivered.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
        }
    }

    pub(super) fn begin(&self) {
        self.started.fetch_add(1, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self, is_failed: bool) {
        self.in_flight.fetch_sub(1, Relaxed);
        if is_failed {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn handle(&self) {
        self.handled.fetch_add(1, Relaxed);
    }

    /// Counts a dead letter.
    pub(crate) fn bury(&self) {
        self.dead_lettered.fetch_add(1, Relaxed);
    }

    pub(super) fn redeliver(&self) {
        self.redelivered.fetch_add(1, Relaxed);
    }
}
