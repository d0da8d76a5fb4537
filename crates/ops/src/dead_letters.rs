//! Dead letters: which there are and why, sending them back to the group that failed, and giving them up.
//!
//! That a letter was sent back is remembered by a marker beside it: a record in the same partition of the dead-letter
//! topic whose header `dlq-redriven-offset` names the letter. It is written when the letter's record is acknowledged on
//! its own topic. So a crash between the two sends the letter once more (its identity is the same, the inbox of its
//! group knows it), and never loses it. A marker is younger than its letter and lies in the same log: retention cannot
//! take it first, which is what a committed offset could not promise (offsets of a group without members expire after a
//! week, letters live a month, and filters send back letters out of their order).
//!
//! A letter that is given up gets a marker too, with the header `dlq-purged-offset`: it is never sent back, and its
//! record goes with its topic's retention.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use eventkit::dead_letter::{IDENTITY, LEFT_OUT, SUFFIX, redriven};
use eventkit::failpoint;
use eventkit::transport::kafka::{KafkaWriter, Start};
use eventkit::transport::{ConsumedRecord, Record};
use eventkit::{Clock, Envelope};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::kafka::{Kafka, find};
use crate::scan::scan;

/// The header of a marker: the offset of the letter that was sent back.
pub const REDRIVEN_OFFSET: &str = "dlq-redriven-offset";
/// The header of a marker: when that was, in milliseconds since 1970.
pub const REDRIVEN_AT: &str = "dlq-redriven-at";
/// The header of a marker: the offset of the letter that was given up.
pub const PURGED_OFFSET: &str = "dlq-purged-offset";
/// The header of a marker: when that was, in milliseconds since 1970.
pub const PURGED_AT: &str = "dlq-purged-at";
/// Letters that are on their way back at a time.
const IN_FLIGHT_MAX: usize = 100;

/// Which letters are wanted; what is not set does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The topic that the event was on; all topics otherwise.
    pub topic: Option<String>,
    /// The group that gave it up.
    pub group: Option<String>,
    /// `transient`, `permanent`, `undecodable`, `timeout` or `panic`.
    pub kind: Option<String>,
    /// A part of what the error says, with its causes.
    pub error: Option<String>,
    /// The event's key.
    pub key: Option<String>,
    /// Given up not before this time.
    pub since: Option<Timestamp>,
    /// Given up before this time.
    pub until: Option<Timestamp>,
    /// The partition and offset of one letter on its dead-letter topic.
    pub place: Option<(i32, i64)>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// The dead-letter topic.
    pub dead_letter_topic: String,
    /// The letter's partition there.
    pub partition: i32,
    /// The letter's offset there.
    pub offset: i64,
    /// The topic that the event was on.
    pub topic: Option<String>,
    /// The event's partition there.
    pub topic_partition: Option<i32>,
    /// The event's offset there.
    pub topic_offset: Option<i64>,
    /// The group that gave it up.
    pub group: Option<String>,
    /// The error with its causes.
    pub error: Option<String>,
    /// The kind of error.
    pub kind: Option<String>,
    /// How often it was tried.
    pub attempts: Option<u32>,
    /// When it failed first.
    pub first_failed_at: Option<Timestamp>,
    /// When it was given up.
    pub failed_at: Option<Timestamp>,
    /// The event's key.
    pub key: Option<String>,
    /// The event's type.
    pub event_type: Option<String>,
    /// The event's id.
    pub event_id: Option<String>,
    /// How many bytes its value has, where that was too large for a letter and was left out.
    pub left_out_bytes: Option<u64>,
    /// When it was sent back, if it was.
    pub redriven_at: Option<Timestamp>,
    /// When it was given up by an operator, if it was.
    pub purged_at: Option<Timestamp>,
    /// The record as it lies there.
    #[serde(skip)]
    pub record: Record,
}

/// What a search gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The oldest letters that match, in the order of their topics and partitions.
    pub letters: Vec<Letter>,
    /// How many match in all.
    pub matching: u64,
}

/// What became of a letter, as its markers tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    redriven_at: Option<Timestamp>,
    purged_at: Option<Timestamp>,
}

impl Fate {
    /// What a marker tells, and the offset of the letter that it tells of; nothing if the record is no marker.
    pub(crate) fn told_by(record: &Record) -> Option<(i64, Self)> {
        let offset = record.header(REDRIVEN_OFFSET).or_else(|| record.header(PURGED_OFFSET))?.parse().ok()?;
        Some((offset, Self { redriven_at: millis(record, REDRIVEN_AT), purged_at: millis(record, PURGED_AT) }))
    }

    /// Takes over what another marker of the same letter tells.
    fn learn(&mut self, later: Self) {
        self.redriven_at = later.redriven_at.or(self.redriven_at);
        self.purged_at = later.purged_at.or(self.purged_at);
    }
}

/// Fates by partition and offset of the letter.
type Markers = BTreeMap<(i32, i64), Fate>;

impl Kafka {
    /// The oldest `limit` letters that match; those that were sent back or given up already only with `done_too`.
    ///
    /// # Errors
    /// The topic has no dead-letter topic, or the cluster does not answer.
    pub async fn find_letters(&self, filter: &Filter, done_too: bool, limit: usize) -> Result<Found> {
        let cluster = self.cluster().await?;
        let topics: Vec<String> = match &filter.topic {
            Some(topic) => vec![find(&cluster, &dead_letter_topic(topic))?.name.clone()],
            None => {
                let names = cluster.topics.into_iter().map(|topic| topic.name);
                names.filter(|name| name.ends_with(SUFFIX)).collect()
            }
        };
        let mut found = Found::default();
        for topic in topics {
            let markers = self.markers(&topic, filter.place).await?;
            let wanted = filter.clone();
            let gather = move |found: &mut Found, record: ConsumedRecord| {
                if is_marker(&record.record) {
                    return ControlFlow::Continue(());
                }
                let marker = markers.get(&(record.partition, record.offset)).copied();
                if marker.is_none() || done_too {
                    let letter = letter(record, marker.unwrap_or_default());
                    if wanted.matches(&letter) {
                        found.matching += 1;
                        if found.letters.len() < limit {
                            found.letters.push(letter);
                        }
                    }
                }
                ControlFlow::Continue(())
            };
            found = scan(&self.config, &topic, Start::Beginning, found, gather).await?;
        }
        let place = |letter: &Letter| (letter.dead_letter_topic.clone(), letter.partition, letter.offset);
        found.letters.sort_by_key(place);
        Ok(found)
    }

    /// Sends letters back: key, value, headers and identity as they were, to the topic and partition that they came
    /// from, for the group that gave them up. Each is remembered, so that it is not sent back again.
    ///
    /// The record's time becomes now: with its old one, the topic's retention could delete it before it is read.
    ///
    /// # Errors
    /// A letter lacks its topic, its group or its value; then none was sent. The cluster refuses one or does not answer; then those
    /// before it were sent and are remembered.
    pub async fn redrive(&self, letters: &[Letter], clock: &Clock) -> Result<usize> {
        let cluster = self.cluster().await?;
        let mut back = Vec::with_capacity(letters.len());
        for letter in letters {
            let lacking = |header| Error::IncompleteLetter { place: letter.place(), header };
            if letter.left_out_bytes.is_some() {
                return Err(Error::ValueLeftOut { place: letter.place() });
            }
            let topic = letter.topic.as_deref().ok_or_else(|| lacking("dlq-topic"))?;
            let mut record = redriven(&letter.record).ok_or_else(|| lacking("dlq-group"))?;
            record.timestamp_ms = None;
            let partitions = find(&cluster, topic)?.partitions.len();
            let fits = |partition: &i32| usize::try_from(*partition).is_ok_and(|number| number < partitions);
            back.push((record, letter.topic_partition.filter(fits)));
        }
        let writer = KafkaWriter::new(&self.config, &[])?;
        let mut redriven = 0;
        for (batch, letters) in back.chunks(IN_FLIGHT_MAX).zip(letters.chunks(IN_FLIGHT_MAX)) {
            let (sent, outcome) = send_all(&writer, batch).await;
            failpoint::pass(failpoint::AFTER_REDRIVE, &letters[0].dead_letter_topic).await;
            let (marked, marking) = mark_all(&writer, letters[..sent].iter(), &REDRIVEN, clock).await;
            redriven += marked;
            marking.map_err(|source| Error::RedriveBrokeOff { redriven, source })?;
            outcome.map_err(|source| Error::RedriveBrokeOff { redriven, source })?;
        }
        tokio::task::spawn_blocking(move || drop(writer));
        Ok(redriven)
    }

    /// Gives letters up: they are remembered as such, and never sent back. Their records stay until retention takes them.
    ///
    /// # Errors
    /// The cluster refuses one or does not answer; then those before it are given up.
    pub async fn purge(&self, letters: &[Letter], clock: &Clock) -> Result<usize> {
        let writer = KafkaWriter::new(&self.config, &[])?;
        let mut purged = 0;
        for batch in letters.chunks(IN_FLIGHT_MAX) {
            let (marked, outcome) = mark_all(&writer, batch.iter(), &PURGED, clock).await;
            purged += marked;
            outcome.map_err(|source| Error::PurgeBrokeOff { purged, source })?;
        }
        tokio::task::spawn_blocking(move || drop(writer));
        Ok(purged)
    }

    /// What became of the letters of a topic, or of the one at a place.
    async fn markers(&self, topic: &str, of: Option<(i32, i64)>) -> Result<Markers> {
        scan(&self.config, topic, Start::Beginning, Markers::new(), move |markers, consumed| {
            if let Some((offset, fate)) = Fate::told_by(&consumed.record) {
                let place = (consumed.partition, offset);
                if of.is_none_or(|of| of == place) {
                    markers.entry(place).or_default().learn(fate);
                }
            }
            ControlFlow::Continue(())
        })
        .await
    }
}

impl Letter {
    /// `topic/partition/offset` of the letter.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}/{}", self.dead_letter_topic, self.partition, self.offset)
    }

    /// Takes note of what a marker tells.
    pub(crate) fn learn(&mut self, later: Fate) {
        let mut fate = Fate { redriven_at: self.redriven_at, purged_at: self.purged_at };
        fate.learn(later);
        (self.redriven_at, self.purged_at) = (fate.redriven_at, fate.purged_at);
    }
}

impl Filter {
    fn matches(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        is(&self.group, &letter.group)
            && is(&self.kind, &letter.kind)
            && is(&self.key, &letter.key)
            && self.error.as_ref().is_none_or(|part| letter.error.as_ref().is_some_and(|error| error.contains(part)))
            && self.since.is_none_or(|since| letter.failed_at.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| letter.failed_at.is_some_and(|time| time < until))
            && self.place.is_none_or(|place| place == (letter.partition, letter.offset))
    }
}

/// The dead-letter topic of a topic; a dead-letter topic's own name stays.
#[must_use]
pub fn dead_letter_topic(topic: &str) -> String {
    if topic.ends_with(SUFFIX) { topic.to_owned() } else { format!("{topic}{SUFFIX}") }
}

/// How many of them, from the first, were acknowledged; and what stopped the rest.
async fn send_all(writer: &KafkaWriter, batch: &[(Record, Option<i32>)]) -> (usize, eventkit::Result<()>) {
    let mut in_flight = Vec::with_capacity(batch.len());
    let mut outcome = Ok(());
    for (record, partition) in batch {
        match writer.send(record, *partition).await {
            Ok(sent) => in_flight.push(sent),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    let mut sent = 0;
    for record in in_flight {
        if let Err(error) = record.acknowledged().await {
            return (sent, Err(error));
        }
        sent += 1;
    }
    (sent, outcome)
}

/// Kinds of markers: what their keys begin with, and their two headers.
struct MarkerKind {
    word: &'static str,
    offset: &'static str,
    at: &'static str,
}

const REDRIVEN: MarkerKind = MarkerKind { word: "redriven", offset: REDRIVEN_OFFSET, at: REDRIVEN_AT };
const PURGED: MarkerKind = MarkerKind { word: "purged", offset: PURGED_OFFSET, at: PURGED_AT };

/// Writes a marker beside each letter; how many were acknowledged, from the first, and what stopped the rest.
async fn mark_all<'a>(
    writer: &KafkaWriter,
    letters: impl Iterator<Item = &'a Letter>,
    kind: &MarkerKind,
    clock: &Clock,
) -> (usize, eventkit::Result<()>) {
    let markers: Vec<(Record, Option<i32>)> =
        letters.map(|letter| (marker(letter, kind, clock), Some(letter.partition))).collect();
    send_all(writer, &markers).await
}

fn marker(letter: &Letter, kind: &MarkerKind, clock: &Clock) -> Record {
    let text = |name: &'static str, value: String| (name.into(), Bytes::from(value));
    Record {
        topic: letter.dead_letter_topic.clone(),
        key: Some(Bytes::from(format!("{}-{}", kind.word, letter.offset))),
        value: Some(Bytes::from_static(b"{}")),
        headers: vec![text(kind.offset, letter.offset.to_string()), text(kind.at, clock.now_ms().to_string())],
        timestamp_ms: None,
    }
}

/// Whether a record of a dead-letter topic tells what became of a letter, and is none itself.
pub(crate) fn is_marker(record: &Record) -> bool {
    record.header(REDRIVEN_OFFSET).or_else(|| record.header(PURGED_OFFSET)).is_some()
}

pub(crate) fn letter(consumed: ConsumedRecord, fate: Fate) -> Letter {
    let ConsumedRecord { record, partition, offset } = consumed;
    let text = |name: &str| record.header(name).map(str::to_owned);
    let envelope = record.value.as_deref().and_then(|value| Envelope::read(value).ok());
    Letter {
        dead_letter_topic: record.topic.clone(),
        partition,
        offset,
        topic: text("dlq-topic"),
        topic_partition: record.header("dlq-partition").and_then(|text| text.parse().ok()),
        topic_offset: record.header("dlq-offset").and_then(|text| text.parse().ok()),
        group: text("dlq-group"),
        error: text("dlq-error"),
        kind: text("dlq-error-kind"),
        attempts: record.header("dlq-attempts").and_then(|text| text.parse().ok()),
        first_failed_at: millis(&record, "dlq-first-failed-at"),
        failed_at: millis(&record, "dlq-failed-at"),
        key: record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        event_type: envelope.as_ref().map(|envelope| envelope.event_type.clone()).or_else(|| text("ce_type")),
        event_id: envelope.and_then(|envelope| envelope.event_id).or_else(|| text("ce_id")).or_else(|| text(IDENTITY)),
        left_out_bytes: record.header(LEFT_OUT).and_then(|text| text.parse().ok()),
        redriven_at: fate.redriven_at,
        purged_at: fate.purged_at,
        record,
    }
}

fn millis(record: &Record, header: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(record.header(header)?.parse().ok()?).ok()
}
