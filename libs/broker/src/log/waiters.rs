//! Fetches that wait for more records: each registers with its partitions and is woken when one of them moves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::sync::lock;

/// The fetches waiting on one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    inner: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    next: u64,
    by_id: HashMap<u64, Arc<Notify>>,
}

impl Waiters {
    /// Registers until the returned number is given back to [`Self::remove`].
    pub(crate) fn add(&self, wake: Arc<Notify>) -> u64 {
        let mut inner = lock(&self.inner);
        inner.next += 1;
        let id = inner.next;
        inner.by_id.insert(id, wake);
        id
    }

    /// Unregisters.
    pub(crate) fn remove(&self, id: u64) {
        lock(&self.inner).by_id.remove(&id);
    }

    /// Wakes all.
    pub(crate) fn wake(&self) {
        for wake in lock(&self.inner).by_id.values() {
            wake.notify_one();
        }
    }
}
