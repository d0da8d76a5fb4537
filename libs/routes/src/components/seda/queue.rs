//! A queue whose size can change while exchanges wait in it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::exchange::Exchange;

/// A queue; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    waiting: Mutex<VecDeque<Waiting>>,
    /// As many permits as exchanges wait.
    filled: Semaphore,
    /// As many permits as there are free places.
    free: Semaphore,
    size: Mutex<Size>,
    /// How many routes take from it.
    takers: AtomicUsize,
    /// How many exchanges have been put in and are not finished.
    open: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Size {
    places: usize,
    /// Places that are taken still and are to go when they become free.
    owed: usize,
}

/// An exchange that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) exchange: Exchange,
    /// Who waits for it.
    pub(super) answer: Option<oneshot::Sender<Exchange>>,
    pub(super) open: Open,
}

/// An exchange that has been put into a queue, until it is finished or dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place in a queue that is one's own: free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'q>(SemaphorePermit<'q>, &'q Inner);

impl Place<'_> {
    /// Puts an exchange into it.
    pub(super) fn fill(self, exchange: Exchange, answer: Option<oneshot::Sender<Exchange>>) {
        let Self(permit, queue) = self;
        permit.forget();
        let open = Open::count(&queue.open);
        queue.waiting().push_back(Waiting { exchange, answer, open });
        queue.filled.add_permits(1);
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, filled: SemaphorePermit<'_>) -> Option<Waiting> {
        filled.forget();
        let next = self.waiting().pop_front();
        let mut size = self.size();
        if size.owed > 0 {
            size.owed -= 1;
        } else {
            self.free.add_permits(1);
        }
        next
    }
}

impl Queue {
    /// An empty queue.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Inner {
            waiting: Mutex::default(),
            filled: Semaphore::new(0),
            free: Semaphore::new(places),
            size: Mutex::new(Size { places, owed: 0 }),
            takers: AtomicUsize::new(0),
            open: Arc::default(),
        }))
    }

    /// Has so many places from now on; what waits stays, also where it is more.
    pub(super) fn resize(&self, places: usize) {
        let mut size = self.0.size();
        if places == size.places {
            return;
        }
        if places > size.places {
            let more = places - size.places;
            let paid = more.min(size.owed);
            size.owed -= paid;
            self.0.free.add_permits(more - paid);
        } else {
            let fewer = size.places - places;
            size.owed += fewer - self.0.free.forget_permits(fewer);
        }
        size.places = places;
    }

    /// A free place; nothing if it is full.
    pub(super) fn try_place(&self) -> Option<Place<'_>> {
        self.0.free.try_acquire().ok().map(|permit| Place(permit, &self.0))
    }

    /// A place as soon as one is free. Whoever is cut off while it waits leaves nothing behind.
    pub(super) async fn place(&self) -> Option<Place<'_>> {
        // The semaphore is never closed.
        self.0.free.acquire().await.ok().map(|permit| Place(permit, &self.0))
    }

    /// The next exchange, as soon as there is one. May be dropped while it waits.
    pub(super) async fn next(&self) -> Option<Waiting> {
        // The semaphore is never closed.
        self.0.filled.acquire().await.ok().and_then(|filled| self.0.next(filled))
    }

    /// The next exchange, if one waits.
    pub(super) fn try_next(&self) -> Option<Waiting> {
        self.0.filled.try_acquire().ok().and_then(|filled| self.0.next(filled))
    }

    /// One route more takes from it.
    pub(super) fn add_taker(&self) {
        self.0.takers.fetch_add(1, Ordering::AcqRel);
    }

    /// One route less takes from it.
    pub(super) fn remove_taker(&self) {
        self.0.takers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether some route takes from it.
    pub(super) fn has_takers(&self) -> bool {
        self.0.takers.load(Ordering::Acquire) > 0
    }

    /// How many exchanges have been put in and are not finished.
    pub(super) fn open(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Whether somebody sends to it or takes from it, or something waits in it.
    pub(super) fn is_of_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || self.open() > 0
    }
}

#[cfg(test)]
mod tests {
    use crate::exchange::Message;

    use super::*;

    /// Fills all free places; how many there were.
    fn filled(queue: &Queue) -> usize {
        std::iter::from_fn(|| queue.try_place())
            .map(|place| place.fill(Exchange::new(Message::default(), 0), None))
            .count()
    }

    #[test]
    fn a_queue_grows_and_shrinks_around_what_waits_in_it() {
        let queue = Queue::new(3);
        assert_eq!((filled(&queue), queue.open()), (3, 3));
        queue.resize(5);
        assert_eq!(filled(&queue), 2);
        queue.resize(2);
        // Five wait where there is place for two: only when fewer do, there is place again.
        for left in [4, 3, 2] {
            drop(queue.try_next());
            assert_eq!((queue.open(), queue.try_place().is_some()), (left, false));
        }
        queue.resize(4);
        assert_eq!(filled(&queue), 2);
        while queue.try_next().is_some() {}
        assert_eq!(filled(&queue), 4);
        queue.resize(3);
        queue.resize(4);
        assert_eq!((filled(&queue), queue.open()), (0, 4));
    }
}
