//! What one database knows of an event: stored and published, handled, parked; the pieces from which an operator's tool
//! puts an event's whole path together.

use db::{Db, params};
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::error::Result;
use crate::outbox::{StoredEvent, event_columns};

/// Events that are asked for at a time.
pub const EVENTS_MAX: usize = 100;
/// Parked copies of one event that are answered: one for each group.
const PARKED_MAX: i64 = 100;

/// An event that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    /// Its identity.
    pub event_id: String,
    /// Its type, where it is known; without it nobody's handling of it is looked for, unless it is stored here.
    #[serde(default)]
    pub event_type: Option<String>,
}

/// What is known of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// Its identity.
    pub event_id: String,
    /// How it lies in the store, if it was told here.
    pub stored: Option<Stored>,
    /// Which groups have had its effect.
    pub handled: Vec<Handled>,
    /// The groups in which it waits behind a dead letter of its key.
    pub parked: Vec<String>,
}

/// An event in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Its place in the store.
    pub position: i64,
    /// The topic that it is for.
    pub topic: String,
    /// The entity that it is about.
    pub key: String,
    /// Its number among its entity's events.
    pub sequence: i64,
    /// Its type.
    pub event_type: String,
    /// The trace context of its cause.
    pub traceparent: Option<String>,
    /// The id of the first cause.
    pub correlation_id: Option<String>,
    /// The id of the direct cause.
    pub causation_id: Option<String>,
    /// When it happened, in milliseconds since 1970.
    pub occurred_at_ms: i64,
    /// When it was stored, in milliseconds since 1970.
    pub recorded_at_ms: i64,
    /// Whether it has left.
    pub state: State,
    /// When it was published for the first time, in milliseconds since 1970 to the second.
    pub published_at_ms: Option<i64>,
    /// Why the broker refuses it, if it does.
    pub refused: Option<String>,
}

/// Whether an event has left the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The relay has not come to it yet.
    Waiting,
    /// The broker refuses it, or another one of its key that comes before it.
    Held,
    /// It is on its topic.
    Published,
}

/// A group's effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handled {
    /// The consumer group.
    pub group: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What this database knows of an event, with `relay` publishing from it and `groups` keeping their inboxes in it.
///
/// # Errors
/// Those of the database.
pub async fn known(db: &Db, relay: &str, groups: &[String], asked: &Asked) -> Result<Known> {
    let stored = match stored_event(db, &asked.event_id).await? {
        Some(event) => Some(stored(db, relay, event).await?),
        None => None,
    };
    let event_type = asked.event_type.as_deref().or_else(|| stored.as_ref().map(|stored| stored.event_type.as_str()));
    let mut handled = Vec::new();
    if let Some(event_type) = event_type {
        for group in groups {
            let sql = "select handled_at from inbox where group_name = $1 and handler = $2 and event_identity = $3";
            let row = db.query_opt(sql, &params![group.as_str(), event_type, asked.event_id.as_str()]).await?;
            if let Some(row) = row {
                handled.push(Handled { group: group.clone(), at_ms: row.get("handled_at")? });
            }
        }
    }
    let sql = "select group_name from parked_events where event_identity = $1 order by group_name limit $2";
    let rows = db.query(sql, &params![asked.event_id.as_str(), PARKED_MAX]).await?;
    let parked = rows.iter().map(|row| row.get("group_name")).collect::<Result<_, _>>()?;
    Ok(Known { event_id: asked.event_id.clone(), stored, handled, parked })
}

async fn stored_event(db: &Db, event_id: &str) -> Result<Option<StoredEvent>> {
    let sql = concat!("select ", event_columns!(""), " from event_store where event_id = $1");
    let row = db.query_opt(sql, &params![event_id]).await?;
    row.map(StoredEvent::from_row).transpose()
}

async fn stored(db: &Db, relay: &str, event: StoredEvent) -> Result<Stored> {
    let envelope = Envelope::read(event.envelope.as_bytes()).ok();
    let sql = "select coalesce((select position from relay_cursors where relay = $1), 0) as reached,
                   (select min(second) from relay_marks where relay = $1 and position >= $2) as second";
    let row = db.query_one(sql, &params![relay, event.position]).await?;
    let (reached, second): (i64, Option<i64>) = (row.get("reached")?, row.get("second")?);
    let sql = "select error from held_events where relay = $1 and position = $2
               union all
               select error from stopped_topics where relay = $1 and topic = $3 and position < $2 and $2 <= $4";
    let mut held = db.query(sql, &params![relay, event.position, event.topic.as_str(), reached]).await?;
    let held = held.pop();
    let state = match (&held, reached >= event.position) {
        (Some(_), _) => State::Held,
        (None, true) => State::Published,
        (None, false) => State::Waiting,
    };
    let refused = held.map(|row| row.get::<Option<String>>("error")).transpose()?.flatten();
    Ok(Stored {
        position: event.position,
        topic: event.topic,
        key: event.key,
        sequence: event.sequence,
        event_type: event.event_type,
        traceparent: event.traceparent,
        correlation_id: envelope.as_ref().and_then(|envelope| envelope.correlation_id.clone()),
        causation_id: envelope.and_then(|envelope| envelope.causation_id),
        occurred_at_ms: event.occurred_at_ms,
        recorded_at_ms: event.recorded_at_ms,
        state,
        // Of a held event the mark only says when it was passed over.
        published_at_ms: second.filter(|_| state == State::Published).map(|second| second * 1_000),
        refused,
    })
}
