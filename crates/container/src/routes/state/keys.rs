//! What `idempotentConsumer` has seen: the only place that knows this table.

use std::sync::atomic::{AtomicU64, Ordering};

use db::params;
use routes::exchange::{Result, Text};
use routes::run::BoxFuture;
use routes::state::Keys;

use super::{RouteState, exception, limit};

/// After how many new keys those are deleted that are too many.
const TRIM_EVERY: u64 = 500;

#[derive(Debug)]
pub(super) struct StoredKeys {
    state: RouteState,
    place: String,
    keys_max: usize,
    added: AtomicU64,
}

impl StoredKeys {
    pub(super) fn new(state: RouteState, place: String, keys_max: usize) -> Self {
        Self { state, place, keys_max, added: AtomicU64::new(0) }
    }

    async fn insert(&self, key: &str, owner: &str) -> Result<bool, db::Error> {
        let now_ms = self.state.clock.now_ms();
        let mut tx = self.state.db.begin().await?;
        let inserted = tx
            .execute(
                "insert into route_keys (place, seen_key, owner, seen_at) values ($1, $2, $3, $4)
                 on conflict (place, seen_key) do nothing",
                &params![self.place.as_str(), key, owner, now_ms],
            )
            .await?;
        let is_new = match inserted {
            0 => {
                let sql = "select owner from route_keys where place = $1 and seen_key = $2";
                let row = tx.query_opt(sql, &params![self.place.as_str(), key]).await?;
                let known = row.map(|row| row.get::<String>("owner")).transpose()?;
                known.is_some_and(|known| !known.is_empty() && known == owner)
            }
            _ => {
                if self.added.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRIM_EVERY) {
                    self.trim(&mut tx).await?;
                }
                true
            }
        };
        // Also where nothing changed: what was found may be of a unit that is not durable yet.
        tx.commit().await?;
        Ok(is_new)
    }

    async fn trim(&self, tx: &mut db::Tx) -> Result<(), db::Error> {
        let sql = "delete from route_keys where place = $1 and number <= (
                       select number from route_keys where place = $1 order by number desc limit 1 offset $2)";
        tx.execute(sql, &params![self.place.as_str(), limit(self.keys_max)]).await.map(drop)
    }
}

impl Keys for StoredKeys {
    fn add<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.insert(key, owner).await.map_err(exception) })
    }

    fn is_taken<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let sql = "select owner from route_keys where place = $1 and seen_key = $2";
            let row = self.state.db.query_opt(sql, &params![self.place.as_str(), key.as_str()]).await;
            let known = row.and_then(|row| row.map(|row| row.get::<String>("owner")).transpose());
            let known = known.map_err(exception)?;
            Ok(known.is_some_and(|known| known.is_empty() || known != owner.as_str()))
        })
    }

    fn remove<'a>(&'a self, key: &'a Text, owner: &'a Text) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let sql = "delete from route_keys where place = $1 and seen_key = $2 and owner = $3";
            let params = params![self.place.as_str(), key.as_str(), owner.as_str()];
            let removed = self.state.db.unit(async |tx| tx.execute(sql, &params).await).await;
            removed.map(drop).map_err(exception)
        })
    }
}
