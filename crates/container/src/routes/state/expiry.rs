//! Forgets state that nobody has touched for long, a little at a time.

use std::time::Duration;

use db::params;

use super::RouteState;

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_secs(600);
/// Rows that one unit of work deletes: other units wait some milliseconds for it.
const ROWS_PER_STEP: i64 = 500;
/// Lets other units of work go first between two steps.
const PAUSE: Duration = Duration::from_millis(50);

/// What is deleted, and whether that is worth a warning: nobody has seen it come to an end.
const STEPS: &[(&str, bool)] = &[
    ("delete from route_keys where number in (select number from route_keys where seen_at < $1 limit $2)", false),
    (
        "delete from route_joined where (place, member) in (
             select place, member from route_joined where joined_at < $1 limit $2)",
        false,
    ),
    (
        "delete from route_closed_keys where number in (
             select number from route_closed_keys where closed_at < $1 limit $2)",
        false,
    ),
    (
        "delete from route_group_members where (place, group_key, position) in (
             select place, group_key, position from route_group_members
             where (place, group_key) in (select place, group_key from route_groups where changed_at < $1)
             limit $2)",
        true,
    ),
    (
        "delete from route_groups where (place, group_key) in (
             select place, group_key from route_groups where changed_at < $1 limit $2)",
        true,
    ),
    (
        "delete from route_complete_groups where number in (
             select number from route_complete_groups where completed_at < $1 limit $2)",
        true,
    ),
];

/// Forgets what is older than this.
#[derive(Debug, Clone)]
pub(crate) struct Expiry {
    pub(crate) state: RouteState,
    pub(crate) keep_ms: i64,
}

impl Expiry {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.expire().await {
                tracing::warn!(error = eventkit::chain(&error), "old state of routes could not be deleted");
            }
            self.state.clock.sleep(INTERVAL).await;
        }
    }

    /// Forgets all that is old now.
    pub(crate) async fn expire(&self) -> Result<(), db::Error> {
        let before_ms = self.state.clock.now_ms().saturating_sub(self.keep_ms);
        for (sql, is_lost) in STEPS {
            let mut rows = 0;
            loop {
                let params = params![before_ms, ROWS_PER_STEP];
                let deleted = self.state.db.unit(async |tx| tx.execute(sql, &params).await).await?;
                rows += deleted;
                if deleted < ROWS_PER_STEP.unsigned_abs() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            match (rows, is_lost) {
                (0, _) => {}
                (rows, false) => tracing::info!(rows, "old state of routes deleted"),
                (rows, true) => tracing::warn!(rows, "groups that nobody completed for long were given up"),
            }
        }
        Ok(())
    }
}
