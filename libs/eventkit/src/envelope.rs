//! The JSON document on the wire that carries an event, and the headers beside it.
//!
//! The fields are the seed's five (`eventType`, `recipientId`, `data`, `timestamp`, `service`) and ours.
//! Headers follow the Kafka binding of CloudEvents 1.0 in binary mode.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::transport::HeaderName;

/// Whom an event addresses, where it addresses someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum RecipientType {
    /// Somebody who works here; what an envelope without the field means.
    #[default]
    Employee,
    /// Somebody who applied.
    Candidate,
}

/// An event with its metadata, as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The event's identity; a UUIDv7 where we wrote it, absent in envelopes of the seed's services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The event's type, for example `user.created`.
    pub event_type: String,
    /// The version of the data's shape; 1 where it is absent.
    #[serde(default = "first_version")]
    pub schema_version: u32,
    /// The id of whom the event addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<i64>,
    /// What kind of person `recipient_id` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_type: Option<RecipientType>,
    /// The event's own data, as JSON text that is read only when someone wants it.
    #[serde(default = "null_data")]
    pub data: Box<RawValue>,
    /// When it happened, RFC 3339 with milliseconds in UTC.
    #[serde(default, serialize_with = "write_millis", skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// The service that tells it.
    #[serde(default, deserialize_with = "text_or_empty")]
    pub service: String,
    /// The id of the first cause: a request or an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The id of the direct cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
}

impl Envelope {
    /// An envelope around `event`; identity, time, service and causes are filled in when it is published.
    ///
    /// # Errors
    /// [`Error::Encode`] when the event cannot be written as JSON.
    pub fn of<E: Event>(event: &E) -> Result<Self> {
        let data = serde_json::value::to_raw_value(event)
            .map_err(|source| Error::Encode { event_type: E::TYPE.to_owned(), source })?;
        Ok(Self {
            event_id: None,
            event_type: E::TYPE.to_owned(),
            schema_version: E::VERSION,
            recipient_id: None,
            recipient_type: None,
            data,
            timestamp: None,
            service: String::new(),
            correlation_id: None,
            causation_id: None,
        })
    }

    /// The same envelope, addressed to someone.
    #[must_use]
    pub fn to_recipient(mut self, recipient_type: RecipientType, recipient_id: i64) -> Self {
        self.recipient_id = Some(recipient_id);
        self.recipient_type = Some(recipient_type);
        self
    }

    /// Reads an envelope from a record's value; unknown fields are ignored.
    ///
    /// # Errors
    /// [`Error::Decode`] when the value is not JSON or lacks `eventType`.
    pub fn read(value: &[u8]) -> Result<Self> {
        serde_json::from_slice(value).map_err(|source| Error::Decode { event_type: "envelope".to_owned(), source })
    }

    /// The envelope as JSON text.
    ///
    /// # Errors
    /// [`Error::Encode`] when the data is not valid JSON.
    pub fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| Error::Encode { event_type: self.event_type.clone(), source })
    }

    /// Who is addressed, if anyone; a missing type means an employee.
    pub fn recipient(&self) -> Option<(RecipientType, i64)> {
        self.recipient_id.map(|id| (self.recipient_type.unwrap_or_default(), id))
    }
}

/// The id of an event that follows from another: done twice, it is the same event.
///
/// UUIDv5 over the source's identity, the route or handler, its step and the index among that step's events.
pub fn derived_id(source: &str, handler: &str, step: &str, index: usize) -> Uuid {
    let name = format!("{source}/{handler}/{step}/{index}");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

/// The time as the envelope writes it: RFC 3339 in UTC with exactly three digits of a second.
pub fn format_millis(time: Timestamp) -> String {
    DateTimePrinter::new().precision(Some(3)).timestamp_to_string(&time)
}

/// The CloudEvents headers of an event, in the order in which they are written.
pub(crate) fn cloud_events_headers(event: EventFacts<'_>) -> Vec<(HeaderName, Bytes)> {
    let values = [
        Bytes::from_static(b"1.0"),
        Bytes::from(event.id),
        Bytes::from(format!("/{}", event.service)),
        Bytes::from(event.event_type),
        Bytes::from(format_millis(event.time)),
        event.key,
        Bytes::from_static(b"application/json"),
    ];
    // Room for the trace, which may follow.
    let mut headers = Vec::with_capacity(values.len() + 1);
    headers.extend(CLOUD_EVENTS_NAMES.map(HeaderName::Borrowed).into_iter().zip(values));
    headers
}

/// The names of those headers.
pub(crate) const CLOUD_EVENTS_NAMES: [&str; 7] =
    ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type"];

/// What the CloudEvents headers tell of an event.
#[derive(Debug)]
pub(crate) struct EventFacts<'a> {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) service: &'a str,
    pub(crate) key: Bytes,
    pub(crate) time: Timestamp,
}

fn first_version() -> u32 {
    1
}

fn null_data() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

fn write_millis<S: Serializer>(time: &Option<Timestamp>, out: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => out.serialize_str(&format_millis(*time)),
        None => out.serialize_none(),
    }
}

fn text_or_empty<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(input)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_of_the_seed_is_read() {
        let value = br#"{"eventType":"user.created","recipientId":7,"data":{"a":1},
            "timestamp":"2026-11-24T02:05:27.123Z","service":"user-service","more":true}"#;
        let envelope = Envelope::read(value).unwrap();
        assert_eq!(envelope.event_id, None);
        assert_eq!(envelope.schema_version, 1);
        assert_eq!(envelope.recipient(), Some((RecipientType::Employee, 7)));
        assert_eq!(envelope.data.get(), r#"{"a":1}"#);
    }

    #[test]
    fn time_is_written_with_three_digits() {
        let time = Timestamp::from_millisecond(1_795_485_927_100).unwrap();
        assert_eq!(format_millis(time), "2026-11-24T02:05:27.100Z");
    }

    #[test]
    fn a_derived_id_is_the_same_each_time_and_differs_by_index() {
        let first = derived_id("e1", "router", "welcome", 0);
        assert_eq!(first, derived_id("e1", "router", "welcome", 0));
        assert_ne!(first, derived_id("e1", "router", "welcome", 1));
    }
}
