//! Whether everything that the story made happen is on its topic, once and in order.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use contracts::{COMPANY_EVENTS, RECRUITMENT_EVENTS, USER_EVENTS};
use eventkit::Envelope;
use eventkit::trace_context::TRACEPARENT;
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Next, Start};

use crate::error::Error;
use crate::ledger::{Ledger, Place, is_as_expected};

const TOPICS: [&str; 3] = [USER_EVENTS, COMPANY_EVENTS, RECRUITMENT_EVENTS];
/// Bounds how late the deadline is noticed.
const POLL_MAX: Duration = Duration::from_millis(100);

/// What was found on the topics.
#[derive(Debug, Default)]
pub struct Found {
    /// For each key of the ledger, the events' first occurrences in their order.
    pub events: BTreeMap<Place, Vec<String>>,
    /// Records that repeat an event that was there before.
    pub repeated: usize,
    /// Records whose envelope or headers are not as they should be.
    pub malformed: Vec<String>,
}

impl Found {
    /// Every key whose events differ from what the ledger expects, in words; empty when all is well.
    pub fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let (mut differences, repeats) = (self.malformed.clone(), ledger.repeats());
        for (place, expected) in ledger.expected() {
            let found = self.under(&place);
            if !is_as_expected(&expected, repeats.get(&place).copied().unwrap_or(0), found) {
                let (topic, key) = place;
                differences.push(format!("{topic} {key}: expected {expected:?}, found {found:?}"));
            }
        }
        differences
    }

    fn under(&self, place: &Place) -> &[String] {
        self.events.get(place).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Reads the topics from `since_ms` to their ends, and further until everything in the ledger has been found, or
/// `wait_max` is over.
///
/// # Errors
/// A topic cannot be read.
pub async fn look(kafka: &KafkaConfig, since_ms: i64, ledger: &Ledger, wait_max: Duration) -> Result<Found, Error> {
    let (expected, repeats) = (ledger.expected(), ledger.repeats());
    let kafka = kafka.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let mut found = Found::default();
        for topic in TOPICS {
            let unreadable = |source| Error::Topic { topic: topic.to_owned(), source };
            let reader = KafkaReader::open(&kafka, topic, None, Start::Time(since_ms)).map_err(unreadable)?;
            let mut missing: usize =
                expected.iter().filter(|((place, _), _)| *place == topic).map(|(_, events)| events.len()).sum();
            let mut seen = HashSet::new();
            let give_up_at = Instant::now() + wait_max;
            while Instant::now() < give_up_at {
                match reader.next_or_end(POLL_MAX).map_err(unreadable)? {
                    Next::Record(record) if take(topic, &record, &expected, &mut seen, &mut found) => missing -= 1,
                    // What is too much may come last; and what may be too much says nothing of the rest.
                    Next::End if missing == 0 && are_whole(topic, &repeats, &expected, &found) => break,
                    Next::Record(_) | Next::End | Next::Nothing => {}
                }
            }
        }
        Ok(found)
    });
    looking.await?
}

/// Whether the keys of a topic that may have more events than expected have all of those.
fn are_whole(
    topic: &'static str,
    repeats: &BTreeMap<Place, usize>,
    expected: &BTreeMap<Place, Vec<&'static str>>,
    found: &Found,
) -> bool {
    let of_topic = repeats.iter().filter(|((place, _), _)| *place == topic);
    let mut expected =
        of_topic.filter_map(|(place, repeats)| Some((expected.get(place)?, *repeats, found.under(place))));
    expected.all(|(expected, repeats, found)| is_as_expected(expected, repeats, found))
}

/// Takes one record; true if it is the first occurrence of an event, and not more than the ledger expects under its key.
fn take(
    topic: &'static str,
    consumed: &ConsumedRecord,
    expected: &BTreeMap<Place, Vec<&'static str>>,
    seen: &mut HashSet<String>,
    found: &mut Found,
) -> bool {
    let record = &consumed.record;
    let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
    let place = (topic, key);
    let Some(expected) = expected.get(&place) else { return false };
    let Ok(envelope) = Envelope::read(record.value.as_deref().unwrap_or_default()) else {
        found.malformed.push(format!("{topic} {}: not an envelope", place.1));
        return false;
    };
    let id = envelope.event_id.clone().unwrap_or_default();
    let is_as_promised = record.header("ce_id") == Some(id.as_str())
        && record.header("ce_type") == Some(envelope.event_type.as_str())
        && record.header("ce_subject") == Some(place.1.as_str())
        && record.header("ce_specversion") == Some("1.0")
        && record.header(TRACEPARENT).is_some()
        && envelope.timestamp.is_some()
        && envelope.correlation_id.is_some()
        && envelope.schema_version == 1
        && !envelope.service.is_empty();
    if !is_as_promised {
        found.malformed.push(format!("{topic} {}: {} {id} lacks fields or headers", place.1, envelope.event_type));
    }
    if !seen.insert(id) {
        found.repeated += 1;
        return false;
    }
    let events = found.events.entry(place).or_default();
    events.push(envelope.event_type);
    events.len() <= expected.len()
}
