//! What a consumer has handled, recorded in the transaction of the effect: a redelivery finds its row and does nothing.

use std::sync::Arc;

use db::{Db, Tx, params};

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

/// Forgets handlings older than `before_ms`; answers how many.
///
/// `before_ms` must lie further back than topic retention, dead-letter retention and the replay window reach.
///
/// # Errors
/// Those of the database.
pub async fn expire(db: &Db, before_ms: i64) -> Result<u64> {
    let mut tx = db.begin().await?;
    let rows = tx.execute("delete from inbox where handled_at < $1", &params![before_ms]).await?;
    tx.commit().await?;
    Ok(rows)
}
