//! Who may use the one writer connection, and in which order: strictly first come, first served.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lock;
use super::statement::Remembering;
use super::writer::Writer;
use crate::error::{Error, Result};

/// Work that needs the connection for itself, outside any batch; it may keep the connection.
pub(super) type Job = Box<dyn FnOnce(&mut Option<Remembering>) + Send>;

/// What waits in the queue.
pub(super) enum Turn {
    /// A unit of work.
    Unit(oneshot::Sender<Granted>),
    /// The commit of the batch so far: everything that came before it belongs to the batch.
    Commit,
    /// Something else, after a commit of the batch so far.
    Exclusive(Job),
}

/// The queue; whoever holds the turn passes it on through [`Queue::next`].
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    turns: VecDeque<Turn>,
    units_waiting: usize,
    /// Someone holds the turn; while nobody does, nothing waits.
    taken: bool,
    commit_queued: bool,
    closed: bool,
}

/// Where a unit that asks for its turn stands.
enum Place {
    Now,
    Later(oneshot::Receiver<Granted>),
}

impl Queue {
    /// Waits for a unit's turn.
    pub(super) async fn turn(&self, writer: &Arc<Writer>) -> Result<Granted> {
        match self.place(writer.limits.units_waiting_max)? {
            Place::Now => Ok(Granted(Some(Arc::clone(writer)))),
            Place::Later(receiver) => {
                writer.meter.waits();
                let _waiting = Waiting(writer);
                match timeout(writer.limits.turn_timeout, receiver).await {
                    Ok(Ok(granted)) => Ok(granted),
                    Ok(Err(_)) => Err(Error::Closed),
                    // the place stays in the queue and is skipped when its turn comes
                    Err(_) => Err(Error::Overloaded),
                }
            }
        }
    }

    fn place(&self, units_waiting_max: usize) -> Result<Place> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::Closed);
        }
        if !state.taken {
            state.taken = true;
            return Ok(Place::Now);
        }
        if state.units_waiting >= units_waiting_max {
            return Err(Error::Overloaded);
        }
        let (sender, receiver) = oneshot::channel();
        state.turns.push_back(Turn::Unit(sender));
        state.units_waiting += 1;
        Ok(Place::Later(receiver))
    }

    /// The turn after this one; without one, the writer is free.
    pub(super) fn next(&self) -> Option<Turn> {
        let mut state = lock(&self.state);
        let turn = state.turns.pop_front();
        match &turn {
            Some(Turn::Unit(_)) => state.units_waiting -= 1,
            Some(Turn::Commit) => state.commit_queued = false,
            Some(Turn::Exclusive(_)) => {}
            None => state.taken = false,
        }
        turn
    }

    /// Gives the batch's commit a place behind all who wait now, unless it has one.
    pub(super) fn queue_commit(&self) {
        let mut state = lock(&self.state);
        if !state.commit_queued {
            state.commit_queued = true;
            state.turns.push_back(Turn::Commit);
        }
    }

    /// Takes back the commit's place, because the batch is full and is committed at once.
    pub(super) fn unqueue_commit(&self) {
        let mut state = lock(&self.state);
        if state.commit_queued {
            state.commit_queued = false;
            state.turns.retain(|turn| !matches!(turn, Turn::Commit));
        }
    }

    /// Queues a job, true if its turn is now. With `close`, nobody may queue after it.
    pub(super) fn queue_job(&self, job: Job, close: bool) -> Result<Option<Job>> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::Closed);
        }
        state.closed = close;
        if state.taken {
            state.turns.push_back(Turn::Exclusive(job));
            return Ok(None);
        }
        state.taken = true;
        Ok(Some(job))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Queue")
            .field("turns", &state.turns.len())
            .field("taken", &state.taken)
            .field("closed", &state.closed)
            .finish()
    }
}

/// The turn itself, on its way to a unit; dropped unused, it is passed on.
pub(super) struct Granted(Option<Arc<Writer>>);

impl Granted {
    pub(super) fn new(writer: &Arc<Writer>) -> Self {
        Self(Some(Arc::clone(writer)))
    }

    /// The holder now passes the turn on itself.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            writer.pass_on();
        }
    }
}

/// Counts a waiting unit for as long as it waits, however the wait ends.
struct Waiting<'a>(&'a Writer);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.meter.waits_no_more();
    }
}
