//! What a route wants to be stored: at once, or together with the event that it follows from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eventkit::{Envelope, EventPublisher, HandlerError, Origin, UnitOfWork, trace_context};
use routes::exchange::{Exception, Exchange, class};
use serde_json::Value;

use crate::incidents::Threshold;

/// Events that a step wants to be published.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: &'static str,
    /// Each with its key.
    pub(crate) events: Vec<(String, Envelope)>,
    /// Nothing is published unless incidents have become too many with this one.
    pub(crate) counted: Option<Counted>,
}

/// An incident that is counted, with those like it that are only counted.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) incident: String,
    pub(crate) suppressed: i64,
    pub(crate) at_ms: i64,
    pub(crate) threshold: Threshold,
}

/// Goes along with an exchange that an event brought: what is to be stored in the transaction in which the event counts
/// as handled.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    publications: Vec<Publication>,
    /// What failed a step, in more than words.
    cause: Option<HandlerError>,
    /// Whether the exchange has ended: what comes later stands alone.
    is_closed: bool,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be published, and what failed; nothing is taken any more.
    pub(crate) fn close(&self) -> (Vec<Publication>, Option<HandlerError>) {
        let mut entries = self.entries();
        entries.is_closed = true;
        (std::mem::take(&mut entries.publications), entries.cause.take())
    }

    fn add(&self, publication: Publication) -> Result<(), Publication> {
        let mut entries = self.entries();
        if entries.is_closed {
            return Err(publication);
        }
        entries.publications.push(publication);
        Ok(())
    }
}

/// Fails a step with what the database or the transport said: whoever brought the event decides by it.
pub(crate) fn failed(exchange: &Exchange, error: HandlerError) -> Exception {
    let class = if matches!(error, HandlerError::Transient { .. }) { &class::IO } else { &class::ILLEGAL_ARGUMENT };
    let exception = Exception::new(class, eventkit::chain(&error));
    if let Some(ledger) = exchange.companion::<Ledger>() {
        ledger.entries().cause = Some(error);
    }
    exception
}

/// Has events published: with the event that brought the exchange, or at once in a transaction of their own.
pub(crate) async fn publish(
    publisher: &EventPublisher,
    exchange: &Exchange,
    publication: Publication,
) -> Result<(), HandlerError> {
    let publication = match exchange.companion::<Ledger>() {
        Some(ledger) => match ledger.add(publication) {
            Ok(()) => return Ok(()),
            Err(publication) => publication,
        },
        None => publication,
    };
    let mut work = publisher.begin(origin(exchange));
    store(publication, &mut work).await?;
    Ok(work.commit().await?)
}

/// What published events name as their cause: the same trace whenever that comes again.
fn origin(exchange: &Exchange) -> Origin {
    let cause = exchange.cause().map(ToString::to_string);
    let given = exchange.traceparent().and_then(|trace| trace_context::read(trace));
    let traceparent = given.or_else(|| cause.as_deref().map(trace_context::of_cause));
    Origin { correlation_id: cause.clone(), causation_id: cause, traceparent }
}

/// Stores events; one that is stored already is not stored again.
pub(crate) async fn store(publication: Publication, work: &mut UnitOfWork) -> Result<(), HandlerError> {
    let Publication { topic, events, counted } = publication;
    let crossed = match &counted {
        Some(counted) => match counted.threshold.crossed(counted, work).await? {
            Some(incidents) => Some((incidents, counted.threshold.window_minutes())),
            None => return Ok(()),
        },
        None => None,
    };
    for (key, mut envelope) in events {
        if let Some((incidents, window_minutes)) = crossed {
            fill(&mut envelope, incidents, window_minutes)?;
        }
        if let Some(id) = &envelope.event_id
            && eventkit::outbox::contains(work.tx().await?, id).await?
        {
            continue;
        }
        work.publish_event(topic, &key, envelope).await?;
    }
    Ok(())
}

/// Puts what was counted among a notification's variables.
fn fill(envelope: &mut Envelope, incidents: i64, window_minutes: i64) -> Result<(), HandlerError> {
    let mut data: Value = serde_json::from_str(envelope.data.get()).map_err(HandlerError::permanent)?;
    data["variables"]["incidents"] = Value::from(incidents);
    data["variables"]["windowMinutes"] = Value::from(window_minutes);
    envelope.data = serde_json::value::to_raw_value(&data).map_err(HandlerError::permanent)?;
    Ok(())
}

/// A ledger for an exchange to take along.
pub(crate) fn accompany(exchange: &mut Exchange) -> Arc<Ledger> {
    let ledger = Arc::new(Ledger::default());
    exchange.accompany(ledger.clone());
    ledger
}
