//! Memory for requests: a little of its own for every connection, and the rest for all of them together, so that large
//! requests, and those that never become whole, hold up nobody's small ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::sync::lock;

/// What every connection has for itself: requests that fit wait for nobody else's.
pub(crate) const OWN_BYTES: usize = 64 * 1024;
/// A connection that takes more than this part of the memory for all begins no further request until it holds less.
const SHARES: usize = 8;
/// How long a request waits for memory before the largest of those that nobody works on gives way.
const PATIENCE: Duration = Duration::from_millis(500);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct RequestMemory {
    free: Arc<Semaphore>,
    share_bytes: usize,
    idle: Mutex<Idle>,
}

/// Requests that are not whole, or wait for those before them.
#[derive(Debug, Default)]
struct Idle {
    next: u64,
    held: HashMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    gives_way: CancellationToken,
}

/// What one connection may take.
#[derive(Debug)]
pub(crate) struct Allowance {
    all: Arc<RequestMemory>,
    own: Arc<Semaphore>,
    share: Arc<Semaphore>,
    gives_way: CancellationToken,
}

/// What one request holds; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    own: Option<OwnedSemaphorePermit>,
    share: Option<OwnedSemaphorePermit>,
    shared: Option<OwnedSemaphorePermit>,
    place: Option<Place>,
}

/// A request's place among those that may have to give way.
#[derive(Debug)]
struct Place {
    all: Arc<RequestMemory>,
    id: u64,
}

/// There is no memory any more: the broker is going away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl RequestMemory {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let share_bytes = (bytes / SHARES).max(1);
        Arc::new(Self { free: Arc::new(Semaphore::new(bytes)), share_bytes, idle: Mutex::default() })
    }

    /// Bytes that nobody holds, besides what connections have of their own.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn free_bytes(&self) -> usize {
        self.free.available_permits()
    }

    /// Has the request that holds the most give way to one that holds less; of equals the youngest to the others, so
    /// that those that all hold as much and all want more do not wait for each other.
    fn make_way(&self, for_bytes: usize, waiting: Option<&Place>) {
        let idle = lock(&self.idle);
        let own = (for_bytes, waiting.map_or(u64::MAX, |place| place.id));
        let largest = idle.held.iter().max_by_key(|(id, held)| (held.bytes, **id));
        if let Some((_, held)) = largest.filter(|(id, held)| (held.bytes, **id) > own) {
            held.gives_way.cancel();
        }
    }
}

impl Allowance {
    pub(crate) fn new(all: Arc<RequestMemory>) -> Self {
        let share = Arc::new(Semaphore::new(all.share_bytes));
        Self { all, own: Arc::new(Semaphore::new(OWN_BYTES)), share, gives_way: CancellationToken::new() }
    }

    /// Returns when this connection is to end because others need the memory that it holds.
    pub(crate) async fn gives_way(&self) {
        self.gives_way.cancelled().await;
    }

    /// Memory for the first bytes of a request of this length, at most [`OWN_BYTES`] of them. Waits for earlier requests
    /// of this connection only.
    pub(crate) async fn begin(&self, length: usize) -> Result<Memory, Gone> {
        let first = length.min(OWN_BYTES);
        let mut memory = Memory::default();
        if length > OWN_BYTES {
            let share = (length - first).min(self.all.share_bytes);
            memory.share = Some(take(&self.share, share).await?);
        } else if let Some(taken) = self.try_share(first) {
            return Ok(taken);
        }
        memory.own = Some(take(&self.own, first).await?);
        Ok(memory)
    }

    /// Memory for a small request, if there is some without waiting: many of them may be under way.
    fn try_share(&self, bytes: usize) -> Option<Memory> {
        if let Some(own) = try_take(&self.own, bytes) {
            return Some(Memory { own: Some(own), ..Memory::default() });
        }
        let (share, shared) = (try_take(&self.share, bytes)?, try_take(&self.all.free, bytes)?);
        let place = Some(self.place(bytes));
        Some(Memory { own: None, share: Some(share), shared: Some(shared), place })
    }

    /// Memory for more bytes of a request. Waits for others, of whom the largest gives way after a while.
    pub(crate) async fn grow(&self, memory: &mut Memory, bytes: usize) -> Result<(), Gone> {
        let held = memory.shared.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let taking = take(&self.all.free, bytes);
        tokio::pin!(taking);
        let more = loop {
            tokio::select! {
                biased;
                more = &mut taking => break more?,
                () = tokio::time::sleep(PATIENCE) => self.all.make_way(held, memory.place.as_ref()),
            }
        };
        match &mut memory.shared {
            Some(shared) => shared.merge(more),
            None => memory.shared = Some(more),
        }
        memory.place = None;
        memory.place = Some(self.place(held + bytes));
        Ok(())
    }

    fn place(&self, bytes: usize) -> Place {
        let mut idle = lock(&self.all.idle);
        idle.next += 1;
        let id = idle.next;
        idle.held.insert(id, Held { bytes, gives_way: self.gives_way.clone() });
        Place { all: Arc::clone(&self.all), id }
    }
}

impl Memory {
    /// The request is worked on from now on: it need not give way any more.
    pub(crate) fn begun(&mut self) {
        self.place = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.all.idle).held.remove(&self.id);
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

async fn take(from: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Gone> {
    Arc::clone(from).acquire_many_owned(permits(bytes)).await.map_err(|_| Gone)
}

fn try_take(from: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(from).try_acquire_many_owned(permits(bytes)).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use futures::FutureExt;

    const MIB: usize = 1024 * 1024;

    async fn hold(of: &Allowance, length: usize, bytes: usize) -> Memory {
        let mut memory = of.begin(length).await.unwrap();
        of.grow(&mut memory, bytes).await.unwrap();
        memory
    }

    #[tokio::test(start_paused = true)]
    async fn small_requests_need_nobody_elses_memory() {
        let all = RequestMemory::new(MIB);
        let (greedy, modest) = (Allowance::new(Arc::clone(&all)), Allowance::new(Arc::clone(&all)));
        let held = hold(&greedy, 2 * MIB, MIB).await;
        assert_eq!(all.free_bytes(), 0);
        assert!(modest.begin(OWN_BYTES).now_or_never().is_some());
        drop(held);
        assert_eq!(all.free_bytes(), MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_holds_its_share_begins_no_further_request() {
        let all = RequestMemory::new(8 * MIB);
        let one = Allowance::new(Arc::clone(&all));
        let first = hold(&one, MIB, MIB - OWN_BYTES).await;
        assert!(one.begin(MIB).now_or_never().is_none(), "its own share is taken");
        assert!(Allowance::new(Arc::clone(&all)).begin(MIB).now_or_never().is_some(), "another's is not");
        drop(first);
        assert!(one.begin(MIB).now_or_never().is_some());
        assert!(one.begin(100 * MIB).now_or_never().is_some(), "one that is larger than a share comes alone");
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_that_nobody_works_on_gives_way() {
        let all = RequestMemory::new(8 * MIB);
        let connections: Vec<Allowance> = (0..4).map(|_| Allowance::new(Arc::clone(&all))).collect();
        let mut worked_on = hold(&connections[0], 4 * MIB, 4 * MIB).await;
        worked_on.begun();
        let largest = hold(&connections[1], 3 * MIB, 3 * MIB).await;
        let _smaller = hold(&connections[2], MIB, MIB).await;
        let waiting = hold(&connections[3], MIB, MIB);
        let ended = async {
            connections[1].gives_way().await;
            drop(largest);
        };
        let (_memory, ()) = tokio::join!(waiting, ended);
        for left_alone in [0, 2, 3] {
            assert!(connections[left_alone].gives_way().now_or_never().is_none(), "connection {left_alone}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_requests_that_hold_as_much_and_want_more_all_but_one_do_not_wait_for_ever() {
        let all = RequestMemory::new(8 * MIB);
        let connections: Vec<Allowance> = (0..4).map(|_| Allowance::new(Arc::clone(&all))).collect();
        let mut held = Vec::new();
        for connection in &connections {
            held.push(hold(connection, 4 * MIB, 2 * MIB).await);
        }
        assert_eq!(all.free_bytes(), 0);
        let reading = connections.iter().zip(held).map(|(connection, memory)| read_on(connection, memory));
        let whole = tokio::time::timeout(PATIENCE * 3, futures::future::join_all(reading)).await.unwrap();
        assert_eq!(whole, [true, true, true, false], "the youngest gave way, which was enough");
    }

    /// Whether a request came whole, and was answered at once, or had to give way.
    async fn read_on(connection: &Allowance, mut memory: Memory) -> bool {
        tokio::select! {
            () = connection.gives_way() => false,
            grown = connection.grow(&mut memory, MIB) => grown.is_ok(),
        }
    }
}
