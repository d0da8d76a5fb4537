//! Keys whose dead letter holds their later events back, and those events, kept in the consumer's own database.
//!
//! A consumer with [`crate::Consumer::park_keys`] fills and empties it; [`list`] shows it to operators, and [`release`]
//! lets a key go on whose letter will never come back.

use std::sync::Arc;

use bytes::Bytes;
use db::{Db, Row, Value, params};

use crate::dead_letter::{IDENTITY, REDRIVE_GROUP};
use crate::error::{Error, Result};
use crate::transport::{ConsumedRecord, Record};

/// How many keys [`list`] answers at the most.
pub const LIST_MAX: i64 = 1_000;

/// Gives up a key's dead letter and every event that is parked behind it: this group never handles them, and goes on
/// with the key's next record. Answers how many parked events that were; `None` when the key is not blocked.
///
/// # Errors
/// Those of the database.
pub async fn skip(db: &Db, group: &str, topic: &str, key: &[u8]) -> Result<Option<u64>> {
    let line = Line { group: group.into(), topic: topic.to_owned(), key: Bytes::copy_from_slice(key) };
    db.unit(async |tx| {
        let key_row = "delete from parked_keys where group_name = $1 and topic = $2 and entity_key = $3";
        if tx.execute(key_row, &line.params()).await? == 0 {
            return Ok(None);
        }
        let events = "delete from parked_events where group_name = $1 and topic = $2 and entity_key = $3";
        Ok(Some(tx.execute(events, &line.params()).await?))
    })
    .await
}

/// The record that makes a released key's group go on at once: its first parked event once more, for that group alone.
/// `None` when nothing is parked.
///
/// Whatever record of the key comes, the group first works off what is parked; then it knows this one.
///
/// # Errors
/// Those of the database.
pub async fn nudge(db: &Db, group: &str, topic: &str, key: &[u8]) -> Result<Option<Record>> {
    let line = Line { group: group.into(), topic: topic.to_owned(), key: Bytes::copy_from_slice(key) };
    Ok(line.first(db).await?.map(|event| {
        let ParkedEvent { identity, record: ConsumedRecord { mut record, .. }, .. } = event;
        record.headers.retain(|(name, _)| name != REDRIVE_GROUP && name != IDENTITY);
        record.headers.push((IDENTITY.into(), Bytes::from(identity)));
        record.headers.push((REDRIVE_GROUP.into(), Bytes::copy_from_slice(group.as_bytes())));
        // With its old time, the topic's retention could delete it before it is read.
        record.timestamp_ms = None;
        record
    }))
}

/// A key that is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedKey {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The record's key.
    pub key: Bytes,
    /// The identity of the event that failed.
    pub blocker: String,
    /// Whether that event came back and succeeded (or was given up), so that the others are being handled.
    pub resolved: bool,
    /// How many events wait.
    pub events: i64,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The keys that are blocked in a database, the oldest first, up to [`LIST_MAX`].
///
/// # Errors
/// Those of the database.
pub async fn list(db: &Db) -> Result<Vec<ParkedKey>> {
    let rows = db
        .query(
            "select group_name, topic, entity_key, blocker, resolved, events, blocked_at from parked_keys
             order by blocked_at, group_name, topic, entity_key limit $1",
            &params![LIST_MAX],
        )
        .await?;
    rows.iter().map(ParkedKey::from_row).collect()
}

/// Gives a key's dead letter up: its parked events are handled without it, beginning with the key's next record.
/// False when the key is not blocked.
///
/// # Errors
/// Those of the database.
pub async fn release(db: &Db, group: &str, topic: &str, key: &[u8]) -> Result<bool> {
    let line = Line { group: group.into(), topic: topic.to_owned(), key: Bytes::copy_from_slice(key) };
    line.resolve(db).await
}

impl ParkedKey {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            group: row.get("group_name")?,
            topic: row.get("topic")?,
            key: Bytes::from(row.get::<Vec<u8>>("entity_key")?),
            blocker: row.get("blocker")?,
            resolved: row.get("resolved")?,
            events: row.get("events")?,
            since_ms: row.get("blocked_at")?,
        })
    }
}

/// One key of one topic in one group.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) group: Arc<str>,
    pub(crate) topic: String,
    pub(crate) key: Bytes,
}

/// What blocks a line.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) blocker: String,
    pub(crate) resolved: bool,
}

/// A parked event.
#[derive(Debug)]
pub(crate) struct ParkedEvent {
    pub(crate) position: i64,
    pub(crate) identity: String,
    pub(crate) record: ConsumedRecord,
}

/// Whether an event was parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    Yes,
    /// As many as may be wait already.
    Full,
    NotBlocked,
}

impl Line {
    fn params(&self) -> [Value; 3] {
        params![&*self.group, self.topic.as_str(), self.key.to_vec()]
    }

    fn params_and<const N: usize>(&self, more: [Value; N]) -> Vec<Value> {
        self.params().into_iter().chain(more).collect()
    }

    /// What blocks the line, if anything does.
    pub(crate) async fn stand(&self, db: &Db) -> Result<Option<Stand>> {
        let row = db
            .query_opt(
                "select blocker, resolved from parked_keys where group_name = $1 and topic = $2 and entity_key = $3",
                &self.params(),
            )
            .await?;
        row.map(|row| Ok(Stand { blocker: row.get("blocker")?, resolved: row.get("resolved")? })).transpose()
    }

    pub(crate) async fn block(&self, db: &Db, blocker: &str, now_ms: i64) -> Result<()> {
        db.unit(async |tx| {
            tx.execute(
                "insert into parked_keys (group_name, topic, entity_key, blocker, resolved, events, blocked_at)
                 values ($1, $2, $3, $4, false, 0, $5) on conflict (group_name, topic, entity_key) do nothing",
                &self.params_and(params![blocker, now_ms]),
            )
            .await?;
            Ok(())
        })
        .await
    }

    /// The event that blocks the line has had its effect; false if nothing blocks it.
    pub(crate) async fn resolve(&self, db: &Db) -> Result<bool> {
        db.unit(async |tx| {
            let sql = "update parked_keys set resolved = true where group_name = $1 and topic = $2 and entity_key = $3";
            Ok(tx.execute(sql, &self.params()).await? == 1)
        })
        .await
    }

    /// Parks an event behind the others; parking it twice is parking it once.
    pub(crate) async fn park(
        &self,
        db: &Db,
        identity: &str,
        record: &ConsumedRecord,
        events_max: i64,
        now_ms: i64,
    ) -> Result<Parked> {
        let headers: Vec<_> = record.record.headers.iter().map(|(name, value)| (name, value.to_vec())).collect();
        let headers = serde_json::to_string(&headers)
            .map_err(|source| Error::Encode { event_type: "parked event".to_owned(), source })?;
        db.unit(async |tx| {
            // Locks the line's row, so that it cannot be freed meanwhile.
            let line = "update parked_keys set events = events + 1
                        where group_name = $1 and topic = $2 and entity_key = $3 returning events";
            let Some(row) = tx.query_opt(line, &self.params()).await? else { return Ok(Parked::NotBlocked) };
            let events: i64 = row.get("events")?;
            let inserted = tx
                .execute(
                    "insert into parked_events (group_name, topic, entity_key, event_identity, source_partition,
                         source_offset, sent_at, value, headers, parked_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                     on conflict (group_name, topic, event_identity) do nothing",
                    &self.params_and(params![
                        identity,
                        i64::from(record.partition),
                        record.offset,
                        record.record.timestamp_ms,
                        record.record.value.as_ref().map(|value| value.to_vec()),
                        headers,
                        now_ms,
                    ]),
                )
                .await?;
            if inserted == 1 && events <= events_max {
                return Ok(Parked::Yes);
            }
            let undo = "update parked_keys set events = events - 1
                        where group_name = $1 and topic = $2 and entity_key = $3";
            tx.execute(undo, &self.params()).await?;
            if inserted == 0 {
                return Ok(Parked::Yes);
            }
            tx.execute(
                "delete from parked_events where group_name = $1 and topic = $2 and event_identity = $3",
                &params![&*self.group, self.topic.as_str(), identity],
            )
            .await?;
            Ok(Parked::Full)
        })
        .await
    }

    /// The parked event whose turn it is.
    pub(crate) async fn first(&self, db: &Db) -> Result<Option<ParkedEvent>> {
        let row = db
            .query_opt(
                "select position, event_identity, source_partition, source_offset, sent_at, value, headers
                 from parked_events where group_name = $1 and topic = $2 and entity_key = $3
                 order by position limit 1",
                &self.params(),
            )
            .await?;
        row.map(|row| self.event(&row)).transpose()
    }

    fn event(&self, row: &Row) -> Result<ParkedEvent> {
        let headers: Vec<(String, Vec<u8>)> = serde_json::from_str(&row.get::<String>("headers")?)
            .map_err(|source| Error::Decode { event_type: "parked event".to_owned(), source })?;
        let record = Record {
            topic: self.topic.clone(),
            key: Some(self.key.clone()),
            value: row.get::<Option<Vec<u8>>>("value")?.map(Bytes::from),
            headers: headers.into_iter().map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
            timestamp_ms: row.get("sent_at")?,
        };
        let partition = i32::try_from(row.get::<i64>("source_partition")?).unwrap_or(i32::MAX);
        let record = ConsumedRecord { record, partition, offset: row.get("source_offset")? };
        Ok(ParkedEvent { position: row.get("position")?, identity: row.get("event_identity")?, record })
    }

    /// Forgets a parked event that has had its effect.
    pub(crate) async fn forget(&self, db: &Db, position: i64) -> Result<()> {
        db.unit(async |tx| {
            if tx.execute("delete from parked_events where position = $1", &params![position]).await? == 1 {
                let sql = "update parked_keys set events = events - 1
                           where group_name = $1 and topic = $2 and entity_key = $3";
                tx.execute(sql, &self.params()).await?;
            }
            Ok(())
        })
        .await
    }

    /// A parked event became a dead letter: it is what blocks the line from now on.
    pub(crate) async fn block_anew(&self, db: &Db, event: &ParkedEvent) -> Result<()> {
        db.unit(async |tx| {
            if tx.execute("delete from parked_events where position = $1", &params![event.position]).await? == 1 {
                let sql = "update parked_keys set events = events - 1, blocker = $4, resolved = false
                           where group_name = $1 and topic = $2 and entity_key = $3";
                tx.execute(sql, &self.params_and(params![event.identity.as_str()])).await?;
            }
            Ok(())
        })
        .await
    }

    /// Frees the line if no event is parked in it.
    pub(crate) async fn free(&self, db: &Db) -> Result<()> {
        db.unit(async |tx| {
            let sql = "delete from parked_keys
                       where group_name = $1 and topic = $2 and entity_key = $3 and resolved and events = 0";
            tx.execute(sql, &self.params()).await?;
            Ok(())
        })
        .await
    }
}
