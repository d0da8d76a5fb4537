//! Forgets what was handled so long ago that it cannot come again, a little at a time.

use std::sync::Arc;
use std::time::Duration;

use super::run::Engine;
use crate::error::chain;
use crate::inbox;

/// How often old rows are looked for.
const INTERVAL: Duration = Duration::from_secs(600);
/// Rows that one unit of work deletes: other units wait some milliseconds for it.
const ROWS_PER_STEP: u32 = 500;
/// Lets other units of work go first between two steps.
const PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Runs until it is aborted.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        loop {
            if let Err(error) = self.expire_inbox().await {
                tracing::warn!(group = &*self.group, error = chain(&error), "old inbox rows could not be deleted");
            }
            self.publisher.clock().sleep(INTERVAL).await;
        }
    }

    async fn expire_inbox(&self) -> crate::Result<()> {
        let retention_ms = i64::try_from(self.config.inbox_retention.as_millis()).unwrap_or(i64::MAX);
        let before_ms = self.publisher.clock().now_ms().saturating_sub(retention_ms);
        let mut expired = 0;
        loop {
            let rows = inbox::expire(self.publisher.db(), &self.group, before_ms, ROWS_PER_STEP).await?;
            expired += rows;
            if rows < u64::from(ROWS_PER_STEP) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if expired > 0 {
            tracing::info!(group = &*self.group, rows = expired, "old inbox rows deleted");
        }
        Ok(())
    }
}
