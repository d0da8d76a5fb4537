//! What an exchange of a transaction sends: kept until it has been through the route.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::exchange::{Exception, Result, class};

use super::consume::{RETRY_FIRST, RETRY_MAX};
use super::{Acknowledged, OutRecord, Transaction};

/// One transaction, for the exchanges in it; clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    transaction: Arc<dyn Transaction>,
    /// Whether it can only be aborted.
    is_doomed: Arc<AtomicBool>,
    /// Whether one record has it for itself, so that another can be begun under its way.
    is_alone: bool,
    /// How many bytes more its exchanges may keep.
    room: Arc<AtomicUsize>,
}

impl Scope {
    /// A transaction whose exchanges keep so many bytes together at the most.
    pub(super) fn new(transaction: Arc<dyn Transaction>, is_alone: bool, bytes_max: usize) -> Self {
        Self { transaction, is_doomed: Arc::default(), is_alone, room: Arc::new(AtomicUsize::new(bytes_max)) }
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.is_doomed.load(Ordering::Acquire)
    }

    fn doom(&self) {
        self.is_doomed.store(true, Ordering::Release);
    }

    /// Takes note of a refused record: the transaction is lost. One that has it for itself fails, and another transaction
    /// has been begun for what is to be said of that; if the refusal may pass, or others are in it, it is done again.
    async fn refused(&self, exception: Exception) -> Result<()> {
        let may_pass = exception.class().is_a(&class::KAFKA_RETRIABLE);
        if self.is_alone && !may_pass {
            match self.begin_another().await {
                Ok(()) => return Err(exception),
                Err(reason) => tracing::warn!(reason, "no other transaction could be begun"),
            }
        }
        self.doom();
        Ok(())
    }

    /// Makes room for a record that is kept; false if there is none, and the transaction is done again with fewer records.
    fn make_room(&self, record: &OutRecord) -> Result<bool> {
        let bytes = weight(record);
        let taken = self.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| room.checked_sub(bytes));
        match taken {
            Ok(_) => Ok(true),
            Err(room) if self.is_alone => {
                let topic = &record.topic;
                let message = format!(
                    "one record sends more in a transaction than may be kept: {room} bytes are left, and what is sent \
                     to `{topic}` has {bytes}"
                );
                Err(Exception::new(&class::ILLEGAL_STATE, message))
            }
            Err(_) => {
                self.doom();
                Ok(false)
            }
        }
    }

    async fn begin_another(&self) -> Result<(), String> {
        self.transaction.abort().await.map_err(|broken| broken.to_string())?;
        self.transaction.begin().await.map_err(|broken| broken.to_string())
    }

    async fn send(&self, record: OutRecord) -> Result<()> {
        self.transaction.send(record).await?.await
    }

    /// Sends a dead letter; comes back when it is acknowledged, or the transaction is lost.
    pub(super) async fn bury(&self, letter: &OutRecord) {
        let mut wait = RETRY_FIRST;
        while !self.is_doomed() {
            let Err(exception) = self.send(letter.clone()).await else { return };
            if self.refused(exception).await.is_err() {
                tracing::error!(topic = letter.topic, "dead letter was refused, its partition stands still");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
        }
    }
}

/// Goes along with an exchange and its copies.
pub(super) struct Outbox {
    scope: Scope,
    state: Mutex<State>,
    /// Why what the exchange sent is lost, whatever its error handling makes of that.
    lost: OnceLock<Exception>,
}

enum State {
    /// The exchange is in the steps.
    Keeping(Vec<OutRecord>),
    /// It has been through them, and what it sent is on its way: what is sent now is about how it ended.
    Sending(Result<Vec<Acknowledged>>),
    /// It has ended: what a copy sends from now on is none of the transaction's business.
    Closed,
}

/// What became of a record.
pub(super) enum Taken {
    /// It is sent with the others, or with none of them.
    Kept,
    /// It is on its way.
    Sent(Acknowledged),
    /// It is not for the transaction.
    Not(OutRecord),
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, state: Mutex::new(State::Keeping(Vec::new())), lost: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record that the exchange or a copy of it sends.
    pub(super) async fn take(&self, record: OutRecord) -> Result<Taken> {
        {
            let mut state = self.state();
            match &mut *state {
                State::Keeping(kept) => {
                    // Of a transaction that is lost nothing counts.
                    if !self.scope.is_doomed() && self.scope.make_room(&record).map_err(|why| self.lose(why))? {
                        kept.push(record);
                    }
                    return Ok(Taken::Kept);
                }
                State::Closed => return Ok(Taken::Not(record)),
                State::Sending(_) => {}
            }
        }
        match self.scope.transaction.send(record).await {
            Ok(acknowledged) => Ok(Taken::Sent(acknowledged)),
            Err(exception) => self.scope.refused(exception).await.map(|()| Taken::Kept).map_err(|why| self.lose(why)),
        }
    }

    /// Notes that what the exchange sent, or was to send, is not in the transaction any more.
    fn lose(&self, why: Exception) -> Exception {
        self.lost.get_or_init(|| why.clone());
        why
    }

    /// Why what the exchange sent is lost, if it is: then its record is to become a dead letter, also where error handling
    /// is satisfied.
    pub(super) fn lost(&self) -> Option<&Exception> {
        self.lost.get()
    }

    /// The exchange has been through the steps: what it sent is handed over, unless it failed or is lost.
    pub(super) async fn hand_over(&self, is_failed: bool) {
        let sending = State::Sending(Ok(Vec::new()));
        let State::Keeping(kept) = std::mem::replace(&mut *self.state(), sending) else { return };
        let bytes = kept.iter().map(weight).sum();
        if !is_failed && self.lost().is_none() && !self.scope.is_doomed() {
            let under_way = self.send_all(kept).await;
            *self.state() = State::Sending(under_way);
        }
        self.scope.room.fetch_add(bytes, Ordering::AcqRel);
    }

    async fn send_all(&self, kept: Vec<OutRecord>) -> Result<Vec<Acknowledged>> {
        let mut under_way = Vec::with_capacity(kept.len());
        for record in kept {
            under_way.push(self.scope.transaction.send(record).await?);
        }
        Ok(under_way)
    }

    /// Waits until what was handed over is acknowledged.
    pub(super) async fn settle(&self) -> Result<()> {
        let sending = State::Sending(Ok(Vec::new()));
        let State::Sending(under_way) = std::mem::replace(&mut *self.state(), sending) else { return Ok(()) };
        match acknowledged(under_way).await {
            Ok(()) => Ok(()),
            Err(exception) => self.scope.refused(exception).await,
        }
    }

    /// The transaction that it is for.
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The exchange has ended.
    pub(super) fn close(&self) {
        *self.state() = State::Closed;
    }
}

/// About how much memory a record takes.
fn weight(record: &OutRecord) -> usize {
    size_of::<OutRecord>() + record.topic.len() + record.bytes()
}

async fn acknowledged(under_way: Result<Vec<Acknowledged>>) -> Result<()> {
    for acknowledged in under_way? {
        acknowledged.await?;
    }
    Ok(())
}
