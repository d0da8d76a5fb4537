//! What a service author writes: handlers of events, of batches, of tombstones, and effects outside the database.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::Envelope;
use crate::error::HandlerError;
use crate::event::Event;
use crate::publish::UnitOfWork;

/// What a handler answers.
pub type HandlerResult = Result<(), HandlerError>;

/// Handles events of one type inside a unit of work: what it changes and publishes there happens exactly once.
pub trait Handle<E: Event>: Send + Sync + 'static {
    /// Handles one event.
    fn handle(&self, event: &Received<E>, work: &mut UnitOfWork) -> impl Future<Output = HandlerResult> + Send;
}

/// Handles many events of one type inside one unit of work: all of them happen, or none.
///
/// The events are new (none of them has had its effect) and those of one key are in order. When the handler fails, each
/// event is tried again alone, so that a poison event does not take the others with it: a batch may have one event.
pub trait HandleBatch<E: Event>: Send + Sync + 'static {
    /// Handles a batch; say [`UnitOfWork::attribute_to`] before publishing what follows from one of its events.
    fn handle_batch(&self, events: &[Received<E>], work: &mut UnitOfWork)
    -> impl Future<Output = HandlerResult> + Send;
}

/// Handles tombstones: records without a value, which say that their key is gone.
pub trait HandleTombstone: Send + Sync + 'static {
    /// Handles one tombstone.
    fn handle(&self, tombstone: &Tombstone, work: &mut UnitOfWork) -> impl Future<Output = HandlerResult> + Send;
}

/// Does something outside the database for events of one type: at least once, so it must be safe to repeat.
///
/// The event's identity is stable over repetitions: give it to the other side as its idempotency key.
pub trait Effect<E: Event>: Send + Sync + 'static {
    /// Has the effect.
    fn perform(&self, event: &Received<E>) -> impl Future<Output = HandlerResult> + Send;
}

impl<E: Event, H: Handle<E>> Handle<E> for Arc<H> {
    fn handle(&self, event: &Received<E>, work: &mut UnitOfWork) -> impl Future<Output = HandlerResult> + Send {
        H::handle(self, event, work)
    }
}

impl<E: Event, H: HandleBatch<E>> HandleBatch<E> for Arc<H> {
    fn handle_batch(
        &self,
        events: &[Received<E>],
        work: &mut UnitOfWork,
    ) -> impl Future<Output = HandlerResult> + Send {
        H::handle_batch(self, events, work)
    }
}

impl<H: HandleTombstone> HandleTombstone for Arc<H> {
    fn handle(&self, tombstone: &Tombstone, work: &mut UnitOfWork) -> impl Future<Output = HandlerResult> + Send {
        H::handle(self, tombstone, work)
    }
}

impl<E: Event, H: Effect<E>> Effect<E> for Arc<H> {
    fn perform(&self, event: &Received<E>) -> impl Future<Output = HandlerResult> + Send {
        H::perform(self, event)
    }
}

/// An event as a handler gets it.
#[derive(Debug)]
pub struct Received<E> {
    /// The event, upcast to the current version.
    pub event: E,
    /// Its envelope; the data in it is as it was sent.
    pub envelope: Arc<Envelope>,
    /// Its identity: the event's id, or the place of a record that has none.
    pub identity: String,
    /// The record's key.
    pub key: Option<Bytes>,
    /// The topic that it came on.
    pub topic: String,
    /// The partition that it came from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    pub(super) traceparent: Option<String>,
}

impl<E> Received<E> {
    /// The W3C trace context that the event carries: whoever is called because of it is told this, so that its part joins
    /// the trace.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }
}

/// A record without a value, as a handler gets it.
#[derive(Debug)]
pub struct Tombstone {
    /// Its identity: the id in its headers, or its place.
    pub identity: String,
    /// The key that is gone.
    pub key: Option<Bytes>,
    /// The topic that it came on.
    pub topic: String,
    /// The partition that it came from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
}
