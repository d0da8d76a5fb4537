//! Stored events once more: to a topic for everybody, or for one group alone, with a preview and at a rate.
//!
//! A replayed event keeps its identity, so whoever has handled it knows it: a replay fills gaps, and whoever shall have
//! an effect again must forget it first ([`forget`]).
//!
//! ```
//! # use eventkit::replay::{self, Selection, Target};
//! # use eventkit::testing::Harness;
//! # use eventkit::{Event, Origin};
//! # #[derive(Debug, serde::Serialize, serde::Deserialize, Event)]
//! # #[event(type = "user.created", topic = "user-events", key = "user-{id}")]
//! # struct UserCreated { id: i64 }
//! # #[tokio::main]
//! # async fn main() -> eventkit::Result<()> {
//! # let harness = Harness::new(&[]).await;
//! # for id in 1..=3 {
//! #     let mut work = harness.publisher().begin(Origin::default());
//! #     work.publish(&UserCreated { id }).await?;
//! #     work.commit().await?;
//! # }
//! # let (publisher, transport) = (harness.publisher(), harness.transport());
//! let selection = Selection { key: Some("user-2".to_owned()), ..Selection::default() };
//! let preview = replay::preview(publisher.db(), &selection).await?;
//! assert_eq!(preview.by_type, [("user.created".to_owned(), 1)]);
//!
//! // To one group, at most 100 a second.
//! let target = Target { group: Some("company-service".to_owned()), ..Target::default() };
//! let replayed = replay::replay(publisher, &**transport, &selection, &target, Some(100), |_| ()).await?;
//! assert_eq!((replayed.events, replayed.position), (1, 2));
//! # harness.stop().await;
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use bytes::Bytes;
use db::{Db, Value, params};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::dead_letter::REDRIVE_GROUP;
use crate::error::Result;
use crate::outbox::{self, Horizon, READ_BYTES_MAX, StoredEvent};
use crate::publish::EventPublisher;
use crate::transport::Transport;

/// Events that are read and published at a time.
pub const BATCH_MAX: u32 = 500;

/// Which stored events; what is not said is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selection {
    /// After this position of the store.
    pub after_position: i64,
    /// Up to this position of the store, itself included.
    pub to_position: Option<i64>,
    /// That happened at this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// That happened before this time, in milliseconds since 1970.
    pub to_ms: Option<i64>,
    /// For this topic.
    pub topic: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// About this entity.
    pub key: Option<String>,
}

/// Where to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// Another topic than their own.
    pub topic: Option<String>,
    /// The only group that is to handle them; the others pass over them.
    pub group: Option<String>,
}

/// What a selection holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// How many events of each type, by name.
    pub by_type: Vec<(String, i64)>,
    /// The first position, if there is any.
    pub first_position: Option<i64>,
    /// The last position, if there is any.
    pub last_position: Option<i64>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// How many events were published.
    pub events: u64,
    /// The last of them: a replay that failed goes on after it.
    pub position: i64,
}

impl Selection {
    /// The condition after `where`, and its values from `$1` on.
    fn condition(&self, up_to: i64) -> (String, Vec<Value>) {
        let mut condition = "position > $1 and position <= $2".to_owned();
        let up_to = self.to_position.map_or(up_to, |position| position.min(up_to));
        let mut values = params![self.after_position, up_to].to_vec();
        let optional = [
            ("occurred_at >=", self.from_ms.map(Value::from)),
            ("occurred_at <", self.to_ms.map(Value::from)),
            ("topic =", self.topic.as_deref().map(Value::from)),
            ("event_type =", self.event_type.as_deref().map(Value::from)),
            ("entity_key =", self.key.as_deref().map(Value::from)),
        ];
        for (comparison, value) in optional {
            if let Some(value) = value {
                values.push(value);
                condition.push_str(&format!(" and {comparison} ${}", values.len()));
            }
        }
        (condition, values)
    }
}

/// What a selection holds now.
///
/// # Errors
/// Those of the database.
pub async fn preview(db: &Db, selection: &Selection) -> Result<Preview> {
    let up_to = Horizon::settle(db).await?;
    let (condition, values) = selection.condition(up_to);
    let sql = format!(
        "select event_type, count(*) as events, min(position) as first, max(position) as last
         from event_store where {condition} group by event_type order by event_type"
    );
    let rows = db.query(&sql, &values).await?;
    let mut preview = Preview { by_type: Vec::new(), first_position: None, last_position: None };
    for row in &rows {
        let (first, last): (i64, i64) = (row.get("first")?, row.get("last")?);
        preview.by_type.push((row.get("event_type")?, row.get("events")?));
        preview.first_position = Some(preview.first_position.map_or(first, |known| known.min(first)));
        preview.last_position = preview.last_position.max(Some(last));
    }
    Ok(preview)
}

/// Up to `limit` events of a selection, in order of position and not above `up_to`; fewer when they are large, and none
/// only when there is none.
///
/// # Errors
/// Those of the database.
pub async fn read(db: &Db, selection: &Selection, up_to: i64, limit: u32) -> Result<Vec<StoredEvent>> {
    let (condition, values) = selection.condition(up_to);
    outbox::page(db, &condition, values, i64::from(limit), READ_BYTES_MAX).await
}

/// Publishes a selection again, in order, not more than `per_second` events a second; `progress` hears of each batch.
///
/// Events that are stored after it began are not part of it.
///
/// # Errors
/// Those of the database and of the transport: what `progress` heard of is published, and a batch more may be.
pub async fn replay(
    publisher: &EventPublisher,
    transport: &dyn Transport,
    selection: &Selection,
    target: &Target,
    per_second: Option<u32>,
    mut progress: impl FnMut(Replayed),
) -> Result<Replayed> {
    let db = publisher.db();
    let up_to = preview(db, selection).await?.last_position.unwrap_or(0);
    let mut rest = selection.clone();
    let mut replayed = Replayed { events: 0, position: selection.after_position };
    let limit = per_second.map_or(BATCH_MAX, |per_second| per_second.clamp(1, BATCH_MAX));
    let mut next_at = Instant::now();
    loop {
        tokio::time::sleep_until(next_at).await;
        let batch = replay_batch(publisher, transport, &rest, target, up_to, limit).await?;
        if batch.events == 0 {
            return Ok(replayed);
        }
        if let Some(per_second) = per_second {
            next_at = Instant::now() + Duration::from_secs(batch.events) / per_second.max(1);
        }
        replayed = Replayed { events: replayed.events + batch.events, position: batch.position };
        rest.after_position = batch.position;
        progress(replayed);
    }
}

/// Publishes the first events of a selection again, not above `up_to` and up to `limit`: one step of a [`replay`] whose
/// pace somebody else sets.
///
/// # Errors
/// Those of the database and of the transport: then some of them may be published.
pub async fn replay_batch(
    publisher: &EventPublisher,
    transport: &dyn Transport,
    selection: &Selection,
    target: &Target,
    up_to: i64,
    limit: u32,
) -> Result<Replayed> {
    let events = read(publisher.db(), selection, up_to, limit.clamp(1, BATCH_MAX)).await?;
    let Some(position) = events.last().map(|event| event.position) else {
        return Ok(Replayed { events: 0, position: selection.after_position });
    };
    let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
    transport.publish(events.into_iter().map(|event| target.aim(event)).collect()).await?;
    Ok(Replayed { events: count, position })
}

impl Target {
    fn aim(&self, event: StoredEvent) -> crate::transport::Record {
        let mut record = event.into_record();
        if let Some(topic) = &self.topic {
            record.topic.clone_from(topic);
        }
        if let Some(group) = &self.group {
            record.headers.push((REDRIVE_GROUP.into(), Bytes::copy_from_slice(group.as_bytes())));
        }
        record
    }
}

/// Forgets that a group handled events of one type (`handler`), so that a replay has their effects again.
/// Answers how many were forgotten.
///
/// Only where having them again is right: the effects themselves stay.
///
/// # Errors
/// Those of the database.
pub async fn forget(db: &Db, group: &str, handler: &str) -> Result<u64> {
    db.unit(async |tx| {
        let sql = "delete from inbox where group_name = $1 and handler = $2";
        Ok(tx.execute(sql, &params![group, handler]).await?)
    })
    .await
}
