//! Publishing many records at a time so that none overtakes an earlier one of its key that failed.
//!
//! librdkafka itself goes on after a failure: it gives up one record and sends those behind it. So a producer that failed
//! once sends nothing more (`enable.gapless.guarantee`, and the broker refuses what was on its way behind the gap), and
//! another takes its place. Records do not time out one by one inside it either: a call has its time as a whole. A record
//! that comes alone, or is so large that a broker may refuse it, goes alone and through a producer that others do not share
//! the fate of.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;

use super::contact::{Contact, ContactContext};
use super::{refused_setting, undelivered};
use crate::error::{Error, Result};
use crate::transport::Record;

/// How soon to try again when librdkafka's queue is full.
pub(super) const QUEUE_FULL_POLL: Duration = Duration::from_millis(10);
/// From which size on a record goes alone: below what any broker is told to refuse.
const LARGE_BYTES: usize = 64 * 1024;
/// How long a producer that is given up may take to tell what became of its records.
const GIVE_UP_MAX: Duration = Duration::from_secs(1);

/// What a call without a limit waits: longer than any process runs, and less than overflows a clock.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

type Threaded = ThreadedProducer<ContactContext>;

/// The producers that the records of one transport go through.
pub(super) struct Producers {
    settings: ClientConfig,
    contact: Arc<Contact>,
    delivery_timeout: Duration,
    together: Mutex<Arc<BatchProducer>>,
    alone: Mutex<Option<Arc<BatchProducer>>>,
}

/// A producer, which is ended on a thread of its own, since that blocks.
pub(super) struct BatchProducer(Option<Threaded>);

impl Deref for BatchProducer {
    type Target = Threaded;

    fn deref(&self) -> &Threaded {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for BatchProducer {
    fn drop(&mut self) {
        let producer = self.0.take();
        // Without a thread it blocks here for a moment.
        let _ = std::thread::Builder::new().name("kafka-producer-end".to_owned()).spawn(move || drop(producer));
    }
}

impl Producers {
    /// `settings` are those of the cluster and what all producers share.
    pub(super) fn new(settings: ClientConfig, contact: Arc<Contact>, delivery_timeout: Duration) -> Result<Self> {
        let together = Mutex::new(Arc::new(gapless(&settings, &contact)?));
        Ok(Self { settings, contact, delivery_timeout, together, alone: Mutex::default() })
    }

    /// Publishes records; done when all are answered. A record that the client itself refuses ends it at once.
    pub(super) async fn publish(&self, records: &[Record]) -> Result<()> {
        let is_large = |record: &Record| record.bytes() >= LARGE_BYTES;
        for run in records.chunk_by(|one, next| !is_large(one) && !is_large(next)) {
            match run {
                // Nothing stands behind it, so that a failure of it needs no producer of its own to end.
                [one] => self.publish_alone(one).await?,
                many => self.publish_together(many).await?,
            }
        }
        Ok(())
    }

    /// Hands records over; done when all have their place in librdkafka's queue. What goes this way is not held up by a
    /// record before it that is refused.
    pub(super) async fn hand_over(&self, records: &[Record]) -> Result<Arc<Batch>> {
        let producer = self.alone()?;
        let batch = Arc::new(Batch::new(records.len()));
        send_all(&producer, records, &batch).await?;
        Ok(batch)
    }

    async fn publish_alone(&self, record: &Record) -> Result<()> {
        let producer = self.alone()?;
        let batch = Arc::new(Batch::new(1));
        send_all(&producer, std::slice::from_ref(record), &batch).await?;
        // librdkafka keeps its time.
        batch.is_answered().await;
        batch.outcome()
    }

    async fn publish_together(&self, records: &[Record]) -> Result<()> {
        let producer = lock(&self.together).clone();
        let batch = Arc::new(Batch::new(records.len()));
        let unless_over = GiveUp { producers: self, producer: &producer };
        let all = async {
            send_all(&producer, records, &batch).await?;
            batch.is_answered_or_failed().await;
            batch.outcome()
        };
        let wait = if self.delivery_timeout.is_zero() { FOR_EVER } else { self.delivery_timeout };
        let error = match tokio::time::timeout(wait, all).await {
            Ok(Ok(())) => {
                std::mem::forget(unless_over);
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(_) => Error::Transport {
                operation: format!("publish to {}", records.first().map_or("", |record| &record.topic)),
                transient: true,
                source: format!("not acknowledged within {} ms", self.delivery_timeout.as_millis()).into(),
            },
        };
        drop(unless_over);
        batch.note(error);
        // What was refused may be told only now, after what follows from it.
        if tokio::time::timeout(GIVE_UP_MAX, batch.is_answered()).await.is_err() {
            tracing::debug!("a producer that was given up did not tell of all its records");
        }
        batch.outcome()
    }

    /// The producer of records that go alone: another one once that is broken, which takes nothing any more.
    fn alone(&self) -> Result<Arc<BatchProducer>> {
        let mut alone = lock(&self.alone);
        if let Some(producer) = &*alone {
            let Some((code, reason)) = producer.client().fatal_error() else { return Ok(producer.clone()) };
            tracing::error!(%code, reason, "kafka producer is broken, another one takes its place");
        }
        let mut settings = self.settings.clone();
        settings.set("message.timeout.ms", self.delivery_timeout.as_millis().to_string());
        let producer = Arc::new(start(&settings, &self.contact)?);
        *alone = Some(producer.clone());
        Ok(producer)
    }

    /// Puts another producer in the place of one that failed, which then sends nothing more.
    fn give_up(&self, failed: &Arc<BatchProducer>) {
        let mut together = lock(&self.together);
        if !Arc::ptr_eq(&together, failed) {
            return;
        }
        match gapless(&self.settings, &self.contact) {
            Ok(next) => *together = Arc::new(next),
            Err(error) => tracing::error!(%error, "no producer could be put in the place of one that failed"),
        }
        failed.purge(PurgeConfig::default().queue().inflight());
    }

    /// Waits until all that was handed over is answered.
    pub(super) fn flush(&self, wait: Duration) -> std::result::Result<(), KafkaError> {
        if let Some(alone) = &*lock(&self.alone) {
            alone.flush(wait)?;
        }
        lock(&self.together).flush(wait)
    }

    /// What the cluster has, if it answers within `wait`; blocks.
    pub(super) fn topics(&self, wait: Duration) -> std::result::Result<Metadata, KafkaError> {
        let producer = lock(&self.together).clone();
        producer.client().fetch_metadata(None, wait)
    }

    /// Has the clients look at a topic anew, if the cluster answers within `wait`; blocks.
    pub(super) fn ask_about(&self, topic: &str, wait: Duration) -> std::result::Result<(), KafkaError> {
        let alone = lock(&self.alone).clone();
        for producer in alone.into_iter().chain([lock(&self.together).clone()]) {
            producer.client().fetch_metadata(Some(topic), wait)?;
        }
        Ok(())
    }

    /// Whether a broker answers within `wait`; blocks.
    pub(super) fn is_answered(&self, wait: Duration) -> bool {
        let producer = lock(&self.together).clone();
        producer.client().fetch_metadata(None, wait).is_ok()
    }
}

/// Gives a producer up when it is dropped: after a failure, and when its caller waits no longer.
struct GiveUp<'a> {
    producers: &'a Producers,
    producer: &'a Arc<BatchProducer>,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.producers.give_up(self.producer);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A producer with these settings.
pub(super) fn start(settings: &ClientConfig, contact: &Arc<Contact>) -> Result<BatchProducer> {
    let producer = settings.create_with_context(ContactContext(contact.clone())).map_err(refused_setting)?;
    Ok(BatchProducer(Some(producer)))
}

fn gapless(settings: &ClientConfig, contact: &Arc<Contact>) -> Result<BatchProducer> {
    let mut settings = settings.clone();
    settings.set("enable.gapless.guarantee", "true").set("message.timeout.ms", "0");
    start(&settings, contact)
}

/// Records that were handed over together.
#[derive(Debug)]
pub(super) struct Batch {
    unanswered: AtomicUsize,
    failure: Mutex<Option<Error>>,
    answered: Notify,
}

impl Batch {
    pub(super) fn new(records: usize) -> Self {
        Self { unanswered: AtomicUsize::new(records), failure: Mutex::default(), answered: Notify::new() }
    }

    fn answer(&self, result: Result<()>) {
        if let Err(error) = result {
            self.note(error);
        }
        self.settle(1);
    }

    /// Keeps a failure; what was refused is the cause of all others.
    fn note(&self, error: Error) {
        let is_cause = |error: &Error| !error.is_transient() || matches!(error, Error::TopicRefused { .. });
        let mut failure = lock(&self.failure);
        if failure.as_ref().is_none_or(|known| !is_cause(known) && is_cause(&error)) {
            *failure = Some(error);
        }
        drop(failure);
        self.answered.notify_one();
    }

    fn settle(&self, records: usize) {
        if self.unanswered.fetch_sub(records, Ordering::AcqRel) == records {
            self.answered.notify_one();
        }
    }

    fn has_failed(&self) -> bool {
        lock(&self.failure).is_some()
    }

    /// Waits until the last record is answered.
    pub(super) async fn is_answered(&self) {
        while self.unanswered.load(Ordering::Acquire) > 0 {
            self.answered.notified().await;
        }
    }

    /// Waits until the last record is answered or one has failed.
    async fn is_answered_or_failed(&self) {
        while self.unanswered.load(Ordering::Acquire) > 0 && !self.has_failed() {
            self.answered.notified().await;
        }
    }

    /// The failure, if there was one.
    pub(super) fn outcome(&self) -> Result<()> {
        lock(&self.failure).take().map_or(Ok(()), Err)
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

/// Hands records over, and no more once one has failed.
pub(super) async fn send_all(producer: &BatchProducer, records: &[Record], batch: &Arc<Batch>) -> Result<()> {
    for (sent, record) in records.iter().enumerate() {
        let mut is_sent = Ok(false);
        while !batch.has_failed() && matches!(is_sent, Ok(false)) {
            is_sent = send(producer, record, batch);
            if matches!(is_sent, Ok(false)) {
                tokio::time::sleep(QUEUE_FULL_POLL).await;
            }
        }
        if !matches!(is_sent, Ok(true)) {
            batch.settle(records.len() - sent);
            return is_sent.map(drop);
        }
    }
    Ok(())
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
