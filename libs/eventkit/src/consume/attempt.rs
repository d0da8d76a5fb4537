//! One attempt at one record: read it, ask the inbox, run the handler, commit.

use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;

use super::{Effect, Handle, Received};
use crate::dead_letter::identity;
use crate::envelope::Envelope;
use crate::error::{Error, HandlerError, chain};
use crate::event::{Event, decode};
use crate::inbox::Handling;
use crate::publish::{EventPublisher, Origin, UnitOfWork};
use crate::transport::ConsumedRecord;

/// How an attempt ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Handled,
    /// The inbox had it.
    Duplicate,
    /// No handler wants it.
    Ignored,
}

impl Outcome {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
        }
    }
}

/// An envelope with the place that it came from.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) envelope: Envelope,
    pub(crate) identity: String,
    pub(crate) group: &'a Arc<str>,
    pub(crate) record: &'a ConsumedRecord,
}

impl<'a> Delivery<'a> {
    /// Reads a record's envelope; `None` for a tombstone.
    pub(crate) fn read(group: &'a Arc<str>, record: &'a ConsumedRecord) -> Result<Option<Self>, Error> {
        let Some(value) = &record.record.value else { return Ok(None) };
        let envelope = Envelope::read(value)?;
        let identity = identity(record, Some(&envelope));
        Ok(Some(Self { envelope, identity, group, record }))
    }

    /// What events published by the handler name as their cause.
    fn origin(&self) -> Origin {
        let correlation_id = self.envelope.correlation_id.clone().unwrap_or_else(|| self.identity.clone());
        Origin {
            correlation_id: Some(correlation_id),
            causation_id: Some(self.identity.clone()),
            traceparent: self.record.record.header("traceparent").map(str::to_owned),
        }
    }

    fn handling(&self, handler: &'static str) -> Handling {
        Handling { group: self.group.clone(), handler, identity: self.identity.clone() }
    }

    fn received<E: Event>(&self) -> Result<Received<E>, Error> {
        Ok(Received {
            event: decode(&self.envelope)?,
            envelope: self.envelope.clone(),
            identity: self.identity.clone(),
            key: self.record.record.key.clone(),
            topic: self.record.record.topic.clone(),
            partition: self.record.partition,
            offset: self.record.offset,
        })
    }
}

/// A handler whose event type is forgotten.
#[async_trait]
pub(crate) trait Run: Send + Sync {
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError>;
}

/// Runs a [`Handle`] with its inbox row in the same unit of work.
pub(crate) struct HandlerRunner<E, H> {
    handler: H,
    event: PhantomData<fn() -> E>,
}

impl<E, H> HandlerRunner<E, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, event: PhantomData }
    }
}

#[async_trait]
impl<E: Event, H: Handle<E>> Run for HandlerRunner<E, H> {
    async fn run(&self, delivery: &Delivery<'_>, publisher: &EventPublisher) -> Result<Outcome, HandlerError> {
        let received = delivery.received::<E>()?;
        let mut work = publisher.begin_handling(delivery.origin(), delivery.handling(E::TYPE));
        match self.handler.handle(&received, &mut work).await {
            Err(error) if is_already_handled(&error) => return Ok(Outcome::Duplicate),
            outcome => outcome?,
        }
        commit_handled(work).await
    }
}

/// Runs an [`Effect`], then records it: dying in between repeats the effect.
pub(crate) struct EffectRunner<E, H> {
    effect: H,
    event: PhantomData<fn() -> E>,
}

impl<E, H> EffectRunner<E, H> {
    pub(crate) fn new(effect: H) -> Self {
        Self { effect, event: PhantomData }
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
        self.effect.perform(&received).await?;
        commit_handled(publisher.begin_handling(delivery.origin(), handling)).await
    }
}

/// Commits the inbox row with whatever the handler did; beginning the unit records it where the handler did nothing.
async fn commit_handled(mut work: UnitOfWork) -> Result<Outcome, HandlerError> {
    match work.tx().await {
        Ok(_) => {
            work.commit().await?;
            Ok(Outcome::Handled)
        }
        Err(Error::AlreadyHandled) => Ok(Outcome::Duplicate),
        Err(error) => Err(error.into()),
    }
}

fn is_already_handled(error: &HandlerError) -> bool {
    let (HandlerError::Transient { source, .. } | HandlerError::Permanent { source }) = error;
    matches!(source.downcast_ref::<Error>(), Some(Error::AlreadyHandled))
}

/// Why an attempt failed, in the words of metrics and dead letters.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Counts as an attempt.
    Counted(Option<std::time::Duration>),
    /// The fault is not the event's: the database or the transport is away.
    Uncounted,
}

impl Failure {
    pub(crate) fn undecodable(error: &Error) -> Self {
        Self { kind: "undecodable", text: chain(error), retry: Retry::Never }
    }

    fn of(error: &HandlerError) -> Self {
        let text = chain(error);
        match error {
            HandlerError::Permanent { .. } => Self { kind: "permanent", text, retry: Retry::Never },
            HandlerError::Transient { source, delay } => {
                let is_away = source
                    .downcast_ref::<Error>()
                    .is_some_and(|error| matches!(error, Error::Database(_) | Error::Transport { .. }));
                let retry = if is_away { Retry::Uncounted } else { Retry::Counted(*delay) };
                Self { kind: "transient", text, retry }
            }
        }
    }
}

/// Runs one attempt with its deadline; a panic is a failure like any other.
pub(crate) async fn attempt(
    runner: &dyn Run,
    delivery: &Delivery<'_>,
    publisher: &EventPublisher,
    deadline: std::time::Duration,
) -> Result<Outcome, Failure> {
    let run = AssertUnwindSafe(runner.run(delivery, publisher)).catch_unwind();
    match tokio::time::timeout(deadline, run).await {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        Ok(Ok(Err(error))) => Err(Failure::of(&error)),
        Ok(Err(panic)) => {
            let said = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Err(Failure { kind: "panic", text: format!("handler panicked: {said}"), retry: Retry::Counted(None) })
        }
        Err(_) => {
            let text = format!("handler took longer than {} ms", deadline.as_millis());
            Err(Failure { kind: "timeout", text, retry: Retry::Counted(None) })
        }
    }
}
