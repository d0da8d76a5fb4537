//! An outbox and an inbox that misbehave as told, for tests of suites and of whoever relies on a store.
//!
//! The traits of the suites tell no failures: a call that fails does nothing, as if the process had died in it. What has
//! no meaning for a call is refused by a panic that says so.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::faults::{Disturbance, Fault, Faults};
use super::store_suites::{InboxUnderTest, OutboxUnderTest, Told};

/// An outbox with faults; appends, commits and reads count as its calls.
///
/// - An append that fails or is lost answers an identity and stores nothing; one that is done twice stores two events.
/// - A commit that fails or is lost undoes its unit.
/// - A read that fails or is lost tells nothing; halfway, the first half; done twice, each event twice; reordered, from the
///   end.
#[derive(Debug)]
pub struct FaultyOutbox<O> {
    inner: O,
    calls: Disturbance,
}

impl<O> FaultyOutbox<O> {
    /// `inner`, disturbed by `faults`.
    pub fn new(inner: O, faults: Faults) -> Self {
        Self { inner, calls: Disturbance::by(faults) }
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.calls.count()
    }
}

#[async_trait]
impl<O: OutboxUnderTest> OutboxUnderTest for FaultyOutbox<O> {
    type Unit = O::Unit;

    async fn begin(&self) -> O::Unit {
        self.inner.begin().await
    }

    async fn append(&self, unit: &mut O::Unit, key: &str) -> String {
        match self.calls.pass().await {
            None => self.inner.append(unit, key).await,
            Some(Fault::Fail | Fault::Lose) => Uuid::now_v7().to_string(),
            Some(Fault::Duplicate) => {
                let event_id = self.inner.append(unit, key).await;
                self.inner.append(unit, key).await;
                event_id
            }
            Some(other) => refuse(other, "an append"),
        }
    }

    async fn commit(&self, unit: O::Unit) {
        match self.calls.pass().await {
            None => self.inner.commit(unit).await,
            Some(Fault::Fail | Fault::Lose) => self.inner.roll_back(unit).await,
            Some(other) => refuse(other, "a commit"),
        }
    }

    async fn roll_back(&self, unit: O::Unit) {
        self.inner.roll_back(unit).await;
    }

    async fn read_after(&self, position: i64, limit: usize) -> Vec<Told> {
        let fault = self.calls.pass().await;
        let mut told = self.inner.read_after(position, limit).await;
        match fault {
            None => {}
            Some(Fault::Fail | Fault::Lose) => told.clear(),
            Some(Fault::FailHalfway) => told.truncate(told.len() / 2),
            Some(Fault::Duplicate) => told = told.into_iter().flat_map(|told| [told.clone(), told]).collect(),
            Some(Fault::Reorder) => told.reverse(),
            Some(other) => refuse(other, "a read"),
        }
        told
    }
}

/// An inbox with faults; each time that an event is handled counts.
///
/// - One that fails or is lost has no effect; halfway, its effect is undone.
/// - One that is done twice, or of which it is said that it failed, is handled again at once: an inbox lets that pass.
/// - One that is reordered is handled after the next one.
#[derive(Debug)]
pub struct FaultyInbox<I> {
    inner: I,
    calls: Disturbance,
    held_back: Mutex<Option<Attempt>>,
}

/// An event that is to be handled.
#[derive(Debug)]
struct Attempt {
    group: String,
    handler: &'static str,
    identity: String,
    fails: bool,
}

impl<I: InboxUnderTest> FaultyInbox<I> {
    /// `inner`, disturbed by `faults`.
    pub fn new(inner: I, faults: Faults) -> Self {
        Self { inner, calls: Disturbance::by(faults), held_back: Mutex::default() }
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.calls.count()
    }

    fn held_back(&self) -> Option<Attempt> {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn make(&self, attempt: &Attempt) {
        self.inner.handle(&attempt.group, attempt.handler, &attempt.identity, attempt.fails).await;
    }
}

#[async_trait]
impl<I: InboxUnderTest> InboxUnderTest for FaultyInbox<I> {
    async fn handle(&self, group: &str, handler: &'static str, identity: &str, fails: bool) {
        let mut attempt = Attempt { group: group.to_owned(), handler, identity: identity.to_owned(), fails };
        let before = self.held_back();
        match self.calls.pass().await {
            Some(Fault::Fail | Fault::Lose) => {}
            Some(Fault::FailHalfway) => {
                attempt.fails = true;
                self.make(&attempt).await;
            }
            Some(Fault::Duplicate | Fault::LieAboutFailure) => {
                self.make(&attempt).await;
                self.make(&attempt).await;
            }
            Some(Fault::Reorder) => {
                *self.held_back.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt);
            }
            Some(Fault::Delay(_)) | None => self.make(&attempt).await,
        }
        if let Some(before) = before {
            self.make(&before).await;
        }
    }

    async fn effects(&self) -> Vec<String> {
        self.inner.effects().await
    }

    async fn expire(&self, group: &str) {
        self.inner.expire(group).await;
    }
}

fn refuse(fault: Fault, call: &str) -> ! {
    panic!("{fault:?} has no meaning for {call} of an outbox under test")
}
