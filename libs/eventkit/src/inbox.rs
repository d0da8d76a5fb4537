//! What a consumer has handled, recorded in the transaction of the effect: a redelivery finds its row and does nothing.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use db::{Db, Tx, Value, params};

use crate::error::Result;

/// Names one handling of one event: whose, by which handler, of which event.
#[derive(Debug, Clone)]
pub struct Handling {
    /// The consumer group.
    pub group: Arc<str>,
    /// The handler within the group: the type of the events that it handles.
    pub handler: &'static str,
    /// The event's identity.
    pub identity: String,
}

impl Handling {
    /// Records the handling inside the effect's transaction; false when it was recorded before.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn record(&self, tx: &mut Tx, now_ms: i64) -> Result<bool> {
        let rows = tx
            .execute(
                "insert into inbox (group_name, handler, event_identity, handled_at) values ($1, $2, $3, $4)
                 on conflict (group_name, handler, event_identity) do nothing",
                &params![&*self.group, self.handler, self.identity.as_str(), now_ms],
            )
            .await?;
        Ok(rows == 1)
    }

    /// Whether the handling is recorded; for effects outside the database, which cannot share its transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_recorded(&self, db: &Db) -> Result<bool> {
        let row = db
            .query_opt(
                "select 1 as found from inbox where group_name = $1 and handler = $2 and event_identity = $3",
                &params![&*self.group, self.handler, self.identity.as_str()],
            )
            .await?;
        Ok(row.is_some())
    }
}

/// Rows that one statement inserts where many are recorded: one text, so that it is prepared once.
const ROWS_PER_INSERT: usize = 32;

/// The statement that inserts [`ROWS_PER_INSERT`] rows and answers which of them were new.
static INSERT_MANY: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<_> = (0..ROWS_PER_INSERT)
        .map(|row| {
            let first = 1 + row * 4;
            format!("(${}, ${}, ${}, ${})", first, first + 1, first + 2, first + 3)
        })
        .collect();
    format!(
        "insert into inbox (group_name, handler, event_identity, handled_at) values {}
         on conflict (group_name, handler, event_identity) do nothing returning handler, event_identity",
        rows.join(", ")
    )
});

/// Records many handlings inside the transaction of their effects; tells for each whether it is new.
///
/// # Errors
/// Those of the database.
pub(crate) async fn record_all(tx: &mut Tx, handlings: &[Handling], now_ms: i64) -> Result<Vec<bool>> {
    let (whole, rest) = handlings.as_chunks::<ROWS_PER_INSERT>();
    let mut is_new = Vec::with_capacity(handlings.len());
    for chunk in whole {
        let values: Vec<Value> =
            chunk.iter().flat_map(|of| params![&*of.group, of.handler, of.identity.as_str(), now_ms]).collect();
        let rows = tx.query(&INSERT_MANY, &values).await?;
        if rows.len() == chunk.len() {
            is_new.extend([true; ROWS_PER_INSERT]);
            continue;
        }
        let mut new = HashSet::with_capacity(rows.len());
        for row in rows {
            new.insert((row.get::<String>("handler")?, row.get::<String>("event_identity")?));
        }
        // Taken out, so that the second of two alike is none.
        is_new.extend(chunk.iter().map(|of| new.remove(&(of.handler.to_owned(), of.identity.clone()))));
    }
    for handling in rest {
        is_new.push(handling.record(tx, now_ms).await?);
    }
    Ok(is_new)
}

/// When a group handled what it handled last, in milliseconds since 1970.
///
/// # Errors
/// Those of the database.
pub(crate) async fn newest(db: &Db, group: &str) -> Result<Option<i64>> {
    let sql = "select handled_at from inbox where group_name = $1 order by handled_at desc limit 1";
    let row = db.query_opt(sql, &params![group]).await?;
    Ok(row.map(|row| row.get("handled_at")).transpose()?)
}

/// Forgets up to `limit` handlings of a group that are older than `before_ms`, the oldest first; answers how many.
///
/// `before_ms` must lie further back than topic retention, dead-letter retention and the replay window reach.
///
/// # Errors
/// Those of the database.
pub async fn expire(db: &Db, group: &str, before_ms: i64, limit: u32) -> Result<u64> {
    db.unit(async |tx| {
        let sql = "delete from inbox where (group_name, handler, event_identity) in (
                       select group_name, handler, event_identity from inbox
                       where group_name = $1 and handled_at < $2 order by handled_at limit $3)";
        Ok(tx.execute(sql, &params![group, before_ms, i64::from(limit)]).await?)
    })
    .await
}
