//! Looking through the topics for everything that has the same first cause.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use eventkit::Envelope;
use eventkit::dead_letter::{REDRIVE_GROUP, SUFFIX};
use eventkit::trace::Stored;
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::Start;

use super::{Node, Place, TRACED_MAX, all_topics};
use crate::dead_letters::{Fate, is_marker, letter};
use crate::error::Result;
use crate::events::{self, Event};
use crate::kafka::{Kafka, find};
use crate::scan::scan;

/// Events of one request are stored within this time of each other, in milliseconds.
const REQUEST_MAX_MS: i64 = 60_000;

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Sought {
    /// The event's id, those of its causes, and that of the first.
    pub(super) ids: BTreeSet<String>,
    /// The id of the first cause.
    pub(super) correlation_id: Option<String>,
    /// Not before this time; from the beginning where it is not known.
    pub(super) since_ms: Option<i64>,
    /// The event that was asked for, as it is stored.
    pub(super) first_stored: Option<(String, Stored)>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) nodes: BTreeMap<String, Node>,
    /// The trace context of the first record that has one.
    pub(super) traceparent: Option<String>,
    /// More was there than is gathered.
    pub(super) is_cut: bool,
    /// The events of the dead letters, by topic, partition and offset of the letter.
    letters: BTreeMap<(String, i32, i64), String>,
}

impl Kafka {
    /// The event of this id, wherever on the topics of the backbone it lies.
    pub(super) async fn find_event(&self, event_id: &str) -> Result<Option<Event>> {
        let cluster = self.cluster().await?;
        for topic in all_topics().filter(|topic| find(&cluster, topic).is_ok()) {
            let wanted = event_id.to_owned();
            let look = move |found: &mut Option<Event>, record: ConsumedRecord| {
                *found = events::event(&record).filter(|event| event.id.as_ref() == Some(&wanted));
                if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            if let Some(event) = scan(&self.config, &topic, Start::Beginning, None, look).await? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Every event with the same first cause, with where it lies and its dead letters.
    pub(super) async fn gather(&self, sought: Sought) -> Result<Gathered> {
        let cluster = self.cluster().await?;
        let start = sought.since_ms.map_or(Start::Beginning, |since| Start::Time((since - REQUEST_MAX_MS).max(0)));
        let mut gathered = Gathered::default();
        for topic in all_topics().filter(|topic| find(&cluster, topic).is_ok()) {
            let sought = sought.clone();
            let consider = move |gathered: &mut Gathered, record: ConsumedRecord| {
                gathered.consider(&sought, record);
                ControlFlow::Continue(())
            };
            gathered = scan(&self.config, &topic, start, gathered, consider).await?;
        }
        Ok(gathered)
    }
}

impl Sought {
    fn has(&self, event: &Event, id: &str, causation_id: Option<&str>) -> bool {
        self.ids.contains(id)
            || causation_id.is_some_and(|cause| self.ids.contains(cause))
            || (event.correlation_id.is_some() && event.correlation_id == self.correlation_id)
    }
}

impl Gathered {
    fn consider(&mut self, sought: &Sought, consumed: ConsumedRecord) {
        if is_marker(&consumed.record) {
            self.learn_fate(&consumed);
            return;
        }
        let Some(event) = events::event(&consumed) else { return };
        let Some(id) = event.id.clone() else { return };
        let envelope = consumed.record.value.as_deref().and_then(|value| Envelope::read(value).ok());
        let causation_id = envelope.and_then(|envelope| envelope.causation_id);
        if !sought.has(&event, &id, causation_id.as_deref()) {
            return;
        }
        if self.nodes.len() >= TRACED_MAX && !self.nodes.contains_key(&id) {
            self.is_cut = true;
            return;
        }
        if self.traceparent.is_none() {
            self.traceparent = consumed.record.header("traceparent").map(str::to_owned);
        }
        let only_for = consumed.record.header(REDRIVE_GROUP).map(str::to_owned);
        let place = Place { topic: event.topic.clone(), partition: event.partition, offset: event.offset, only_for };
        if consumed.record.topic.ends_with(SUFFIX) {
            let place = (event.topic.clone(), event.partition, event.offset);
            self.letters.insert(place, id.clone());
        }
        let node = self.nodes.entry(id.clone()).or_insert_with(|| Node::of_record(id, event, causation_id));
        if consumed.record.topic.ends_with(SUFFIX) {
            node.dead_letters.push(letter(consumed, Fate::default()));
        } else {
            node.records.push(place);
        }
    }

    /// What a marker tells of one of the dead letters; it lies behind its letter in the same partition.
    fn learn_fate(&mut self, marker: &ConsumedRecord) {
        let Some((offset, fate)) = Fate::told_by(&marker.record) else { return };
        let place = (marker.record.topic.clone(), marker.partition, offset);
        let Some(node) = self.letters.get(&place).and_then(|id| self.nodes.get_mut(id)) else { return };
        let letters = node.dead_letters.iter_mut();
        let of_place = letters.filter(|letter| {
            (letter.dead_letter_topic.as_str(), letter.partition, letter.offset) == (place.0.as_str(), place.1, place.2)
        });
        of_place.for_each(|letter| letter.learn(fate));
    }
}

impl Node {
    fn of_record(event_id: String, event: Event, causation_id: Option<String>) -> Self {
        Self {
            event_id,
            event_type: event.event_type,
            key: event.key,
            service: event.service,
            occurred_at: event.time,
            causation_id,
            stored: None,
            records: Vec::new(),
            handled: Vec::new(),
            parked: Vec::new(),
            dead_letters: Vec::new(),
            notification: None,
            audit_sequence: None,
            caused: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use eventkit::transport::Record;
    use jiff::Timestamp;

    use super::*;
    use crate::dead_letters::{PURGED_AT, PURGED_OFFSET, REDRIVEN_AT, REDRIVEN_OFFSET};

    fn consumed(offset: i64, value: &'static str, headers: &[(&'static str, &'static str)]) -> ConsumedRecord {
        let record = Record {
            topic: "user-events.dlq".to_owned(),
            key: Some(Bytes::from_static(b"user-1")),
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), Bytes::from_static(value.as_bytes())))
                .collect(),
            timestamp_ms: None,
        };
        ConsumedRecord { record, partition: 2, offset }
    }

    #[test]
    fn dead_letters_of_a_trace_tell_that_they_were_sent_back_or_given_up() {
        let event = r#"{"eventId":"id-1","eventType":"user.created","service":"user-service","data":{}}"#;
        let sought = Sought {
            ids: BTreeSet::from(["id-1".to_owned()]),
            correlation_id: None,
            since_ms: None,
            first_stored: None,
        };
        let mut gathered = Gathered::default();
        for record in [
            consumed(4, event, &[("dlq-group", "audit")]),
            consumed(5, event, &[("dlq-group", "mail")]),
            consumed(6, event, &[("dlq-group", "third")]),
            consumed(7, "{}", &[(REDRIVEN_OFFSET, "4"), (REDRIVEN_AT, "1700000000000")]),
            consumed(8, "{}", &[(PURGED_OFFSET, "5"), (PURGED_AT, "1700000009000")]),
            // Of a letter of another event.
            consumed(9, "{}", &[(PURGED_OFFSET, "3"), (PURGED_AT, "1700000009000")]),
        ] {
            gathered.consider(&sought, record);
        }
        let letters = &gathered.nodes["id-1"].dead_letters;
        let fates: Vec<_> =
            letters.iter().map(|letter| (letter.offset, letter.redriven_at, letter.purged_at)).collect();
        let at = |second| Timestamp::from_second(second).ok();
        assert_eq!(fates, [(4, at(1_700_000_000), None), (5, None, at(1_700_000_009)), (6, None, None)]);
    }
}
