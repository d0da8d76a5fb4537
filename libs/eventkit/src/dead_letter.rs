//! Where an event goes that could not be handled: `<topic>.dlq`, untouched, with its cause in headers; and how it
//! comes back: to its topic, for the group that failed alone.
//!
//! A letter is larger than its record by its headers. Where the broker does not take it for that, a letter without the
//! value says where the record is ([`LEFT_OUT`]); that one cannot be sent back.

use bytes::Bytes;

use crate::envelope::{CLOUD_EVENTS_NAMES, Envelope};
use crate::transport::{ConsumedRecord, Record};

/// What is put behind a topic's name to name its dead-letter topic.
pub const SUFFIX: &str = ".dlq";
/// The header of a record that was sent back: the only group that handles it, the others pass over it.
pub const REDRIVE_GROUP: &str = "dlq-redrive-group";
/// The header that keeps the identity of an event whose envelope has none; without it a redriven event would have the
/// identity of its new place. It does not begin with `dlq-`, so it stays when those headers are taken off.
pub const IDENTITY: &str = "event-identity";
/// The header of a letter whose record was too large to become one: how many bytes its value has. The record itself is
/// at `dlq-topic`, `dlq-partition` and `dlq-offset` for as long as its topic keeps it.
pub const LEFT_OUT: &str = "dlq-left-out";

/// How much of an error a letter tells: it may quote what was handled, and make the letter too large for it.
const ERROR_BYTES_MAX: usize = 16 * 1_024;
/// How much of anything is told where room is short.
const SHORT_BYTES_MAX: usize = 1_024;

/// What the names of the headers begin with that a dead letter has and its event had not.
const PREFIX: &str = "dlq-";

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
    record.headers.retain(|(name, _)| !name.starts_with(PREFIX));
    if record.header(IDENTITY).is_none() && !names_itself(&record) {
        record.headers.push((IDENTITY.into(), Bytes::from(identity(failed, None))));
    }
    let facts = [
        ("dlq-topic", record.topic.clone()),
        ("dlq-partition", failed.partition.to_string()),
        ("dlq-offset", failed.offset.to_string()),
        ("dlq-group", cause.group.to_owned()),
        ("dlq-error", shortened(cause.error, ERROR_BYTES_MAX)),
        ("dlq-error-kind", cause.kind.to_owned()),
        ("dlq-attempts", cause.attempts.to_string()),
        ("dlq-first-failed-at", cause.first_failed_at_ms.to_string()),
        ("dlq-failed-at", cause.failed_at_ms.to_string()),
    ];
    record.headers.extend(facts.map(|(name, value)| (name.into(), Bytes::from(value))));
    record.topic = format!("{}{SUFFIX}", record.topic);
    record
}

/// The letter that takes the place of one that is too large: its record's place and the cause, and its key and identity
/// unless they are long, without the value and without headers of its event's author.
pub fn without_value(letter: &Record) -> Record {
    let mut record = letter.clone();
    let value = record.value.take().unwrap_or_default();
    record.key = record.key.filter(|key| key.len() <= SHORT_BYTES_MAX);
    record.headers.retain(|(name, value)| {
        let is_short = value.len() <= SHORT_BYTES_MAX;
        let is_own = name == IDENTITY || CLOUD_EVENTS_NAMES.contains(&name.as_ref());
        name.starts_with(PREFIX) || (is_own && is_short)
    });
    if let Some((_, error)) = record.headers.iter_mut().find(|(name, _)| name == "dlq-error") {
        *error = Bytes::from(shortened(&String::from_utf8_lossy(error), SHORT_BYTES_MAX));
    }
    // What the value told of its identity went with it.
    if record.header("ce_id").is_none() && record.header(IDENTITY).is_none() {
        let event_id = Envelope::read(&value).ok().and_then(|envelope| envelope.event_id);
        let event_id = event_id.filter(|id| id.len() <= SHORT_BYTES_MAX);
        record.headers.extend(event_id.map(|id| (IDENTITY.into(), Bytes::from(id))));
    }
    record.headers.push((LEFT_OUT.into(), Bytes::from(value.len().to_string())));
    record
}

fn shortened(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

/// The record that sends a dead letter back to its topic: as it was, for the group that failed.
///
/// `None` when it is no dead letter, which says which topic and group it came from, or one without its value
/// ([`LEFT_OUT`]).
pub fn redriven(letter: &Record) -> Option<Record> {
    if letter.header(LEFT_OUT).is_some() {
        return None;
    }
    let topic = letter.header("dlq-topic")?.to_owned();
    let group = letter.header("dlq-group")?.to_owned();
    let mut record = Record { topic, ..letter.clone() };
    record.headers.retain(|(name, _)| !name.starts_with(PREFIX));
    record.headers.push((REDRIVE_GROUP.into(), Bytes::from(group)));
    Some(record)
}

/// What an event is known by to inboxes: its envelope's id, else what its headers keep, else its place and time.
///
/// The time keeps a topic that was deleted and made again from repeating identities.
pub(crate) fn identity(record: &ConsumedRecord, envelope: Option<&Envelope>) -> String {
    let ConsumedRecord { record, partition, offset } = record;
    let named = envelope.and_then(|envelope| envelope.event_id.as_deref());
    if let Some(id) = named.or_else(|| record.header("ce_id")).or_else(|| record.header(IDENTITY)) {
        return id.to_owned();
    }
    format!("{}/{partition}/{offset}/{}", record.topic, record.timestamp_ms.unwrap_or(0))
}

/// What a record is known by to inboxes, wherever it lies.
pub fn identity_of(record: &ConsumedRecord) -> String {
    let envelope = record.record.value.as_deref().and_then(|value| Envelope::read(value).ok());
    identity(record, envelope.as_ref())
}

/// Whether a record tells its event's identity wherever it lies.
fn names_itself(record: &Record) -> bool {
    let id_in = |value: &Bytes| Envelope::read(value).is_ok_and(|envelope| envelope.event_id.is_some());
    record.header("ce_id").is_some() || record.value.as_ref().is_some_and(id_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(value: &'static [u8]) -> ConsumedRecord {
        let record = Record {
            topic: "accounts".to_owned(),
            key: Some(Bytes::from_static(b"account-1")),
            value: Some(Bytes::from_static(value)),
            headers: vec![("x".into(), Bytes::from_static(b"kept"))],
            timestamp_ms: Some(7),
        };
        ConsumedRecord { record, partition: 2, offset: 40 }
    }

    const CAUSE: Cause<'_> = Cause {
        group: "group",
        error: "broken",
        kind: "permanent",
        attempts: 1,
        first_failed_at_ms: 1,
        failed_at_ms: 2,
    };

    #[test]
    fn a_redriven_letter_is_the_record_that_failed_and_names_its_group() {
        let failed = failed(br#"{"eventType":"a.b","eventId":"id-1"}"#);
        let back = redriven(&letter(&failed, &CAUSE)).unwrap();
        let mut expected = failed.record.clone();
        expected.headers.push((REDRIVE_GROUP.into(), Bytes::from_static(b"group")));
        assert_eq!(back, expected);
        assert_eq!(redriven(&failed.record), None);
    }

    #[test]
    fn a_letter_without_its_value_tells_where_its_record_is_and_is_not_sent_back() {
        let failed = failed(br#"{"eventType":"a.b","eventId":"id-1"}"#);
        let error = "\u{e4}".repeat(ERROR_BYTES_MAX);
        let whole = letter(&failed, &Cause { error: &error, ..CAUSE });
        assert_eq!(whole.header("dlq-error"), Some(&error[..ERROR_BYTES_MAX]));
        let short = without_value(&whole);
        assert_eq!((&short.topic, &short.key, &short.value), (&whole.topic, &whole.key, &None));
        let expected = [
            ("dlq-topic", "accounts"),
            ("dlq-partition", "2"),
            ("dlq-offset", "40"),
            ("dlq-group", "group"),
            ("dlq-error", &error[..SHORT_BYTES_MAX]),
            ("dlq-error-kind", "permanent"),
            ("dlq-attempts", "1"),
            ("dlq-first-failed-at", "1"),
            ("dlq-failed-at", "2"),
            (IDENTITY, "id-1"),
            (LEFT_OUT, "36"),
        ];
        let told: Vec<_> = short.headers.iter().map(|(name, _)| (name.as_ref(), short.header(name).unwrap())).collect();
        assert_eq!(told, expected);
        assert_eq!(redriven(&short), None);
    }

    #[test]
    fn nothing_long_of_a_record_is_in_a_letter_without_its_value() {
        let long = "x".repeat(SHORT_BYTES_MAX + 1);
        let mut failed = failed(b"");
        failed.record.value = Some(format!(r#"{{"eventType":"a.b","eventId":"{long}"}}"#).into());
        failed.record.key = Some(Bytes::from(long.clone()));
        for name in ["ce_id", "ce_subject", IDENTITY, "other"] {
            failed.record.headers.push((name.into(), Bytes::from(long.clone())));
        }
        let short = without_value(&letter(&failed, &Cause { error: &long, ..CAUSE }));
        let bytes: usize = short.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(short.key.is_none() && bytes < 2 * SHORT_BYTES_MAX, "{short:?}");
        assert_eq!(short.header("dlq-offset"), Some("40"));
    }

    #[test]
    fn an_event_without_an_id_keeps_its_identity_through_any_number_of_redrives() {
        let first = failed(br#"{"eventType":"a.b"}"#);
        let known_by = identity(&first, None);
        let mut again = first;
        for offset in 41..44 {
            let record = redriven(&letter(&again, &CAUSE)).unwrap();
            again = ConsumedRecord { record, partition: 2, offset };
            assert_eq!(identity(&again, None), known_by);
        }
    }
}
