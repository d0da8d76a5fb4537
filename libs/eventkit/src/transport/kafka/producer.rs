//! Publishing many records at a time: all of a call share one count of what the broker has yet to answer, so that an answer
//! costs no more than taking one off it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;

use super::contact::ContactContext;
use super::undelivered;
use crate::error::{Error, Result};
use crate::transport::Record;

/// How soon to try again when librdkafka's queue is full.
pub(super) const QUEUE_FULL_POLL: Duration = Duration::from_millis(10);

/// The producer that the records of a transport go through.
pub(super) type BatchProducer = ThreadedProducer<ContactContext>;

/// Records that were handed over together.
#[derive(Debug)]
pub(super) struct Batch {
    unanswered: AtomicUsize,
    failure: Mutex<Option<Error>>,
    answered: Notify,
}

impl Batch {
    fn new(records: usize) -> Self {
        Self { unanswered: AtomicUsize::new(records), failure: Mutex::default(), answered: Notify::new() }
    }

    fn answer(&self, result: Result<()>) {
        if let Err(error) = result {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        if self.unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.answered.notify_one();
        }
    }

    /// Waits until the last record is answered; the first failure, if there was one.
    async fn outcome(&self) -> Result<()> {
        while self.unanswered.load(Ordering::Acquire) > 0 {
            self.answered.notified().await;
        }
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

impl ProducerContext for ContactContext {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        batch.answer(match result {
            Ok(_) => Ok(()),
            Err((error, message)) => Err(undelivered(message.topic(), error.clone())),
        });
    }
}

/// Publishes records; done when all are answered. A record that the client itself refuses ends it at once.
pub(super) async fn publish(producer: &BatchProducer, records: &[Record]) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let batch = Arc::new(Batch::new(records.len()));
    for record in records {
        while !send(producer, record, &batch)? {
            tokio::time::sleep(QUEUE_FULL_POLL).await;
        }
    }
    batch.outcome().await
}

/// Hands a record to librdkafka; false while its queue is full.
fn send(producer: &BatchProducer, record: &Record, batch: &Arc<Batch>) -> Result<bool> {
    let mut out = BaseRecord::<[u8], [u8], _>::with_opaque_to(&record.topic, batch.clone()).headers(headers_of(record));
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    out.timestamp = record.timestamp_ms;
    match producer.send(out) {
        Ok(()) => Ok(true),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
        Err((error, _)) => Err(undelivered(&record.topic, error)),
    }
}

/// A record's headers as the client takes them.
pub(super) fn headers_of(record: &Record) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    record
        .headers
        .iter()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value.as_ref()) }))
}
