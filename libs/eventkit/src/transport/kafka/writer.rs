//! Publishing single records and learning where each went: what an operator's tools need and a relay does not.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use super::producer::{QUEUE_FULL_POLL, headers_of};
use super::{KafkaConfig, LogContext, failed, producer_settings, refused_setting};
use crate::error::{Error, Result};
use crate::transport::Record;

/// How long records in flight may take at the end.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Where a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The record's time as the broker keeps it, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// A record on its way.
pub struct InFlight {
    topic: String,
    delivery: DeliveryFuture,
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl InFlight {
    /// Waits until all replicas have the record.
    ///
    /// # Errors
    /// [`Error::Transport`] when it was refused or not acknowledged in time; [`Error::Stopped`] when the writer is gone.
    pub async fn acknowledged(self) -> Result<Acknowledged> {
        match self.delivery.await {
            Ok(Ok(delivery)) => Ok(Acknowledged {
                partition: delivery.partition,
                offset: delivery.offset,
                timestamp_ms: delivery.timestamp.to_millis(),
            }),
            Ok(Err((error, _))) => Err(failed(&format!("publish to {}", self.topic), error)),
            Err(_) => Err(Error::Stopped),
        }
    }
}

/// Publishes records one by one, idempotently, acknowledged by all replicas.
pub struct KafkaWriter {
    producer: FutureProducer<LogContext>,
}

impl std::fmt::Debug for KafkaWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KafkaWriter")
    }
}

impl KafkaWriter {
    /// A writer; `overrides` are settings of the client by its own names, laid over ours.
    ///
    /// # Errors
    /// [`Error::Config`] when the client refuses a setting.
    pub fn new(config: &KafkaConfig, overrides: &[(String, String)]) -> Result<Self> {
        let mut settings = producer_settings(config)?;
        settings.set("message.timeout.ms", config.delivery_timeout_ms.to_string());
        for (name, value) in overrides {
            settings.set(name, value);
        }
        Ok(Self { producer: settings.create_with_context(LogContext).map_err(refused_setting)? })
    }

    /// Hands a record over for sending, to `partition` or to where its key belongs; waits while the queue is full.
    /// Records to one partition are stored in the order in which they are handed over.
    ///
    /// # Errors
    /// [`Error::Transport`] when the client refuses it, for example because it is too large.
    pub async fn send(&self, record: &Record, partition: Option<i32>) -> Result<InFlight> {
        let mut out = FutureRecord::<[u8], [u8]>::to(&record.topic).headers(headers_of(record));
        out.partition = partition;
        out.key = record.key.as_deref();
        out.payload = record.value.as_deref();
        out.timestamp = record.timestamp_ms;
        loop {
            match self.producer.send_result(out) {
                Ok(delivery) => return Ok(InFlight { topic: record.topic.clone(), delivery }),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    out = refused;
                    tokio::time::sleep(QUEUE_FULL_POLL).await;
                }
                Err((error, _)) => return Err(failed(&format!("publish to {}", record.topic), error)),
            }
        }
    }
}

impl Drop for KafkaWriter {
    fn drop(&mut self) {
        if let Err(error) = self.producer.flush(FLUSH_MAX) {
            tracing::warn!(%error, "records in flight at the end of a writer");
        }
    }
}
