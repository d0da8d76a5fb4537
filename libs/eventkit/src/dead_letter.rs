//! Where an event goes that could not be handled: `<topic>.dlq`, untouched, with its cause in headers.

use bytes::Bytes;

use crate::transport::{ConsumedRecord, Record};

/// What is put behind a topic's name to name its dead-letter topic.
pub const SUFFIX: &str = ".dlq";

/// Why and when an event was given up.
#[derive(Debug, Clone)]
pub struct Cause<'a> {
    /// The consumer group that gave it up.
    pub group: &'a str,
    /// The error with its chain of causes.
    pub error: &'a str,
    /// `transient`, `permanent`, `undecodable`, `timeout` or `panic`.
    pub kind: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first, in milliseconds since 1970.
    pub first_failed_at_ms: i64,
    /// When it failed last, in milliseconds since 1970.
    pub failed_at_ms: i64,
}

/// The dead letter of a record: the same key, value, headers and time, and the cause in `dlq-*` headers.
pub fn letter(failed: &ConsumedRecord, cause: &Cause<'_>) -> Record {
    let mut record = failed.record.clone();
    record.headers.retain(|(name, _)| !name.starts_with("dlq-"));
    let facts = [
        ("dlq-topic", record.topic.clone()),
        ("dlq-partition", failed.partition.to_string()),
        ("dlq-offset", failed.offset.to_string()),
        ("dlq-group", cause.group.to_owned()),
        ("dlq-error", cause.error.to_owned()),
        ("dlq-error-kind", cause.kind.to_owned()),
        ("dlq-attempts", cause.attempts.to_string()),
        ("dlq-first-failed-at", cause.first_failed_at_ms.to_string()),
        ("dlq-failed-at", cause.failed_at_ms.to_string()),
    ];
    record.headers.extend(facts.map(|(name, value)| (name.to_owned(), Bytes::from(value))));
    record.topic = format!("{}{SUFFIX}", record.topic);
    record
}
