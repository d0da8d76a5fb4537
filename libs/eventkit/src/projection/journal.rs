//! How the live path and a rebuild of one projection keep out of each other's way: the lock that they share, the journal
//! of what was applied meanwhile, and what the tables know before its handler does.

use db::{Dialect, Tx, params};

use crate::envelope::Envelope;
use crate::error::Result;

/// An event that is about to be applied to the running tables.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) identity: &'a str,
    pub(super) event_type: &'a str,
    pub(super) envelope: &'a Envelope,
}

/// PostgreSQL's number for the projection `$1` of this schema: its advisory locks know no names.
const LOCK_KEY: &str = "hashtextextended(current_schema() || '/projection/' || cast($1 as text), 0)";

#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    is_rebuilding: bool,
    has_ahead: bool,
}

/// Writes an event into the journal if a rebuild runs; tells whether it is to be applied to the running tables.
pub(super) async fn admit(tx: &mut Tx, projection: &str, event: &Event<'_>, now_ms: i64) -> Result<bool> {
    let standing = share(tx, projection).await?;
    if standing.is_rebuilding {
        record(tx, projection, event, now_ms).await?;
    }
    Ok(!standing.has_ahead || !take_ahead(tx, projection, event.identity).await?)
}

/// How a projection stands, until `tx` ends. On PostgreSQL whoever locks it meanwhile is waited for, so that a load without
/// a pause does not keep a rebuild from its last step; a row's own lock lets everybody in who shares it.
async fn share(tx: &mut Tx, projection: &str) -> Result<Standing> {
    if tx.dialect() == Dialect::Postgres {
        tx.execute_later(&format!("select pg_advisory_xact_lock_shared({LOCK_KEY})"), params![projection]).await?;
    }
    let sql = "select is_rebuilding, has_ahead from projections where name = $1";
    loop {
        if let Some(row) = tx.query_opt(sql, &params![projection]).await? {
            return Ok(Standing { is_rebuilding: row.get("is_rebuilding")?, has_ahead: row.get("has_ahead")? });
        }
        if insert(tx, projection).await? {
            return Ok(Standing::default());
        }
    }
}

/// Has a projection alone until `tx` ends.
pub(super) async fn lock(tx: &mut Tx, projection: &str) -> Result<()> {
    // On SQLite units come one at a time.
    if tx.dialect() == Dialect::Postgres {
        tx.execute(&format!("select pg_advisory_xact_lock({LOCK_KEY})"), &params![projection]).await?;
    }
    insert(tx, projection).await?;
    Ok(())
}

/// Makes a projection's row; false if there is one.
async fn insert(tx: &mut Tx, projection: &str) -> Result<bool> {
    let sql = "insert into projections (name, is_rebuilding, has_ahead) values ($1, $2, $3)
               on conflict (name) do nothing";
    Ok(tx.execute(sql, &params![projection, false, false]).await? == 1)
}

/// Writes an event into the journal of the rebuild that runs. One that takes no steps any more is ended here, since its
/// journal would have a hole.
async fn record(tx: &mut Tx, projection: &str, event: &Event<'_>, now_ms: i64) -> Result<()> {
    let envelope = event.envelope.write()?;
    let append = "insert into projection_journal (projection, event_identity, event_type, envelope)
                  select projection, cast($2 as text), cast($3 as text), cast($4 as text)
                  from projection_rebuilds where projection = $1 and expires_at > $5";
    let end = "delete from projection_rebuilds where projection = $1 and expires_at <= $2";
    let find = "select 1 as found from projection_rebuilds where projection = $1";
    loop {
        let values = params![projection, event.identity, event.event_type, envelope.as_str(), now_ms];
        let is_over = tx.execute(append, &values).await? == 1
            || tx.execute(end, &params![projection, now_ms]).await? == 1
            || tx.query_opt(find, &params![projection]).await?.is_none();
        // Else it took a step in between.
        if is_over {
            return Ok(());
        }
    }
}

/// Whether the running tables know of an event already; they are told no second time.
async fn take_ahead(tx: &mut Tx, projection: &str, identity: &str) -> Result<bool> {
    let sql = "delete from projection_ahead where projection = $1 and event_identity = $2 and not is_rebuild";
    Ok(tx.execute(sql, &params![projection, identity]).await? == 1)
}
