//! The event store: an append-only table in the service's own database that the relay reads and nobody empties.
//!
//! Invariants: `(entity_key, sequence)` is unique and without holes; an event's row is written in the transaction
//! of the state change that it tells of; a stream's row is locked before its event is appended, so that sequence
//! order is commit order; `position` grows, but on PostgreSQL a lower position may commit later, which is why a
//! reader stays below [`Horizon`].

use std::time::Duration;

use bytes::Bytes;
use db::{Db, Dialect, Migration, Row, Tx, Value, params};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::envelope::{EventFacts, cloud_events_headers};
use crate::error::{Error, Result};
use crate::trace_context::TRACEPARENT;
use crate::transport::Record;

/// How long [`Horizon::settle`] waits for open transactions, and how often it looks.
const SETTLE_MAX: Duration = Duration::from_secs(10);
const SETTLE_POLL: Duration = Duration::from_millis(5);
/// How long it is remembered when events were published.
const MARKS_KEEP_MS: i64 = 120 * 24 * 60 * 60 * 1_000;

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "event_store", sql: include_str!("../migrations/1_event_store.sql") },
    Migration { version: 2, name: "parked_events", sql: include_str!("../migrations/2_parked_events.sql") },
    Migration { version: 3, name: "inbox_age", sql: include_str!("../migrations/3_inbox_age.sql") },
    Migration { version: 4, name: "held_events", sql: include_str!("../migrations/4_held_events.sql") },
    Migration {
        version: 5,
        name: "projection_positions",
        sql: include_str!("../migrations/5_projection_positions.sql"),
    },
    Migration { version: 6, name: "relay_marks", sql: include_str!("../migrations/6_relay_marks.sql") },
    Migration { version: 7, name: "projections", sql: include_str!("../migrations/7_projections.sql") },
    Migration { version: 8, name: "lease_length", sql: include_str!("../migrations/8_lease_length.sql") },
    Migration { version: 9, name: "stopped_topics", sql: include_str!("../migrations/9_stopped_topics.sql") },
];

/// Creates or upgrades eventkit's own tables (event store, relay cursors, inbox) in `db`.
///
/// # Errors
/// Those of [`Db::migrate`].
pub async fn migrate(db: &Db) -> Result<()> {
    Ok(db.migrate("eventkit", MIGRATIONS).await?)
}

/// An event that is about to be stored.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) key: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) service: &'a str,
    pub(crate) traceparent: &'a str,
    pub(crate) envelope: String,
    pub(crate) occurred_at_ms: i64,
    pub(crate) recorded_at_ms: i64,
}

impl NewEvent<'_> {
    fn into_values(self) -> [Value; 9] {
        params![
            self.event_id,
            self.topic,
            self.key,
            self.event_type,
            self.service,
            self.traceparent,
            self.occurred_at_ms,
            self.recorded_at_ms,
            self.envelope,
        ]
    }
}

/// An event as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Its place in the store, growing.
    pub position: i64,
    /// Its identity.
    pub event_id: String,
    /// The topic that it is for.
    pub topic: String,
    /// The entity that it is about: the record's key.
    pub key: String,
    /// Its number among its entity's events, from 1.
    pub sequence: i64,
    /// Its type, for example `user.created`.
    pub event_type: String,
    /// The service that tells it.
    pub service: String,
    /// The trace context of its cause; only what was stored before every event had one lacks it.
    pub traceparent: Option<String>,
    /// When it happened, in milliseconds since 1970.
    pub occurred_at_ms: i64,
    /// When it was stored, in milliseconds since 1970.
    pub recorded_at_ms: i64,
    /// The envelope as JSON text.
    pub envelope: String,
}

impl StoredEvent {
    pub(crate) fn from_row(mut row: Row) -> Result<Self> {
        Ok(Self {
            position: row.get("position")?,
            event_id: row.take("event_id")?,
            topic: row.take("topic")?,
            key: row.take("entity_key")?,
            sequence: row.get("sequence")?,
            event_type: row.take("event_type")?,
            service: row.take("service")?,
            traceparent: row.take("traceparent")?,
            occurred_at_ms: row.get("occurred_at")?,
            recorded_at_ms: row.get("recorded_at")?,
            envelope: row.take("envelope")?,
        })
    }

    /// The record that carries it on its topic.
    pub fn into_record(self) -> Record {
        let key = Bytes::from(self.key);
        let facts = EventFacts {
            id: self.event_id,
            event_type: self.event_type,
            service: &self.service,
            key: key.clone(),
            time: Timestamp::from_millisecond(self.occurred_at_ms).unwrap_or(Timestamp::UNIX_EPOCH),
        };
        let mut headers = cloud_events_headers(facts);
        if let Some(traceparent) = self.traceparent {
            headers.push((TRACEPARENT.into(), Bytes::from(traceparent)));
        }
        Record {
            topic: self.topic,
            key: Some(key),
            value: Some(Bytes::from(self.envelope)),
            headers,
            timestamp_ms: Some(self.occurred_at_ms),
        }
    }
}

/// Locks the stream of `key` until `tx` ends, making it if it is new; answers the sequence of its last event.
pub(crate) async fn lock_stream(tx: &mut Tx, key: &str) -> Result<i64> {
    let row = tx
        .query_one(
            "insert into event_streams (entity_key, sequence) values ($1, 0)
             on conflict (entity_key) do update set sequence = event_streams.sequence
             returning sequence",
            &params![key],
        )
        .await?;
    Ok(row.get("sequence")?)
}

/// Whether an event of this identity is stored already.
///
/// # Errors
/// Those of the database.
pub async fn contains(tx: &mut Tx, event_id: &str) -> Result<bool> {
    let found = tx.query_opt("select 1 as found from event_store where event_id = $1", &params![event_id]).await?;
    Ok(found.is_some())
}

/// Stores an event as the next of its stream, which it locks until `tx` ends.
pub(crate) async fn append(tx: &mut Tx, event: NewEvent<'_>) -> Result<()> {
    match tx.dialect() {
        Dialect::Sqlite => {
            let sql = "insert into event_streams (entity_key, sequence) values ($1, 1)
                       on conflict (entity_key) do update set sequence = event_streams.sequence + 1";
            tx.execute(sql, &params![event.key]).await?;
            let sql = "insert into event_store (event_id, topic, entity_key, sequence, event_type, service,
                           traceparent, occurred_at, recorded_at, envelope)
                       select $1, $2, $3, sequence, $4, $5, $6, $7, $8, $9 from event_streams where entity_key = $3";
            tx.execute(sql, &event.into_values()).await?;
        }
        // Where a statement is a round trip, one does both; nobody waits for it.
        Dialect::Postgres => {
            let sql = "with stream as (
                           insert into event_streams (entity_key, sequence) values ($3, 1)
                           on conflict (entity_key) do update set sequence = event_streams.sequence + 1
                           returning sequence
                       )
                       insert into event_store (event_id, topic, entity_key, sequence, event_type, service,
                           traceparent, occurred_at, recorded_at, envelope)
                       select $1, $2, $3, sequence, $4, $5, $6, cast($7 as bigint), cast($8 as bigint), $9 from stream";
            tx.execute_later(sql, event.into_values()).await?;
        }
    }
    Ok(())
}

/// SQL for the last position of a page: after `$1` and not above `$2`, up to `$3` events, and not beyond the one with which
/// `$4` bytes are passed. Sizes are looked at without reading what is large, and one by one only where they are too much
/// together.
macro_rules! page_end {
    () => {
        "case
            when (select coalesce(sum(octet_length(envelope)), 0) from (
                      select envelope from event_store where position > $1 and position <= $2 order by position limit $3
                  ) as page) <= $4 then $2
            else (select max(position) from (
                      select position,
                          sum(octet_length(envelope)) over (order by position) - octet_length(envelope) as before
                      from (select position, envelope from event_store
                            where position > $1 and position <= $2 order by position limit $3) as page
                  ) as sized where before <= $4)
         end"
    };
}
pub(crate) use page_end;

/// SQL for what [`StoredEvent::from_row`] reads; the literal stands before each column, as in `e.`.
macro_rules! event_columns {
    ($of:literal) => {
        concat!(
            $of,
            "position, ",
            $of,
            "event_id, ",
            $of,
            "topic, ",
            $of,
            "entity_key, ",
            $of,
            "sequence, ",
            $of,
            "event_type, ",
            $of,
            "service, ",
            $of,
            "traceparent, ",
            $of,
            "occurred_at, ",
            $of,
            "recorded_at, ",
            $of,
            "envelope"
        )
    };
}
pub(crate) use event_columns;

const READ_AFTER: &str = concat!(
    "select ",
    event_columns!(""),
    " from event_store where position > $1 and position <= ",
    page_end!(),
    " order by position limit $3"
);

/// How many bytes of envelopes are read at a time, the first event not counted.
pub(crate) const READ_BYTES_MAX: i64 = 8 * 1024 * 1024;

/// Events after `position` and not above `horizon`, in order of position: `limit` of them at the most, and fewer when they
/// are large; none only when there is none.
///
/// # Errors
/// Those of the database.
pub async fn read_after(db: &Db, position: i64, horizon: i64, limit: usize) -> Result<Vec<StoredEvent>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = db.query(READ_AFTER, &params![position, horizon, limit, READ_BYTES_MAX]).await?;
    rows.into_iter().map(StoredEvent::from_row).collect()
}

/// Events of which a condition over `values` holds, in order of position: `limit` of them at the most, and fewer when they
/// are large together: none beyond the one with which `bytes_max` bytes of envelopes are passed.
pub(crate) async fn page(
    db: &Db,
    condition: &str,
    mut values: Vec<Value>,
    limit: i64,
    bytes_max: i64,
) -> Result<Vec<StoredEvent>> {
    values.extend_from_slice(&params![limit, bytes_max]);
    let (limit, bytes_max) = (values.len() - 1, values.len());
    let columns = event_columns!("");
    let sql = format!(
        "select {columns} from event_store where {condition} and position <= (
             select max(position) from (
                 select position, sum(bytes) over (order by position) - bytes as before
                 from (select position, octet_length(envelope) as bytes from event_store
                       where {condition} order by position limit ${limit}) as page
             ) as sized where before <= ${bytes_max})
         order by position"
    );
    let rows = db.query(&sql, &values).await?;
    rows.into_iter().map(StoredEvent::from_row).collect()
}

/// Up to `limit` events for `topic` after `position` and not above `end`, in order of position, bounded in bytes as
/// [`read_after`] is.
pub(crate) async fn read_topic(
    db: &Db,
    topic: &str,
    position: i64,
    end: i64,
    limit: usize,
) -> Result<Vec<StoredEvent>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let condition = "topic = $1 and position > $2 and position <= $3";
    page(db, condition, params![topic, position, end].to_vec(), limit, READ_BYTES_MAX).await
}

/// Knows up to which position every event that will ever exist is visible already.
///
/// On SQLite one writer commits in order of position, so that is everywhere. On PostgreSQL a transaction that is
/// still open may hold a position below one that is visible: the horizon is the highest position that was handed
/// out before the oldest transaction now running began to write. A long transaction holds it back; nothing behind
/// it is ever skipped.
#[derive(Debug, Default)]
pub struct Horizon {
    reached: i64,
    probe: Option<Probe>,
}

/// A position that becomes the horizon once every transaction below `writers_end` has ended.
#[derive(Debug, Clone, Copy)]
struct Probe {
    position: i64,
    writers_end: i64,
}

impl Horizon {
    /// The horizon now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn advance(&mut self, db: &Db) -> Result<i64> {
        if db.dialect() == Dialect::Sqlite {
            return Ok(i64::MAX);
        }
        // An old probe that passes says nothing of what was stored since: take a fresh one at once.
        for _ in 0..2 {
            let probe = match self.probe {
                Some(probe) => probe,
                None => match take_probe(db, self.reached).await? {
                    Some(probe) => probe,
                    None => break,
                },
            };
            if oldest_writer(db).await? < probe.writers_end {
                self.probe = Some(probe);
                break;
            }
            self.reached = probe.position;
            self.probe = None;
        }
        Ok(self.reached)
    }

    /// A horizon up to what was stored when it was asked for: waits for the transactions that are open then.
    ///
    /// # Errors
    /// [`Error::HeldBack`] when one of them is still open after a while; those of the database.
    pub async fn settle(db: &Db) -> Result<i64> {
        let mut horizon = Self::default();
        let give_up = Instant::now() + SETTLE_MAX;
        loop {
            let reached = horizon.advance(db).await?;
            // The first probe was taken when it was asked for; later ones are of no concern.
            if reached > 0 || !horizon.is_held_back() {
                return Ok(reached);
            }
            if Instant::now() >= give_up {
                return Err(Error::HeldBack);
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
    }

    /// Whether a transaction that is still open holds the horizon back, so that it is worth asking again soon.
    pub fn is_held_back(&self) -> bool {
        self.probe.is_some()
    }
}

/// Two statements on purpose: the position must be read before the transaction id that bounds its writers is drawn.
///
/// `None` when nothing was handed out since `reached`. A fresh id is drawn because no snapshot tells the next one:
/// `pg_snapshot_xmax` follows the latest transaction that has *ended*, and writers above it may be running.
async fn take_probe(db: &Db, reached: i64) -> Result<Option<Probe>> {
    let handed_out = db
        .query_one(
            "select case when is_called then last_value else 0 end as position from event_store_position_seq",
            &[],
        )
        .await?;
    let position: i64 = handed_out.get("position")?;
    if position <= reached {
        return Ok(None);
    }
    let writers = db.query_one("select pg_current_xact_id()::text::bigint as writers_end", &[]).await?;
    Ok(Some(Probe { position, writers_end: writers.get("writers_end")? }))
}

async fn oldest_writer(db: &Db) -> Result<i64> {
    let row = db.query_one("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest", &[]).await?;
    Ok(row.get("oldest")?)
}

/// Where a relay stands, held under a lease so that one owner publishes at a time.
#[derive(Debug, Clone)]
pub(crate) struct Lease<'a> {
    pub(crate) relay: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) lasts_ms: i64,
}

impl Lease<'_> {
    /// Takes or renews the lease; answers the position up to which everything is published, `None` if another owner holds it.
    ///
    /// A lease that would last longer than any is taken for is one from before the clock was set back, and counts as over:
    /// its owner may be dead. Clocks that differ by less than a lease take none away.
    pub(crate) async fn acquire(&self, db: &Db, now_ms: i64) -> Result<Option<i64>> {
        let mut tx = db.begin().await?;
        let row = tx
            .query_opt(
                "insert into relay_cursors (relay, owner, expires_at, position, lasts_ms) values ($1, $2, $3, 0, $5)
                 on conflict (relay) do update
                     set owner = excluded.owner, expires_at = excluded.expires_at, lasts_ms = excluded.lasts_ms
                 where relay_cursors.owner = excluded.owner or relay_cursors.expires_at < $4
                     or relay_cursors.expires_at > $4 + 2 * relay_cursors.lasts_ms
                 returning position",
                &params![self.relay, self.owner, now_ms + self.lasts_ms, now_ms, self.lasts_ms],
            )
            .await?;
        let oldest = (now_ms - MARKS_KEEP_MS).div_euclid(1_000);
        tx.execute("delete from relay_marks where relay = $1 and second < $2", &params![self.relay, oldest]).await?;
        tx.commit().await?;
        row.map(|row| row.get("position").map_err(Error::from)).transpose()
    }

    /// Records inside `tx` that everything up to `position` is published or held, and in which second; false if the
    /// lease went to another owner meanwhile.
    pub(crate) async fn advance(&self, tx: &mut Tx, position: i64, now_ms: i64) -> Result<bool> {
        let rows = tx
            .execute(
                "update relay_cursors set position = $1, expires_at = $2 where relay = $3 and owner = $4",
                &params![position, now_ms + self.lasts_ms, self.relay, self.owner],
            )
            .await?;
        let mark = "insert into relay_marks (relay, second, position) values ($1, $2, $3)
                    on conflict (relay, second) do update set position = excluded.position";
        tx.execute(mark, &params![self.relay, now_ms.div_euclid(1_000), position]).await?;
        Ok(rows == 1)
    }
}

/// When the first event after `position` was stored, in milliseconds since 1970, if there is one.
pub(crate) async fn stored_at_after(db: &Db, position: i64) -> Result<Option<i64>> {
    let sql = "select recorded_at from event_store where position > $1 order by position limit 1";
    stored_at(db.query_opt(sql, &params![position]).await?)
}

/// When the first event was stored that `relay` has not come to, whoever has its lease.
pub(crate) async fn oldest_waiting(db: &Db, relay: &str) -> Result<Option<i64>> {
    let sql = "select recorded_at from event_store
               where position > coalesce((select position from relay_cursors where relay = $1), 0)
               order by position limit 1";
    stored_at(db.query_opt(sql, &params![relay]).await?)
}

fn stored_at(row: Option<Row>) -> Result<Option<i64>> {
    row.map(|row| row.get("recorded_at").map_err(Error::from)).transpose()
}

/// Names the session whose transaction has been open longest, as far as the server tells; for the log.
pub(crate) async fn longest_writer(db: &Db) -> Result<String> {
    let sql = "select pid::text as pid, coalesce(application_name, '') as name from pg_stat_activity
               where backend_xid is not null order by age(backend_xid) desc limit 1";
    let Some(row) = db.query_opt(sql, &[]).await? else { return Ok("unknown".to_owned()) };
    Ok(format!("{} {}", row.get::<String>("pid")?, row.get::<String>("name")?).trim_end().to_owned())
}
