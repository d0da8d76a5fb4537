//! How a service says that something happened: inside the unit of work that made it so.

use std::collections::HashMap;
use std::sync::Arc;

use db::{Commit, Db, Row, Tx, Value};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Clock;
use crate::consume::Received;
use crate::envelope::{Envelope, derived_id};
use crate::error::{Error, Result};
use crate::event::{Event, Keyed};
use crate::failpoint::failpoint;
use crate::inbox::Handling;
use crate::outbox::{self, NewEvent};
use crate::trace_context;

/// Writes events into a service's outbox; a cheap handle to clone.
#[derive(Debug, Clone)]
pub struct EventPublisher {
    db: Db,
    service: Arc<str>,
    clock: Clock,
    appended: Arc<Notify>,
}

impl EventPublisher {
    /// A publisher over the database of the service called `service`.
    ///
    /// [`outbox::migrate`] must have run on `db`.
    pub fn new(db: Db, service: &str, clock: Clock) -> Self {
        Self { db, service: service.into(), clock, appended: Arc::new(Notify::new()) }
    }

    /// A unit of work; the database is not touched before the first statement or event.
    pub fn begin(&self, origin: Origin) -> UnitOfWork {
        UnitOfWork {
            publisher: self.clone(),
            origin,
            handling: None,
            tx: None,
            begun: Arc::default(),
            batch: HashMap::new(),
            appended: 0,
            appended_of_others: HashMap::new(),
            wakes: false,
        }
    }

    /// A unit of work in which an event is handled: it begins with its inbox row, and events published in it have ids
    /// that follow from that event.
    pub(crate) fn begin_handling(&self, origin: Origin, handling: Handling) -> UnitOfWork {
        UnitOfWork { handling: Some(handling), ..self.begin(origin) }
    }

    /// Publishes one event in a unit of work of its own, committed when this returns.
    ///
    /// # Errors
    /// Those of [`UnitOfWork::publish_event`] and of the commit.
    pub async fn publish_event(&self, topic: &str, key: &str, envelope: Envelope) -> Result<String> {
        let mut work = self.begin(Origin::default());
        let event_id = work.publish_event(topic, key, envelope).await?;
        work.commit().await?;
        Ok(event_id)
    }

    /// The name that this publisher's events carry as their service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The database under the outbox.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The clock that stamps events.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Notified after each commit that stored an event.
    pub(crate) fn appended(&self) -> &Arc<Notify> {
        &self.appended
    }
}

/// Where a unit of work comes from: what its events name as their causes.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The id of the first cause; the event's own id where there is none.
    pub correlation_id: Option<String>,
    /// The id of the direct cause.
    pub causation_id: Option<String>,
    /// The W3C trace context of the cause; where there is none, a trace begins with the unit's first event.
    pub traceparent: Option<String>,
}

/// One database transaction in which state changes and events commit together.
///
/// It begins at its first statement: do slow things (network, hashing, reading a body) before that.
/// Dropping it rolls everything back.
#[derive(Debug)]
pub struct UnitOfWork {
    publisher: EventPublisher,
    origin: Origin,
    /// What is being handled in it, if it is a handler's.
    handling: Option<Handling>,
    tx: Option<Tx>,
    /// Which transaction it is: another one after a handler undid what it had done.
    begun: Arc<()>,
    /// The events of a batch that is being handled, by identity.
    batch: HashMap<String, (Origin, Handling)>,
    /// How many events follow from what is being handled so far, and how many from what was handled before in the unit,
    /// by identity: their ids are made from that.
    appended: usize,
    appended_of_others: HashMap<String, usize>,
    /// Whether its commit wakes the relay.
    wakes: bool,
}

impl UnitOfWork {
    /// The transaction, begun now if it was not yet.
    ///
    /// # Errors
    /// Those of [`Db::begin`]: overloaded or away. [`Error::AlreadyHandled`] in a handler whose event has had its
    /// effect: pass it on, it is not a failure.
    pub async fn tx(&mut self) -> Result<&mut Tx> {
        if self.tx.is_none() {
            let mut tx = self.publisher.db.begin().await?;
            self.begun = Arc::default();
            self.wakes = false;
            if let Some(handling) = &self.handling
                && !handling.record(&mut tx, self.publisher.clock.now_ms()).await?
            {
                tx.rollback().await;
                return Err(Error::AlreadyHandled);
            }
            self.tx = Some(tx);
        }
        Ok(self.tx.as_mut().expect("begun above"))
    }

    /// Runs a statement and tells how many rows it touched.
    ///
    /// # Errors
    /// Those of [`Tx::execute`].
    pub async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        Ok(self.tx().await?.execute(sql, params).await?)
    }

    /// Runs a statement of which nobody needs an answer; it may fail as late as at the commit.
    ///
    /// # Errors
    /// Those of [`Tx::execute_later`].
    pub async fn execute_later(&mut self, sql: &str, params: impl Into<Vec<Value>>) -> Result<()> {
        Ok(self.tx().await?.execute_later(sql, params).await?)
    }

    /// All rows of a query, seen from inside the unit.
    ///
    /// # Errors
    /// Those of [`Tx::query`].
    pub async fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        Ok(self.tx().await?.query(sql, params).await?)
    }

    /// The only row of a query, if there is one.
    ///
    /// # Errors
    /// Those of [`Tx::query_opt`].
    pub async fn query_opt(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        Ok(self.tx().await?.query_opt(sql, params).await?)
    }

    /// The one row of a query.
    ///
    /// # Errors
    /// Those of [`Tx::query_one`].
    pub async fn query_one(&mut self, sql: &str, params: &[Value]) -> Result<Row> {
        Ok(self.tx().await?.query_one(sql, params).await?)
    }

    /// Locks an entity's stream until the unit ends, and tells the sequence of its last event (0: none yet).
    ///
    /// Call it before reading the entity's state, so that concurrent units on one entity take turns.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lock_entity(&mut self, key: &str) -> Result<i64> {
        outbox::lock_stream(self.tx().await?, key).await
    }

    /// Stores an event that knows its own key; tells its id.
    ///
    /// # Errors
    /// Those of [`UnitOfWork::publish_event`].
    pub async fn publish<E: Keyed>(&mut self, event: &E) -> Result<String> {
        let envelope = Envelope::of(event)?;
        self.publish_event(E::TOPIC, &event.key(), envelope).await
    }

    /// Stores an event in the outbox, to be published once the unit has committed; tells its id.
    ///
    /// Fills in what the envelope lacks: identity, time, service, causes; and begins a trace where the origin has none.
    /// Inside a handler the id is derived from the handled event, and an event that is already stored is not stored again.
    ///
    /// # Errors
    /// [`crate::Error::Encode`] when the data is not valid JSON; those of the database.
    pub async fn publish_event(&mut self, topic: &str, key: &str, mut envelope: Envelope) -> Result<String> {
        let now = self.publisher.clock.now();
        let event_id = match (&envelope.event_id, &self.handling) {
            (Some(id), _) => id.clone(),
            (None, Some(cause)) => {
                derived_id(&cause.identity, &cause.group, &envelope.event_type, self.appended).to_string()
            }
            (None, None) => Uuid::now_v7().to_string(),
        };
        self.appended += 1;
        envelope.event_id = Some(event_id.clone());
        let time = *envelope.timestamp.get_or_insert(now);
        if envelope.service.is_empty() {
            envelope.service = self.publisher.service.to_string();
        }
        let correlation = envelope.correlation_id.take().or_else(|| self.origin.correlation_id.clone());
        envelope.correlation_id = Some(correlation.unwrap_or_else(|| event_id.clone()));
        if envelope.causation_id.is_none() {
            envelope.causation_id = self.origin.causation_id.clone();
        }
        self.tx().await?;
        let Self { publisher, origin, handling, tx, wakes, .. } = self;
        let tx = tx.as_mut().expect("begun above");
        let event = NewEvent {
            event_id: &event_id,
            topic,
            key,
            event_type: &envelope.event_type,
            service: &envelope.service,
            traceparent: origin.traceparent.get_or_insert_with(trace_context::begin),
            envelope: envelope.write()?,
            occurred_at_ms: time.as_millisecond(),
            recorded_at_ms: now.as_millisecond(),
        };
        if handling.is_some() && outbox::contains(tx, &event_id).await? {
            return Ok(event_id);
        }
        failpoint!(AFTER_STATE_WRITE, &publisher.service);
        outbox::append(tx, event).await?;
        if !std::mem::replace(wakes, true) {
            let wake = publisher.appended.clone();
            tx.on_commit(move || wake.notify_one());
        }
        Ok(event_id)
    }

    /// Makes what is published from here on follow from this event of the batch that is being handled.
    pub fn attribute_to<E>(&mut self, received: &Received<E>) {
        if let Some((origin, handling)) = self.batch.get(&received.identity).cloned() {
            self.attribute(origin, handling);
        }
    }

    /// Makes what is published from here on follow from this handling.
    pub(crate) fn attribute(&mut self, origin: Origin, handling: Handling) {
        if let Some(left) = self.handling.take() {
            self.appended_of_others.insert(left.identity, self.appended);
        }
        self.origin = origin;
        self.appended = self.appended_of_others.remove(&handling.identity).unwrap_or(0);
        self.handling = Some(handling);
    }

    /// Tells which events are being handled together; the first is the cause until [`Self::attribute_to`] names another.
    pub(crate) fn handles_together(&mut self, causes: Vec<(Origin, Handling)>) {
        if let Some((origin, handling)) = causes.first().cloned() {
            self.attribute(origin, handling);
        }
        let by_identity = causes.into_iter().map(|(origin, handling)| (handling.identity.clone(), (origin, handling)));
        self.batch = by_identity.collect();
    }

    /// A mark that stays the same for as long as its transaction does.
    pub(crate) fn mark(&self) -> Arc<()> {
        self.begun.clone()
    }

    /// Whether anything has been done in it yet.
    pub fn is_begun(&self) -> bool {
        self.tx.is_some()
    }

    /// The publisher that it belongs to.
    pub fn publisher(&self) -> &EventPublisher {
        &self.publisher
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Commits; durable when this returns.
    ///
    /// # Errors
    /// Those of [`Tx::commit`]; then nothing of the unit is kept.
    pub async fn commit(self) -> Result<()> {
        #[cfg(any(debug_assertions, feature = "failpoints"))]
        let service = self.publisher.service.clone();
        failpoint!(BEFORE_COMMIT, &service);
        if let Some(commit) = self.release() {
            commit.await?;
            failpoint!(AFTER_COMMIT, &service);
        }
        Ok(())
    }

    /// Gives the database's writer on at once and answers a future that resolves when the unit is durable;
    /// `None` when nothing was done.
    pub fn release(self) -> Option<Commit> {
        self.tx.map(Tx::release)
    }

    /// Rolls back everything done so far; the unit can then be used anew.
    pub async fn undo(&mut self) {
        if let Some(tx) = self.tx.take() {
            tx.rollback().await;
        }
        self.appended = 0;
        self.appended_of_others.clear();
    }

    /// Rolls everything back.
    pub async fn rollback(self) {
        if let Some(tx) = self.tx {
            tx.rollback().await;
        }
    }
}

/// What `#[publish_event]` publishes after a method succeeded.
#[derive(Debug)]
pub struct Publication<E> {
    /// The topic to publish on.
    pub topic: &'static str,
    /// The record's key.
    pub key: String,
    /// The event.
    pub data: E,
}

/// Publishes what `describe` makes of the value inside `work` when `result` is `Ok`; does nothing after `Err`.
///
/// This is all that `#[publish_event]` expands to.
///
/// # Errors
/// `result`'s own error, or the one of storing the event: the unit must not be committed then.
pub async fn after_success<T, E, V>(
    work: &mut UnitOfWork,
    result: Result<T, E>,
    describe: impl FnOnce(&T) -> Publication<V>,
) -> Result<T, E>
where
    V: Event,
    E: From<crate::Error>,
{
    let value = result?;
    let Publication { topic, key, data } = describe(&value);
    let envelope = Envelope::of(&data)?;
    work.publish_event(topic, &key, envelope).await?;
    Ok(value)
}
