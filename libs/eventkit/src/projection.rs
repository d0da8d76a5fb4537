//! Tables made from a service's own events alone: followed from the store, rebuilt beside the running ones and then
//! swapped in.
//!
//! A projection's position moves in the transaction of its changes, so each event is applied once.

use std::collections::BTreeMap;
use std::future::Future;

use db::{Db, Tx, params};

use crate::error::{Error, HandlerError, Result, find};
use crate::failpoint::failpoint;
use crate::outbox::{Horizon, StoredEvent, read_after};

/// Events that one unit of work applies.
const BATCH_MAX: usize = 500;
/// What is put behind a table's name while it is being rebuilt.
const REBUILD: &str = "_rebuild";

/// Tables that follow from events.
pub trait Projection: Send + Sync {
    /// Its name: the key of its position.
    fn name(&self) -> &'static str;

    /// Its tables, each with its `create table` statement in which `{table}` stands for the table's name. Indexes are
    /// made by `primary key` and `unique` alone, since they have no names that could clash.
    fn tables(&self) -> BTreeMap<&'static str, &'static str>;

    /// Applies one event; events come in the order of the store, each once.
    fn apply(
        &self,
        event: &StoredEvent,
        work: &mut Projecting<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// The transaction in which events are applied, and the names of the tables in it.
#[derive(Debug)]
pub struct Projecting<'a> {
    /// The transaction.
    pub tx: &'a mut Tx,
    suffix: &'static str,
}

impl Projecting<'_> {
    /// The name under which a table is to be used now.
    pub fn table(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }
}

/// Up to which position of the store a projection is; `None` before it was ever brought up to date.
///
/// # Errors
/// Those of the database.
pub async fn position(db: &Db, name: &str) -> Result<Option<i64>> {
    let sql = "select position from projection_positions where name = $1";
    let row = db.query_opt(sql, &params![name]).await?;
    row.map(|row| row.get("position").map_err(Error::from)).transpose()
}

/// Applies what is stored and not applied yet; answers the position that it came to.
///
/// Several may run at a time: they take turns.
///
/// # Errors
/// Those of the database; [`Error::Projection`] when an event could not be applied: it is tried again the next time.
pub async fn catch_up<P: Projection>(db: &Db, projection: &P) -> Result<i64> {
    create(db, projection, "", projection.name()).await?;
    loop {
        let (position, applied) = step(db, projection, "", projection.name()).await?;
        if applied < BATCH_MAX {
            return Ok(position);
        }
    }
}

/// Makes the tables anew from all events, beside the running ones, and swaps them in; answers the position.
///
/// A rebuild that was interrupted begins anew; until the swap nobody sees anything of it.
///
/// # Errors
/// As [`catch_up`].
pub async fn rebuild<P: Projection>(db: &Db, projection: &P) -> Result<i64> {
    let shadow = format!("{}{REBUILD}", projection.name());
    clear(db, projection, &shadow).await?;
    create(db, projection, REBUILD, &shadow).await?;
    loop {
        let (position, applied) = step(db, projection, REBUILD, &shadow).await?;
        if applied == BATCH_MAX {
            continue;
        }
        failpoint!(BEFORE_SWAP, projection.name());
        if swap(db, projection, &shadow, position).await? {
            return Ok(position);
        }
    }
}

/// Applies one batch in one unit; answers the new position and how many events it were.
async fn step<P: Projection>(db: &Db, projection: &P, suffix: &'static str, row: &str) -> Result<(i64, usize)> {
    let horizon = Horizon::settle(db).await?;
    let before = position(db, row).await?.unwrap_or(0);
    let events = read_after(db, before, horizon, BATCH_MAX).await?;
    let Some(last) = events.last().map(|event| event.position) else { return Ok((before, 0)) };
    let mut tx = db.begin().await?;
    let moved = tx
        .execute(
            "update projection_positions set position = $1 where name = $2 and position = $3",
            &params![last, row, before],
        )
        .await?;
    if moved == 0 {
        // Another one was quicker: what it applied is read anew.
        tx.rollback().await;
        return Ok((before, BATCH_MAX));
    }
    let mut work = Projecting { tx: &mut tx, suffix };
    for event in &events {
        if let Err(source) = projection.apply(event, &mut work).await {
            tx.rollback().await;
            let transient = find::<db::Error>(&source).is_some_and(db::Error::is_transient);
            let name = projection.name();
            return Err(Error::Projection { name, position: event.position, transient, source: Box::new(source) });
        }
    }
    tx.commit().await?;
    Ok((last, events.len()))
}

async fn create<P: Projection>(db: &Db, projection: &P, suffix: &'static str, row: &str) -> Result<()> {
    if position(db, row).await?.is_some() {
        return Ok(());
    }
    db.unit(async |tx| {
        let sql = "insert into projection_positions (name, position) values ($1, 0) on conflict (name) do nothing";
        if tx.execute(sql, &params![row]).await? == 1 {
            for (table, sql) in projection.tables() {
                tx.execute(&sql.replace("{table}", &format!("{table}{suffix}")), &[]).await?;
            }
        }
        Ok(())
    })
    .await
}

/// Takes away what an interrupted rebuild left.
async fn clear<P: Projection>(db: &Db, projection: &P, shadow: &str) -> Result<()> {
    db.unit(async |tx| {
        tx.execute("delete from projection_positions where name = $1", &params![shadow]).await?;
        for table in projection.tables().keys() {
            tx.execute(&format!("drop table if exists {table}{REBUILD}"), &[]).await?;
        }
        Ok(())
    })
    .await
}

/// Puts the rebuilt tables in the place of the running ones; false when those are further.
async fn swap<P: Projection>(db: &Db, projection: &P, shadow: &str, position: i64) -> Result<bool> {
    db.unit(async |tx| {
        // Locks the running projection's position, so that it stands still.
        let sql = "insert into projection_positions (name, position) values ($1, $2)
                   on conflict (name) do update set position = excluded.position
                   where projection_positions.position <= excluded.position";
        if tx.execute(sql, &params![projection.name(), position]).await? == 0 {
            return Ok(false);
        }
        tx.execute("delete from projection_positions where name = $1", &params![shadow]).await?;
        for table in projection.tables().keys() {
            tx.execute(&format!("drop table if exists {table}"), &[]).await?;
            tx.execute(&format!("alter table {table}{REBUILD} rename to {table}"), &[]).await?;
        }
        Ok(true)
    })
    .await
}
