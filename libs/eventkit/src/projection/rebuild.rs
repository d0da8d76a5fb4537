//! A rebuild, step by step: begun, fed with pages of the stores, ended by a swap or by a comparison alone.
//!
//! Each step is a unit of work of its own, so that the running service goes on in between, and nothing of a rebuild is
//! kept in memory. What was in a store when the rebuild had begun must be read; what comes later comes through the
//! journal, or to the swapped tables. Whoever drives it must take the next step within [`STEP_WAIT_MS`]; a rebuild that
//! is left alone longer counts as given up. Dead at any point, it leaves the running tables as they were, or swapped as
//! a whole.

use std::collections::HashSet;
use std::iter;
use std::time::{Duration, Instant};

use db::{Db, Row, Tx, Value, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::journal::lock;
use super::shadow::{self, REBUILD, TableChange};
use super::source::{PAGE_EVENTS_MAX, read_store};
use super::{Projecting, Projection};
use crate::envelope::Envelope;
use crate::error::{Error, HandlerError, Result, find};
use crate::failpoint::failpoint;
use crate::metrics;
use crate::outbox::StoredEvent;
use crate::publish::EventPublisher;

/// How long a rebuild waits for its next step before it counts as given up.
pub const STEP_WAIT_MS: i64 = 20_000;
/// Events of the journal that one unit of work applies.
const JOURNAL_EVENTS_MAX: usize = 200;
/// For how long one call of [`Rebuild::finish`] applies the journal: its whole is one step, which must not take
/// [`STEP_WAIT_MS`].
const JOURNAL_TIME_MAX: Duration = Duration::from_secs(4);
/// For how long the rest of the journal is applied while the running tables stand still, before they go on for a moment.
const STANDSTILL_MAX: Duration = Duration::from_secs(2);

/// The consumer that feeds a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feeder {
    /// Its group.
    pub group: String,
    /// How long it remembers what it has handled, in milliseconds.
    pub inbox_retention_ms: i64,
}

/// How a rebuild ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The rebuilt tables take the place of the running ones.
    Swap,
    /// They are compared with them and thrown away.
    Compare,
}

/// What a rebuild came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// What was wrong with each table.
    pub tables: Vec<TableChange>,
    /// The last position of each service's store that was applied.
    pub positions: Vec<(String, i64)>,
    /// Events that were applied from stores.
    pub events: i64,
    /// Events that changed the running tables meanwhile and were applied after those.
    pub journalled: i64,
    /// Events of the stores that the consumer has not handled yet: the rebuilt tables know of them already.
    pub ahead: i64,
}

/// A rebuild that was begun.
#[derive(Debug, Clone)]
pub struct Rebuild {
    projection: Projection,
    feeder: Option<Feeder>,
    id: String,
}

impl Rebuild {
    /// Begins a rebuild beside the running tables; what an earlier one left is taken away. Without a `feeder` the
    /// projection is followed by [`super::catch_up`].
    ///
    /// # Errors
    /// [`Error::RebuildRuns`] while another one is at work; those of the database.
    pub async fn begin(db: &Db, projection: &Projection, feeder: Option<Feeder>, now_ms: i64) -> Result<Self> {
        Self::claim(db, projection, feeder, now_ms, now_ms).await
    }

    /// As [`Self::begin`], and ends another one that is at work: its next step is refused.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take_over(db: &Db, projection: &Projection, feeder: Option<Feeder>, now_ms: i64) -> Result<Self> {
        Self::claim(db, projection, feeder, now_ms, i64::MAX).await
    }

    /// Begins a rebuild if no other one has time until after `until_ms`.
    async fn claim(
        db: &Db,
        projection: &Projection,
        feeder: Option<Feeder>,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<Self> {
        let id = Uuid::now_v7().to_string();
        let name = projection.name();
        db.unit(async |tx| {
            lock(tx, name).await?;
            note(tx, name, &id, now_ms, until_ms).await?;
            shadow::clear(tx, projection).await?;
            shadow::create(tx, projection).await?;
            tx.execute("update projections set is_rebuilding = $1 where name = $2", &params![true, name]).await?;
            Ok::<(), Error>(())
        })
        .await?;
        Ok(Self { projection: projection.clone(), feeder, id })
    }

    /// A rebuild that was begun elsewhere and is known by its id.
    pub fn resume(projection: &Projection, feeder: Option<Feeder>, id: &str) -> Self {
        Self { projection: projection.clone(), feeder, id: id.to_owned() }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Applies the next events of a service's store, in order of position; those that were applied before are passed
    /// over. Answers how many were applied in all.
    ///
    /// # Errors
    /// [`Error::Projection`] when one cannot be applied, [`Error::RebuildOver`] when it waited too long or was ended;
    /// those of the database. Nothing of the events is kept then.
    pub async fn apply(&self, db: &Db, service: &str, events: &[StoredEvent], now_ms: i64) -> Result<i64> {
        self.check(service, events)?;
        db.unit(async |tx| {
            let reached = self.position(tx, service).await?;
            let new: Vec<&StoredEvent> = events.iter().filter(|event| event.position > reached).collect();
            let applied = self.take_step(tx, new.len(), now_ms).await?;
            for event in &new {
                self.apply_stored(tx, event).await?;
            }
            if let Some(last) = new.last() {
                let sql = "insert into projection_sources (projection, service, is_rebuild, position)
                           values ($1, $2, $3, $4)
                           on conflict (projection, service, is_rebuild) do update set position = excluded.position";
                tx.execute(sql, &params![self.projection.name(), service, true, last.position]).await?;
                self.settle(tx, service, &new, now_ms).await?;
            }
            Ok(applied)
        })
        .await
    }

    /// Applies what changed the running tables meanwhile, and ends the rebuild; `None` when so much did that it has to be
    /// called again.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn finish(&self, db: &Db, ending: Ending, now_ms: i64) -> Result<Option<Finished>> {
        let began = Instant::now();
        loop {
            let applied = db
                .unit(async |tx| {
                    self.take_step(tx, 0, now_ms).await?;
                    self.drain(tx, JOURNAL_EVENTS_MAX).await
                })
                .await?;
            if applied < JOURNAL_EVENTS_MAX {
                break;
            }
            if began.elapsed() > JOURNAL_TIME_MAX {
                return Ok(None);
            }
        }
        if ending == Ending::Swap {
            failpoint!(BEFORE_SWAP, self.projection.name());
        }
        let finished = self.end(db, ending, now_ms).await?;
        if let (Some(finished), Ending::Swap) = (&finished, ending) {
            failpoint!(AFTER_SWAP, self.projection.name());
            self.measure(finished);
        }
        Ok(finished)
    }

    /// Gives the rebuild up; false when it was over already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn cancel(&self, db: &Db) -> Result<bool> {
        let name = self.projection.name();
        db.unit(async |tx| {
            lock(tx, name).await?;
            let sql = "delete from projection_rebuilds where projection = $1 and rebuild_id = $2";
            if tx.execute(sql, &params![name, self.id.as_str()]).await? == 0 {
                return Ok(false);
            }
            shadow::clear(tx, &self.projection).await?;
            tx.execute("update projections set is_rebuilding = $1 where name = $2", &params![false, name]).await?;
            Ok(true)
        })
        .await
    }

    /// Whether these can be the next events of this service's store.
    fn check(&self, service: &str, events: &[StoredEvent]) -> Result<()> {
        let source = self.projection.sources().iter().find(|source| source.service == service);
        let is_asked =
            |event: &StoredEvent| source.is_some_and(|source| source.event_types.contains(&event.event_type.as_str()));
        if let Some(event) = events.iter().find(|event| !is_asked(event)) {
            let (name, event_type) = (self.projection.name(), &event.event_type);
            let reason = format!("projection {name} is not made from {event_type} of {service}");
            return Err(Error::Config { reason });
        }
        match events.is_sorted_by_key(|event| event.position) {
            true => Ok(()),
            false => Err(Error::Config { reason: "events are not in order of position".to_owned() }),
        }
    }

    /// Claims the time for one more step; answers how many events were applied with those of this one.
    async fn take_step(&self, tx: &mut Tx, events: usize, now_ms: i64) -> Result<i64> {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        let sql = "update projection_rebuilds set expires_at = $1, events = events + $2
                   where projection = $3 and rebuild_id = $4 and expires_at > $5 returning events";
        let values = params![now_ms + STEP_WAIT_MS, events, self.projection.name(), self.id.as_str(), now_ms];
        let row = tx.query_opt(sql, &values).await?;
        let row = row.ok_or(Error::RebuildOver { projection: self.projection.name() })?;
        Ok(row.get("events")?)
    }

    /// Up to which position of a service's store it is.
    async fn position(&self, tx: &mut Tx, service: &str) -> Result<i64> {
        let sql = "select position from projection_sources where projection = $1 and service = $2 and is_rebuild";
        let row = tx.query_opt(sql, &params![self.projection.name(), service]).await?;
        Ok(row.map(|row| row.get("position")).transpose()?.unwrap_or(0))
    }

    async fn apply_stored(&self, tx: &mut Tx, event: &StoredEvent) -> Result<()> {
        let failed =
            |error: HandlerError| not_applied(self.projection.name(), &event.event_id, Some(event.position), error);
        let envelope = Envelope::read(event.envelope.as_bytes()).map_err(|error| failed(error.into()))?;
        let applied = self.projection.apply(&event.event_type, &envelope, &mut Projecting::new(tx, REBUILD)).await;
        applied.map_err(failed)
    }

    /// What the journal has of these events is applied now; what their handler has not had is ahead of it.
    async fn settle(&self, tx: &mut Tx, service: &str, events: &[&StoredEvent], now_ms: i64) -> Result<()> {
        let name = self.projection.name();
        for event in events {
            let id = event.event_id.as_str();
            let ahead = "insert into projection_ahead (projection, event_identity, is_rebuild)
                         select name, cast($2 as text), true from projections where name = $1";
            match &self.feeder {
                // It cannot come any more: whoever replays it has its effect again.
                Some(feeder) if event.recorded_at_ms < now_ms.saturating_sub(feeder.inbox_retention_ms) => {}
                Some(feeder) => {
                    let sql = format!(
                        "{ahead} and not exists (select 1 from inbox
                             where group_name = $3 and handler = $4 and event_identity = $2)
                         on conflict (projection, event_identity, is_rebuild) do nothing"
                    );
                    let values = params![name, id, feeder.group.as_str(), event.event_type.as_str()];
                    tx.execute_later(&sql, values).await?;
                }
                None => {
                    let sql = format!(
                        "{ahead} and not exists (select 1 from projection_sources
                             where projection = $1 and service = $3 and not is_rebuild and position >= $4)
                         on conflict (projection, event_identity, is_rebuild) do nothing"
                    );
                    tx.execute_later(&sql, params![name, id, service, event.position]).await?;
                }
            }
        }
        self.forget_journalled(tx, events).await
    }

    /// Takes these events out of the journal, and what is in the journal is not ahead of its handler. On PostgreSQL the
    /// handler may commit between any two statements: asked after all were put ahead, none is missed.
    async fn forget_journalled(&self, tx: &mut Tx, events: &[&StoredEvent]) -> Result<()> {
        let name = self.projection.name();
        if events.is_empty() {
            return Ok(());
        }
        // No more than a page.
        let sql = format!(
            "delete from projection_journal where projection = $1 and event_identity in ({}) returning event_identity",
            places(events.len())
        );
        let ids = events.iter().map(|event| event.event_id.as_str());
        let values: Vec<Value> = iter::once(name).chain(ids).map(Value::from).collect();
        let rows = tx.query(&sql, &values).await?;
        let ids = rows.iter().map(|row| row.get("event_identity")).collect::<db::Result<Vec<String>>>()?;
        self.take_read(tx, ids.iter().map(String::as_str)).await?;
        Ok(())
    }

    /// Applies the first events of the journal that were not read in a store; answers how many it took.
    async fn drain(&self, tx: &mut Tx, limit: usize) -> Result<usize> {
        let name = self.projection.name();
        let sql = "select position, event_identity, event_type, envelope from projection_journal
                   where projection = $1 order by position limit $2";
        let rows = tx.query(sql, &params![name, i64::try_from(limit).unwrap_or(i64::MAX)]).await?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let (identity, event_type): (String, String) = (row.get("event_identity")?, row.get("event_type")?);
            events.push((identity, event_type, row.get::<String>("envelope")?));
        }
        let mut read = self.take_read(tx, events.iter().map(|(identity, ..)| identity.as_str())).await?;
        let mut applied = 0;
        for (identity, event_type, envelope) in &events {
            if read.remove(identity) {
                continue;
            }
            let failed = |error: HandlerError| not_applied(name, identity, None, error);
            let envelope = Envelope::read(envelope.as_bytes()).map_err(|error| failed(error.into()))?;
            let mut tables = Projecting::new(tx, REBUILD);
            self.projection.apply(event_type, &envelope, &mut tables).await.map_err(failed)?;
            applied += 1;
        }
        // Not up to the last of them: on PostgreSQL one before it may be committed meanwhile.
        let positions = rows.iter().map(|row| row.get::<i64>("position")).collect::<db::Result<Vec<_>>>()?;
        for position in positions {
            tx.execute_later("delete from projection_journal where position = $1", params![position]).await?;
        }
        let count = "update projection_rebuilds set journalled = journalled + $1 where projection = $2";
        tx.execute(count, &params![applied, name]).await?;
        Ok(rows.len())
    }

    /// Those of these events that were read in a store before their handler had them; they are not ahead of it any more.
    async fn take_read(&self, tx: &mut Tx, identities: impl ExactSizeIterator<Item = &str>) -> Result<HashSet<String>> {
        if identities.len() == 0 {
            return Ok(HashSet::new());
        }
        // No more than a page.
        let sql = format!(
            "delete from projection_ahead where projection = $1 and is_rebuild and event_identity in ({})
             returning event_identity",
            places(identities.len())
        );
        let values: Vec<Value> = iter::once(self.projection.name()).chain(identities).map(Value::from).collect();
        let rows = tx.query(&sql, &values).await?;
        Ok(rows.iter().map(|row| row.get("event_identity")).collect::<db::Result<_>>()?)
    }

    /// The last step, with the running tables standing still.
    async fn end(&self, db: &Db, ending: Ending, now_ms: i64) -> Result<Option<Finished>> {
        let name = self.projection.name();
        db.unit(async |tx| {
            lock(tx, name).await?;
            self.take_step(tx, 0, now_ms).await?;
            // What feeds the projection waits meanwhile, so that this comes to an end however much there is.
            let began = Instant::now();
            while self.drain(tx, JOURNAL_EVENTS_MAX).await? == JOURNAL_EVENTS_MAX {
                if began.elapsed() > STANDSTILL_MAX {
                    return Ok(None);
                }
            }
            let mut tables = Vec::with_capacity(self.projection.tables().len());
            for table in self.projection.tables() {
                tables.push(match ending {
                    Ending::Swap => shadow::replace(tx, *table).await?,
                    Ending::Compare => shadow::compare(tx, *table).await?,
                });
            }
            let finished = self.sum_up(tx, tables).await?;
            if ending == Ending::Swap {
                self.hand_over(tx, &finished.positions, now_ms).await?;
            }
            shadow::clear(tx, &self.projection).await?;
            tx.execute("delete from projection_rebuilds where projection = $1", &params![name]).await?;
            let sql = "update projections set is_rebuilding = $1, has_ahead = exists (
                           select 1 from projection_ahead where projection = $2) where name = $2";
            tx.execute(sql, &params![false, name]).await?;
            if ending == Ending::Swap {
                failpoint!(DURING_SWAP, name);
            }
            Ok(Some(finished))
        })
        .await
    }

    async fn sum_up(&self, tx: &mut Tx, tables: Vec<TableChange>) -> Result<Finished> {
        let name = self.projection.name();
        let sql = "select events, journalled, (
                       select count(*) from projection_ahead where projection = $1 and is_rebuild) as ahead
                   from projection_rebuilds where projection = $1";
        let row = tx.query_one(sql, &params![name]).await?;
        let sql = "select service, position from projection_sources where projection = $1 and is_rebuild
                   order by service";
        let positions = tx.query(sql, &params![name]).await?;
        let position = |row: &Row| Ok((row.get("service")?, row.get("position")?));
        Ok(Finished {
            tables,
            positions: positions.iter().map(position).collect::<Result<_>>()?,
            events: row.get("events")?,
            journalled: row.get("journalled")?,
            ahead: row.get("ahead")?,
        })
    }

    /// What was noted of the rebuilt tables holds for the running ones.
    async fn hand_over(&self, tx: &mut Tx, positions: &[(String, i64)], now_ms: i64) -> Result<()> {
        let name = self.projection.name();
        for (service, position) in positions {
            let sql = "insert into projection_sources (projection, service, is_rebuild, position)
                       values ($1, $2, $3, $4)
                       on conflict (projection, service, is_rebuild) do update set position = case
                           when projection_sources.position < excluded.position then excluded.position
                           else projection_sources.position end";
            tx.execute(sql, &params![name, service, false, *position]).await?;
        }
        tx.execute("delete from projection_ahead where projection = $1 and not is_rebuild", &params![name]).await?;
        // Whoever follows a store goes on after the position.
        if self.feeder.is_some() {
            let sql = "update projection_ahead set is_rebuild = $1 where projection = $2";
            tx.execute(sql, &params![false, name]).await?;
        } else {
            tx.execute("delete from projection_ahead where projection = $1", &params![name]).await?;
        }
        tx.execute("update projections set rebuilt_at = $1 where name = $2", &params![now_ms, name]).await?;
        Ok(())
    }

    fn measure(&self, finished: &Finished) {
        let (projection, feeder) = (self.projection.name(), self.feeder.as_ref());
        let group = feeder.map_or_else(String::new, |feeder| feeder.group.clone());
        for (service, position) in &finished.positions {
            let labels =
                [("group", group.clone()), ("projection", projection.to_owned()), ("service", service.clone())];
            let position = u32::try_from(*position).map_or(f64::from(u32::MAX), f64::from);
            ::metrics::gauge!(metrics::PROJECTION_POSITION, &labels).set(position);
        }
        ::metrics::counter!(metrics::PROJECTION_REBUILDS_TOTAL, "group" => group, "projection" => projection)
            .increment(1);
    }
}

/// Places for so many values after the first one, as a list.
fn places(values: usize) -> String {
    (0..values).map(|number| format!("${}", number + 2)).collect::<Vec<_>>().join(", ")
}

/// Rebuilds a projection of a service's own events and swaps it in.
///
/// # Errors
/// Those of the steps; [`Error::Config`] when it is made from other services' events too.
pub async fn rebuild(publisher: &EventPublisher, projection: &Projection) -> Result<Finished> {
    let (db, clock, service) = (publisher.db(), publisher.clock(), publisher.service());
    let event_types = super::follow::own_types(projection, service)?;
    let rebuild = Rebuild::begin(db, projection, None, clock.now_ms()).await?;
    let done = async {
        let (mut position, mut up_to) = (0, None);
        loop {
            let page = read_store(db, position, up_to, &event_types, PAGE_EVENTS_MAX).await?;
            rebuild.apply(db, service, &page.events, clock.now_ms()).await?;
            up_to = Some(page.up_to);
            position = page.events.last().map_or(position, |event| event.position);
            if page.is_end {
                break;
            }
        }
        loop {
            if let Some(finished) = rebuild.finish(db, Ending::Swap, clock.now_ms()).await? {
                return Ok(finished);
            }
        }
    };
    let done: Result<Finished> = done.await;
    if done.is_err() {
        // It counts as given up soon anyway.
        let _ = rebuild.cancel(db).await;
    }
    done
}

/// Notes a rebuild, or refuses it while another one is at work.
async fn note(tx: &mut Tx, projection: &'static str, id: &str, now_ms: i64, until_ms: i64) -> Result<()> {
    let sql = "insert into projection_rebuilds (projection, rebuild_id, began_at, expires_at, events, journalled)
               values ($1, $2, $3, $4, 0, 0)
               on conflict (projection) do update set rebuild_id = excluded.rebuild_id, began_at = excluded.began_at,
                   expires_at = excluded.expires_at, events = 0, journalled = 0
               where projection_rebuilds.expires_at <= $5";
    if tx.execute(sql, &params![projection, id, now_ms, now_ms + STEP_WAIT_MS, until_ms]).await? == 1 {
        return Ok(());
    }
    let sql = "select began_at, expires_at from projection_rebuilds where projection = $1";
    let row = tx.query_one(sql, &params![projection]).await?;
    Err(Error::RebuildRuns { projection, since_ms: row.get("began_at")?, until_ms: row.get("expires_at")? })
}

/// What it means that an event cannot be applied.
pub(super) fn not_applied(name: &'static str, event: &str, position: Option<i64>, source: HandlerError) -> Error {
    let transient = find::<db::Error>(&source).is_some_and(db::Error::is_transient);
    Error::Projection { name, event: event.to_owned(), position, transient, source: Box::new(source) }
}
