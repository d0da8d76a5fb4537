//! Handlers whose event type is forgotten: each runs alone in a unit of its own, some also share one.

use std::marker::PhantomData;

use async_trait::async_trait;
use tracing::{Instrument, Span};

use super::attempt::{Delivery, Outcome};
use super::handler::{Effect, Handle, HandleBatch, HandleTombstone, Tombstone};
use crate::error::{Error, HandlerError, find};
use crate::event::Event;
use crate::metrics::HANDLE_SPAN;
use crate::publish::{EventPublisher, UnitOfWork};
use crate::trace_context::TRACEPARENT;

/// The handler's name of tombstones in the inbox and in metrics.
pub(crate) const TOMBSTONE: &str = "tombstone";

#[async_trait]
pub(crate) trait Run: Send + Sync {
    /// Handles one delivery and commits, inbox row included.
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError>;

    /// Whether it can share a unit; `asked` when the consumer's author said that plain handlers may.
    fn shares(&self, asked: bool) -> bool;

    /// Handles deliveries inside a unit that holds their inbox rows already and that others share; does not commit.
    async fn run_within(&self, deliveries: &[Delivery<'_>], work: &mut UnitOfWork) -> Result<(), HandlerError>;
}

/// Runs a [`Handle`] with its inbox row in the same unit of work.
pub(crate) struct HandlerRunner<E, H>(H, PhantomData<fn() -> E>);

impl<E, H> HandlerRunner<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

#[async_trait]
impl<E: Event, H: Handle<E>> Run for HandlerRunner<E, H> {
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError> {
        let received = delivery.received::<E>()?;
        let mut work = publisher.begin_handling(delivery.origin(), delivery.handling(E::TYPE));
        let outcome = self.0.handle(&received, &mut work).instrument(span(delivery, E::TYPE)).await;
        commit_handled(outcome, work).await
    }

    fn shares(&self, asked: bool) -> bool {
        asked
    }

    async fn run_within(&self, deliveries: &[Delivery<'_>], work: &mut UnitOfWork) -> Result<(), HandlerError> {
        for delivery in deliveries {
            let received = delivery.received::<E>()?;
            work.attribute(delivery.origin(), delivery.handling(E::TYPE));
            self.0.handle(&received, work).instrument(span(delivery, E::TYPE)).await?;
        }
        Ok(())
    }
}

/// Runs a [`HandleBatch`].
pub(crate) struct BatchRunner<E, H>(H, PhantomData<fn() -> E>);

impl<E, H> BatchRunner<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(handler, PhantomData)
    }
}

#[async_trait]
impl<E: Event, H: HandleBatch<E>> Run for BatchRunner<E, H> {
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError> {
        let received = [delivery.received::<E>()?];
        let mut work = publisher.begin_handling(delivery.origin(), delivery.handling(E::TYPE));
        let outcome = self.0.handle_batch(&received, &mut work).instrument(span(delivery, E::TYPE)).await;
        commit_handled(outcome, work).await
    }

    fn shares(&self, _asked: bool) -> bool {
        true
    }

    async fn run_within(&self, deliveries: &[Delivery<'_>], work: &mut UnitOfWork) -> Result<(), HandlerError> {
        let received = deliveries.iter().map(Delivery::received::<E>).collect::<Result<Vec<_>, Error>>()?;
        work.handles_together(deliveries.iter().map(|one| (one.origin(), one.handling(E::TYPE))).collect());
        self.0.handle_batch(&received, work).await
    }
}

/// Runs a [`HandleTombstone`].
pub(crate) struct TombstoneRunner<H>(pub(crate) H);

#[async_trait]
impl<H: HandleTombstone> Run for TombstoneRunner<H> {
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError> {
        let tombstone = Tombstone {
            identity: delivery.identity.clone(),
            key: delivery.record.record.key.clone(),
            topic: delivery.record.record.topic.clone(),
            partition: delivery.record.partition,
            offset: delivery.record.offset,
        };
        let mut work = publisher.begin_handling(delivery.origin(), delivery.handling(TOMBSTONE));
        let outcome = self.0.handle(&tombstone, &mut work).instrument(span(delivery, TOMBSTONE)).await;
        commit_handled(outcome, work).await
    }

    fn shares(&self, _asked: bool) -> bool {
        false
    }

    async fn run_within(&self, _: &[Delivery<'_>], _: &mut UnitOfWork) -> Result<(), HandlerError> {
        Err(HandlerError::permanent("tombstones do not share a unit"))
    }
}

/// Runs an [`Effect`], then records it: dying in between repeats the effect.
pub(crate) struct EffectRunner<E, H>(H, PhantomData<fn() -> E>);

impl<E, H> EffectRunner<E, H> {
    pub(crate) fn new(effect: H) -> Self {
        Self(effect, PhantomData)
    }
}

#[async_trait]
impl<E: Event, H: Effect<E>> Run for EffectRunner<E, H> {
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError> {
        let received = delivery.received::<E>()?;
        let handling = delivery.handling(E::TYPE);
        if handling.is_recorded(publisher.db()).await? {
            return Ok(Outcome::Duplicate);
        }
        self.0.perform(&received).instrument(span(delivery, E::TYPE)).await?;
        commit_handled(Ok(()), publisher.begin_handling(delivery.origin(), handling)).await
    }

    fn shares(&self, _asked: bool) -> bool {
        false
    }

    async fn run_within(&self, _: &[Delivery<'_>], _: &mut UnitOfWork) -> Result<(), HandlerError> {
        Err(HandlerError::permanent("effects outside the database do not share a unit"))
    }
}

/// What a handler logs stands in this: whose it is, of which event, and in which trace.
fn span(delivery: &Delivery<'_>, handler: &'static str) -> Span {
    tracing::debug_span!(
        HANDLE_SPAN,
        group = &**delivery.group,
        handler,
        event = delivery.identity,
        traceparent = delivery.record.record.header(TRACEPARENT)
    )
}

/// Commits the inbox row with whatever the handler did; beginning the unit records it where the handler did nothing.
async fn commit_handled(outcome: Result<(), HandlerError>, mut work: UnitOfWork) -> Result<Outcome, HandlerError> {
    let begun = match outcome {
        Ok(()) => work.tx().await.map(drop).map_err(HandlerError::from),
        Err(error) => Err(error),
    };
    match begun {
        Ok(()) => {
            work.commit().await?;
            Ok(Outcome::Handled)
        }
        Err(error) if is_already_handled(&error) => Ok(Outcome::Duplicate),
        Err(error) => Err(error),
    }
}

/// Handlers may wrap what the unit of work said in errors of their own.
fn is_already_handled(error: &HandlerError) -> bool {
    matches!(find::<Error>(error), Some(Error::AlreadyHandled))
}
