//! An event told by hand: the envelope and headers that a service would give it.

use bytes::Bytes;
use contracts::notification::recipient_of_key;
use eventkit::transport::{HeaderName, Record};
use eventkit::{Clock, Envelope, envelope, trace_context};
use serde_json::value::RawValue;
use uuid::Uuid;

/// Who tells events that come from the command line.
pub const SERVICE: &str = "techleet-cli";

/// The record of a new event on `topic` about the entity `key`, or addressed to the person whom a key of notifications
/// names.
///
/// # Errors
/// `data` is not valid JSON.
pub fn event_record(
    topic: &str,
    key: &str,
    event_type: &str,
    data: &[u8],
    clock: &Clock,
) -> Result<Record, serde_json::Error> {
    let data: Box<RawValue> = serde_json::from_slice(data)?;
    let (id, time) = (Uuid::now_v7().to_string(), clock.now());
    let written = envelope::format_millis(time);
    let recipient = recipient_of_key(key);
    let envelope = Envelope {
        event_id: Some(id.clone()),
        event_type: event_type.to_owned(),
        schema_version: 1,
        recipient_id: recipient.map(|(_, id)| id),
        recipient_type: recipient.map(|(kind, _)| kind),
        data,
        timestamp: Some(time),
        service: SERVICE.to_owned(),
        correlation_id: Some(id.clone()),
        causation_id: None,
    };
    let (source, trace) = (format!("/{SERVICE}"), trace_context::begin());
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", &source),
        ("ce_type", event_type),
        ("ce_time", &written),
        ("ce_subject", key),
        ("content-type", "application/json"),
        (trace_context::TRACEPARENT, &trace),
    ];
    let header =
        |(name, value): (&'static str, &str)| (HeaderName::from(name), Bytes::copy_from_slice(value.as_bytes()));
    Ok(Record {
        topic: topic.to_owned(),
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::from(serde_json::to_vec(&envelope)?)),
        headers: headers.map(header).to_vec(),
        timestamp_ms: Some(time.as_millisecond()),
    })
}
