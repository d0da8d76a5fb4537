//! One attempt at one record: read it, ask the inbox, run the handler, commit; and what a failure of it means.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::handler::Received;
use crate::dead_letter::identity;
use crate::envelope::Envelope;
use crate::error::{Error, HandlerError, chain, find};
use crate::event::{Event, decode};
use crate::inbox::Handling;
use crate::publish::Origin;
use crate::retry::FailureKind;
use crate::trace_context::{self, TRACEPARENT};
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

/// A record that was read, with the place that it came from.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    /// `None` for a tombstone.
    pub(crate) envelope: Option<Arc<Envelope>>,
    pub(crate) identity: String,
    pub(crate) group: &'a Arc<str>,
    pub(crate) record: &'a ConsumedRecord,
}

impl<'a> Delivery<'a> {
    /// Reads a record.
    pub(crate) fn read(group: &'a Arc<str>, record: &'a ConsumedRecord) -> Result<Self, Error> {
        let envelope = record.record.value.as_deref().map(Envelope::read).transpose()?;
        let identity = identity(record, envelope.as_ref());
        Ok(Self { envelope: envelope.map(Arc::new), identity, group, record })
    }

    /// What events published by the handler name as their cause.
    pub(crate) fn origin(&self) -> Origin {
        let correlation_id = self.envelope.as_ref().and_then(|envelope| envelope.correlation_id.clone());
        let correlation_id = correlation_id.unwrap_or_else(|| self.identity.clone());
        let given = self.record.record.header(TRACEPARENT).and_then(trace_context::read);
        Origin {
            traceparent: Some(given.unwrap_or_else(|| trace_context::of_cause(&correlation_id))),
            correlation_id: Some(correlation_id),
            causation_id: Some(self.identity.clone()),
        }
    }

    pub(crate) fn handling(&self, handler: &'static str) -> Handling {
        Handling { group: self.group.clone(), handler, identity: self.identity.clone() }
    }

    pub(crate) fn received<E: Event>(&self) -> Result<Received<E>, Error> {
        let envelope = self.envelope.clone().expect("only events are handed to handlers of events");
        Ok(Received {
            event: decode(&envelope)?,
            envelope,
            identity: self.identity.clone(),
            key: self.record.record.key.clone(),
            topic: self.record.record.topic.clone(),
            partition: self.record.partition,
            offset: self.record.offset,
            traceparent: self.record.record.header(TRACEPARENT).filter(|text| is_plain(text)).map(str::to_owned),
        })
    }
}

/// Whether a trace context can be written into the headers of others as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) text: String,
    pub(crate) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Counts as an attempt.
    Counted(Option<Duration>),
    /// The fault is not the event's: the database or the transport is away.
    Uncounted,
}

impl Failure {
    pub(crate) fn undecodable(error: &Error) -> Self {
        Self { kind: FailureKind::Undecodable, text: chain(error), retry: Retry::Never }
    }

    fn of(error: &HandlerError) -> Self {
        let text = chain(error);
        let counted = |kind, delay| Self { kind, text: text.clone(), retry: Retry::Counted(delay) };
        if is_too_slow(error) {
            return counted(FailureKind::Timeout, None);
        }
        if is_away(error) {
            return Self { kind: FailureKind::Transient, text, retry: Retry::Uncounted };
        }
        match error {
            HandlerError::Transient { delay, .. } => counted(FailureKind::Transient, *delay),
            HandlerError::Permanent { source } => {
                let kind = match source.downcast_ref::<Error>() {
                    Some(Error::Decode { .. } | Error::NewerSchema { .. } | Error::Upcast { .. }) => {
                        FailureKind::Undecodable
                    }
                    _ => FailureKind::Permanent,
                };
                Self { kind, text, retry: Retry::Never }
            }
        }
    }
}

/// A handler that hangs inside its unit is stopped by the database: that is the handler's fault, not the database's.
fn is_too_slow(error: &HandlerError) -> bool {
    matches!(find::<db::Error>(error), Some(db::Error::UnitTimedOut | db::Error::StatementTimedOut { .. }))
}

/// Whether the cause, however it was wrapped, is that the database or the transport cannot serve now.
fn is_away(error: &HandlerError) -> bool {
    find::<db::Error>(error).is_some_and(db::Error::is_transient)
        || matches!(find::<Error>(error), Some(Error::Transport { transient: true, .. }))
}

/// Runs one attempt with its deadline; a panic is a failure like any other.
pub(crate) async fn attempt<T>(
    run: impl Future<Output = Result<T, HandlerError>>,
    deadline: Duration,
) -> Result<T, Failure> {
    let run = AssertUnwindSafe(run).catch_unwind();
    match tokio::time::timeout(deadline, run).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(error))) => Err(Failure::of(&error)),
        Ok(Err(panic)) => {
            let text = format!("handler panicked: {}", said(&*panic));
            Err(Failure { kind: FailureKind::Panic, text, retry: Retry::Counted(None) })
        }
        Err(_) => {
            let text = format!("handler took longer than {} ms", deadline.as_millis());
            Err(Failure { kind: FailureKind::Timeout, text, retry: Retry::Counted(None) })
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
