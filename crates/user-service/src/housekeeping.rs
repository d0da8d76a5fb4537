//! Removes what has ended (sessions, tokens, invitations) and devices not seen for long, in small steps.

use std::time::Duration;

use db::Db;
use eventkit::Clock;
use tokio::task::JoinHandle;

use crate::store;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(60);
/// Rows of each table that one step removes.
const STEP: u32 = 500;
/// Steps in one go at the most, so that a backlog does not crowd out requests.
const STEPS_MAX: usize = 20;
/// How long what has ended is kept, for questions.
const KEEP_ENDED_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long a device is remembered that nobody logs in from.
const KEEP_DEVICE_MS: i64 = 400 * 24 * 60 * 60 * 1_000;

/// The running housekeeping; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeping(JoinHandle<()>);

impl Housekeeping {
    pub(crate) fn start(db: Db, clock: Clock) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                clean(&db, clock.now_ms()).await;
            }
        }))
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Removes what is old at `now_ms`, as much as one go may.
pub(crate) async fn clean(db: &Db, now_ms: i64) {
    for _ in 0..STEPS_MAX {
        match store::sessions::remove_old(db, now_ms - KEEP_ENDED_MS, now_ms - KEEP_DEVICE_MS, STEP).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = eventkit::chain(&error), "old sessions could not be removed");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use db::params;
    use eventkit::{EventPublisher, Origin};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    #[tokio::test]
    async fn what_ended_long_ago_goes_and_what_lives_stays() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("users.db").display());
        let db = Db::open(&db::Config::new(url)).await.unwrap();
        chassis::part::migrate(&db, crate::NAME, crate::MIGRATIONS).await.unwrap();
        let publisher = EventPublisher::new(db.clone(), crate::NAME, Clock::system());
        let mut work = publisher.begin(Origin::default());
        let session = "insert into sessions (session_id, employee_id, created_at, last_used_at, expires_at, ended_at)
            values ($1, 1, 0, 0, $2, $3)";
        let old_ms = NOW_MS - KEEP_ENDED_MS - 1;
        let many = i64::from(STEP) + 1;
        for number in 0..many {
            work.execute(session, &params![format!("expired-{number}"), old_ms, None::<i64>]).await.unwrap();
        }
        work.execute(session, &params!["ended", NOW_MS + 1, old_ms]).await.unwrap();
        work.execute(session, &params!["living", NOW_MS + 1, None::<i64>]).await.unwrap();
        for (hash, expires_at_ms) in [("old", old_ms), ("good", NOW_MS + 1)] {
            let invitation = "insert into invitations (token_hash, employee_id, expires_at) values ($1, 1, $2)";
            work.execute(invitation, &params![hash, expires_at_ms]).await.unwrap();
        }
        let device = "insert into known_devices (employee_id, device_hash, last_seen_at) values (1, $1, $2)";
        work.execute(device, &params!["lately", old_ms]).await.unwrap();
        work.execute(device, &params!["long ago", NOW_MS - KEEP_DEVICE_MS - 1]).await.unwrap();
        work.commit().await.unwrap();
        clean(&db, NOW_MS).await;
        for (table, column, left) in [
            ("sessions", "session_id", "living"),
            ("invitations", "token_hash", "good"),
            ("known_devices", "device_hash", "lately"),
        ] {
            let row = db.query_one(&format!("select {column} as name from {table}"), &[]).await.unwrap();
            assert_eq!(row.get::<String>("name").unwrap(), left);
        }
    }
}
