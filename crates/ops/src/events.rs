//! Finding events on topics: the newest ones that match.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use eventkit::Envelope;
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::Start;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::Result;
use crate::kafka::{Kafka, find};
use crate::scan::scan;

/// Which events are wanted; what is not set does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The event's type.
    pub event_type: Option<String>,
    /// The record's key, which names the entity: `user-42`.
    pub key: Option<String>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The id of the first cause.
    pub correlation_id: Option<String>,
}

/// An event as a line in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When it happened; when it was written where it does not say.
    pub time: Option<Timestamp>,
    /// Its type.
    pub event_type: String,
    /// The record's key.
    pub key: Option<String>,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The service that told it.
    pub service: String,
    /// The id of the first cause.
    pub correlation_id: Option<String>,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What a search gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The newest events that match, the oldest of them first.
    pub events: Vec<Event>,
    /// How many match in all.
    pub matching: u64,
    /// Records that are no events.
    pub unreadable: u64,
}

/// The newest events by time and place.
#[derive(Default)]
struct Newest {
    events: BTreeMap<(Option<Timestamp>, String, i32, i64), Event>,
    matching: u64,
    unreadable: u64,
}

impl Kafka {
    /// The newest `limit` events on these topics that match.
    ///
    /// # Errors
    /// A topic is not there, or the cluster does not answer.
    pub async fn find_events(&self, topics: &[String], filter: &Filter, limit: usize) -> Result<Found> {
        let cluster = self.cluster().await?;
        let mut newest = Newest::default();
        for topic in topics {
            find(&cluster, topic)?;
        }
        for topic in topics {
            // A record's time is not before its event's; so nothing that is wanted is older than that.
            let start = filter.since.map_or(Start::Beginning, |since| Start::Time(since.as_millisecond()));
            let wanted = filter.clone();
            let gather = move |newest: &mut Newest, record: ConsumedRecord| {
                newest.consider(&wanted, record, limit);
                ControlFlow::Continue(())
            };
            newest = scan(&self.config, topic, start, newest, gather).await?;
        }
        let Newest { events, matching, unreadable } = newest;
        Ok(Found { events: events.into_values().collect(), matching, unreadable })
    }
}

impl Newest {
    fn consider(&mut self, filter: &Filter, record: ConsumedRecord, limit: usize) {
        let Some(event) = event(&record) else {
            self.unreadable += 1;
            return;
        };
        if !filter.matches(&event) {
            return;
        }
        self.matching += 1;
        self.events.insert((event.time, event.topic.clone(), event.partition, event.offset), event);
        if self.events.len() > limit {
            self.events.pop_first();
        }
    }
}

impl Filter {
    fn matches(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        is(&self.event_type, Some(&event.event_type))
            && is(&self.key, event.key.as_deref())
            && is(&self.correlation_id, event.correlation_id.as_deref())
            && self.since.is_none_or(|since| event.time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| event.time.is_some_and(|time| time < until))
    }
}

/// The event that a record carries; `None` when it carries none.
#[must_use]
pub fn event(consumed: &ConsumedRecord) -> Option<Event> {
    let record = &consumed.record;
    let envelope = Envelope::read(record.value.as_deref()?).ok()?;
    let written = record.timestamp_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Event {
        time: envelope.timestamp.or(written),
        event_type: envelope.event_type,
        key: record.key.as_deref().map(text),
        id: envelope.event_id,
        service: envelope.service,
        correlation_id: envelope.correlation_id,
        topic: record.topic.clone(),
        partition: consumed.partition,
        offset: consumed.offset,
    })
}
