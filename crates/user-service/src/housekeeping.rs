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
