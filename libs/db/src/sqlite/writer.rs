//! The one writer connection: units run on it one after the other under savepoints, and a whole batch of them is
//! made durable by one commit.
//!
//! The connection lies on a desk that everybody shares, together with the number of the unit whose turn it is. A unit
//! owns only its number, so it can be rolled back from outside when it hangs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::lock;
use super::queue::{Granted, Job, Queue, Turn};
use super::redo::{self, UnitLog};
use super::statement::{self, Deadline, Remembering};
use crate::error::{Cause, Error, Reason, Result};
use crate::metrics::{Meter, Outcome};
use crate::tx::Hook;

/// The first and the longest pause before a file that another process has locked is tried again.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(1);
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(50);
/// How much of what units did is remembered before they are committed without waiting for more.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// When the watchdog looks again at a unit that is inside a statement, which has its own deadline.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The writer's limits, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) units_waiting_max: usize,
    pub(super) batch_units_max: usize,
    pub(super) rows_max: usize,
    pub(super) turn_timeout: Duration,
    pub(super) unit_timeout: Duration,
    pub(super) statement_timeout: Duration,
    pub(super) busy_timeout: Duration,
}

/// The writer; see the module.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Queue,
    desk: Mutex<Desk>,
    units_last: AtomicU64,
    deadline: Arc<Deadline>,
    runtime: Handle,
    watchdog: Mutex<Option<AbortHandle>>,
    pub(super) limits: Limits,
    pub(super) meter: Arc<Meter>,
}

/// What the holder of the turn works on.
#[derive(Debug)]
struct Desk {
    /// Away while a commit or a job has it, and gone once the database is closed.
    connection: Option<Remembering>,
    /// The unit whose turn it is.
    unit: Option<Current>,
    /// What that unit did so far.
    log: UnitLog,
    /// The state in which the open transaction began.
    version: i64,
    /// Units that are part of the open transaction and wait for its commit.
    batch: Vec<Joined>,
    batch_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    id: u64,
    expires: Instant,
}

/// A unit that has done its work and waits for the commit.
struct Joined {
    answer: oneshot::Sender<Result<()>>,
    hooks: Vec<Hook>,
    log: UnitLog,
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("hooks", &self.hooks.len()).finish()
    }
}

impl Writer {
    pub(super) fn new(mut connection: Remembering, limits: Limits, meter: Arc<Meter>) -> rusqlite::Result<Arc<Self>> {
        let deadline = Deadline::install(&mut connection)?;
        let writer = Arc::new(Self {
            queue: Queue::default(),
            desk: Mutex::new(Desk {
                connection: Some(connection),
                unit: None,
                log: UnitLog::default(),
                version: 0,
                batch: Vec::new(),
                batch_bytes: 0,
            }),
            units_last: AtomicU64::new(0),
            deadline,
            runtime: Handle::current(),
            watchdog: Mutex::new(None),
            limits,
            meter,
        });
        let watchdog = tokio::spawn(watch(Arc::downgrade(&writer)));
        *lock(&writer.watchdog) = Some(watchdog.abort_handle());
        Ok(writer)
    }

    /// Waits for a turn and opens a unit under its own savepoint.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<u64> {
        let granted = self.queue.turn(self).await?;
        let id = self.units_last.fetch_add(1, Ordering::Relaxed) + 1;
        let give_up = Instant::now() + self.limits.busy_timeout;
        let mut pause = BUSY_PAUSE_MIN;
        loop {
            match self.open_unit(id) {
                Ok(()) => {
                    granted.keep();
                    return Ok(id);
                }
                // another process writes to the file: ours must wait, and all behind us
                Err(error) if is_busy(&error) && Instant::now() < give_up => {
                    sleep(pause).await;
                    pause = (pause * 2).min(BUSY_PAUSE_MAX);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn open_unit(&self, id: u64) -> Result<()> {
        let mut desk = lock(&self.desk);
        let Desk { connection, log, version, .. } = &mut *desk;
        let connection = connection.as_ref().ok_or(Error::Closed)?;
        if connection.is_autocommit() {
            statement::execute(connection, "begin immediate", &[])?;
            *version = redo::state_version(connection)?;
        }
        *log = UnitLog::default();
        if let Err(error) = statement::execute(connection, "savepoint unit", &[]) {
            let lost = self.after_failure(&mut desk, &error);
            drop(desk);
            self.refuse(lost);
            return Err(error);
        }
        desk.unit = Some(Current { id, expires: Instant::now() + self.limits.unit_timeout });
        self.deadline.set(self.limits.unit_timeout.min(self.limits.statement_timeout));
        Ok(())
    }

    /// Lets the unit use the connection, on the caller's own task and thread.
    pub(super) fn run<T>(&self, id: u64, work: impl FnOnce(&Remembering, &mut UnitLog) -> Result<T>) -> Result<T> {
        let mut desk = lock(&self.desk);
        let current = desk.current(id)?;
        let Desk { connection, log, .. } = &mut *desk;
        let connection = connection.as_ref().ok_or(Error::Closed)?;
        let left = current.expires.saturating_duration_since(Instant::now());
        self.deadline.set(left.min(self.limits.statement_timeout));
        let error = match work(connection, log) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let lost = self.after_failure(&mut desk, &error);
        drop(desk);
        self.refuse(lost);
        match error {
            Error::StatementTimedOut { .. } if current.expires <= Instant::now() => Err(Error::UnitTimedOut),
            error => Err(error),
        }
    }

    /// Ends the unit's work: it joins the batch, and the next unit has its turn at once.
    pub(super) fn release(self: &Arc<Self>, id: u64, hooks: Vec<Hook>) -> Result<oneshot::Receiver<Result<()>>> {
        let (full, receiver) = {
            let mut desk = lock(&self.desk);
            desk.current(id)?;
            let connection = desk.connection.as_ref().ok_or(Error::Closed)?;
            // a deadline left standing would interrupt the neighbours
            self.deadline.clear();
            if let Err(error) = statement::execute(connection, "release unit", &[]) {
                drop(desk);
                self.roll_back(id, Outcome::Failed);
                return Err(Error::Commit { source: Arc::new(error) });
            }
            let (answer, receiver) = oneshot::channel();
            desk.unit = None;
            let log = std::mem::take(&mut desk.log);
            desk.batch_bytes += log.bytes();
            desk.batch.push(Joined { answer, hooks, log });
            let is_full = desk.batch.len() >= self.limits.batch_units_max || desk.batch_bytes >= BATCH_BYTES_MAX;
            (is_full, receiver)
        };
        if full {
            self.queue.unqueue_commit();
            self.send_away(None);
        } else {
            self.queue.queue_commit();
            self.pass_on();
        }
        Ok(receiver)
    }

    /// Undoes the unit and nothing else, if it still has its turn, and passes the turn on.
    pub(super) fn roll_back(self: &Arc<Self>, id: u64, outcome: Outcome) {
        let lost = {
            let mut desk = lock(&self.desk);
            if desk.current(id).is_err() {
                return;
            }
            desk.unit = None;
            self.deadline.clear();
            desk.undo_unit()
        };
        self.refuse(lost);
        self.meter.ended(outcome, 1);
        self.pass_on();
    }

    /// Gives the turn to whoever is next.
    pub(super) fn pass_on(self: &Arc<Self>) {
        while let Some(turn) = self.queue.next() {
            match turn {
                Turn::Unit(sender) => match sender.send(Granted::new(self)) {
                    Ok(()) => return,
                    // it gave up waiting
                    Err(granted) => granted.keep(),
                },
                Turn::Commit => {
                    if self.send_away(None) {
                        return;
                    }
                }
                Turn::Exclusive(job) => {
                    if self.send_away(Some(job)) {
                        return;
                    }
                }
            }
        }
    }

    /// Runs a job with the connection to itself, after a commit of the batch so far.
    pub(super) fn exclusive(self: &Arc<Self>, job: Job, close: bool) -> Result<()> {
        if let Some(job) = self.queue.queue_job(job, close)?
            && !self.send_away(Some(job))
        {
            self.pass_on();
        }
        Ok(())
    }

    /// Sends the connection to a blocking thread, to commit the batch and to do the job; false if there is nothing
    /// to do, and then the turn is still the caller's.
    fn send_away(self: &Arc<Self>, job: Option<Job>) -> bool {
        let mut desk = lock(&self.desk);
        if job.is_none() && desk.batch.is_empty() {
            return false;
        }
        let Some(connection) = desk.connection.take() else {
            return false;
        };
        let batch = desk.take_batch();
        self.deadline.clear();
        let away = Away { writer: Arc::clone(self), connection: Some(connection), batch };
        drop(desk);
        self.runtime.spawn_blocking(move || away.work(job));
        true
    }

    /// Finds out whether SQLite gave up the whole transaction (an interrupted write, a full disk, an I/O error), and then
    /// has its other units do again what they did.
    fn after_failure(&self, desk: &mut Desk, error: &Error) -> Lost {
        match &desk.connection {
            Some(connection) if connection.is_autocommit() && !desk.batch.is_empty() => {
                match self.redo_batch(connection, desk) {
                    Ok(()) => Lost::NOTHING,
                    Err(again) => {
                        tracing::error!(%error, %again, units = desk.batch.len(), "a transaction that units shared is lost");
                        end_transaction(connection);
                        desk.lose(error.to_string())
                    }
                }
            }
            _ => Lost::NOTHING,
        }
    }

    fn redo_batch(&self, connection: &Remembering, desk: &Desk) -> Result<()> {
        redo::begin_again(connection, desk.version)?;
        for joined in &desk.batch {
            joined.log.redo(connection, &self.deadline, self.limits.statement_timeout)?;
        }
        // the unit whose fault it was is rolled back to here
        if desk.unit.is_some() {
            statement::execute(connection, "savepoint unit", &[])?;
        }
        Ok(())
    }

    /// Tells units of a lost transaction that nothing of them is kept.
    fn refuse(&self, lost: Lost) {
        let Some(cause) = lost.cause else { return };
        self.meter.ended(Outcome::Failed, lost.batch.len() as u64);
        for joined in lost.batch {
            let source = Arc::clone(&cause);
            // a caller that no longer listens misses nothing
            let _ = joined.answer.send(Err(Error::BatchLost { source }));
        }
    }

    /// Rolls back a unit whose time is over; gives the moment at which to look again.
    fn expire(self: &Arc<Self>) -> Instant {
        let now = Instant::now();
        let current = match self.desk.try_lock() {
            Ok(desk) => desk.unit,
            Err(TryLockError::Poisoned(desk)) => desk.into_inner().unit,
            // a statement is running, and interrupts itself in time
            Err(TryLockError::WouldBlock) => return now + LOOK_AGAIN,
        };
        match current {
            Some(unit) if unit.expires <= now => {
                tracing::warn!(unit = unit.id, "a unit of work took too long and is rolled back");
                self.roll_back(unit.id, Outcome::TimedOut);
                now
            }
            Some(unit) => unit.expires,
            // a unit that begins right now expires no earlier than this
            None => now + self.limits.unit_timeout,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(watchdog) = lock(&self.watchdog).take() {
            watchdog.abort();
        }
    }
}

/// Looks after units that hang. One task for all: only one unit at a time holds the writer.
async fn watch(writer: Weak<Writer>) {
    loop {
        let look_again = match writer.upgrade() {
            Some(writer) => writer.expire(),
            None => return,
        };
        sleep_until(look_again).await;
    }
}

/// Units whose transaction is gone, and why.
struct Lost {
    batch: Vec<Joined>,
    cause: Option<Cause>,
}

impl Lost {
    const NOTHING: Self = Self { batch: Vec::new(), cause: None };
}

impl Desk {
    fn current(&self, id: u64) -> Result<Current> {
        self.unit.filter(|unit| unit.id == id).ok_or(Error::UnitTimedOut)
    }

    /// Undoes the current unit's work; without neighbours the transaction ends, so that the file is not kept locked.
    fn undo_unit(&mut self) -> Lost {
        let Some(connection) = &self.connection else {
            return Lost::NOTHING;
        };
        if connection.is_autocommit() {
            return if self.batch.is_empty() {
                Lost::NOTHING
            } else {
                self.lose("the transaction had ended".to_owned())
            };
        }
        let undone = if self.batch.is_empty() {
            statement::execute(connection, "rollback", &[])
        } else {
            statement::execute(connection, "rollback to unit", &[])
                .and_then(|_| statement::execute(connection, "release unit", &[]))
        };
        let Err(error) = undone else {
            return Lost::NOTHING;
        };
        tracing::error!(%error, "a unit of work could not be rolled back alone, its transaction is given up");
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("rollback")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
        self.lose(error.to_string())
    }

    fn take_batch(&mut self) -> Vec<Joined> {
        self.batch_bytes = 0;
        std::mem::take(&mut self.batch)
    }

    fn lose(&mut self, reason: String) -> Lost {
        Lost { batch: self.take_batch(), cause: Some(Arc::new(Reason(reason))) }
    }
}

/// The connection on its way through a blocking thread. However that ends, it comes back and the turn is passed on.
struct Away {
    writer: Arc<Writer>,
    connection: Option<Remembering>,
    batch: Vec<Joined>,
}

/// An answer that has yet to be given.
type Answer = (oneshot::Sender<Result<()>>, Result<()>);

impl Away {
    fn work(mut self, job: Option<Job>) {
        let answers = self.commit();
        if let Some(job) = job {
            job(&mut self.connection);
        }
        // the next unit starts before the answers go out
        drop(self);
        for (answer, result) in answers {
            // a caller that no longer listens misses nothing
            let _ = answer.send(result);
        }
    }

    /// Commits the batch and runs its hooks in the order in which the units came.
    fn commit(&mut self) -> Vec<Answer> {
        let Some(connection) = &self.connection else {
            return Vec::new();
        };
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Vec::new();
        }
        match self.commit_transaction(connection, batch.len() as u64) {
            Ok(()) => batch.into_iter().map(kept).collect(),
            Err(cause) => {
                self.writer.meter.ended(Outcome::Failed, batch.len() as u64);
                batch.into_iter().map(|joined| not_kept(joined, &cause)).collect()
            }
        }
    }

    fn commit_transaction(&self, connection: &Remembering, units: u64) -> Result<(), Cause> {
        let start = std::time::Instant::now();
        match statement::execute(connection, "commit", &[]) {
            Ok(_) => {
                self.writer.meter.committed(units, start.elapsed().as_secs_f64());
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, units, "a commit failed");
                end_transaction(connection);
                Err(Arc::new(error))
            }
        }
    }
}

fn kept(joined: Joined) -> Answer {
    run_hooks(joined.hooks);
    (joined.answer, Ok(()))
}

fn not_kept(joined: Joined, cause: &Cause) -> Answer {
    (joined.answer, Err(Error::Commit { source: Arc::clone(cause) }))
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // the thread never ran, or panicked: whoever uses the connection next must find no transaction
            end_transaction(&connection);
            lock(&self.writer.desk).connection = Some(connection);
        }
        self.writer.pass_on();
    }
}

/// Rolls back what is still open.
fn end_transaction(connection: &Remembering) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("rollback")
    {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}

/// A hook that panics must not keep the others from running, nor the answers from going out.
pub(crate) fn run_hooks(hooks: Vec<Hook>) {
    for hook in hooks {
        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
            tracing::error!("a hook panicked after a commit");
        }
    }
}

fn is_busy(error: &Error) -> bool {
    let Error::Unavailable { source } = error else {
        return false;
    };
    matches!(
        source.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
