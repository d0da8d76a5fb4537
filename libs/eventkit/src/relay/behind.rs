//! Events that are committed and may not be published yet, because a transaction that is still open may hold an earlier one.
//! However long that takes they are never skipped; that it takes long is told.

use std::time::{Duration, Instant};

use super::Relay;
use crate::error::{Result, chain};
use crate::outbox;

/// How often it is looked at what waits.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a relay knows of such a wait.
#[derive(Debug)]
pub(super) struct Behind {
    since: Option<Instant>,
    look_at: Instant,
    is_told: bool,
}

impl Default for Behind {
    fn default() -> Self {
        Self { since: None, look_at: Instant::now(), is_told: false }
    }
}

impl Behind {
    /// Since when it lasts, if that is longer than is usual.
    pub(super) fn told(&self) -> Option<Instant> {
        self.since.filter(|_| self.is_told)
    }

    /// Something is published, or nothing waits.
    pub(super) fn is_over(&mut self) {
        self.since = None;
        if std::mem::take(&mut self.is_told) {
            tracing::warn!("events go on: the transaction that held them back has ended");
        }
    }
}

impl Relay {
    /// Tells how old the oldest unpublished event is where none may be published.
    pub(super) async fn report_idle(&mut self, position: i64) -> Result<()> {
        if !self.horizon.is_held_back() {
            self.behind.is_over();
            self.gauge_oldest(0);
            return Ok(());
        }
        if Instant::now() < self.behind.look_at {
            return Ok(());
        }
        self.behind.look_at = Instant::now() + LOOK_INTERVAL;
        let Some(stored_at) = outbox::stored_at_after(self.publisher.db(), position).await? else {
            // It holds nothing back but itself.
            self.behind.is_over();
            self.gauge_oldest(0);
            return Ok(());
        };
        self.gauge_oldest(self.now_ms() - stored_at);
        let since = *self.behind.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.config.held_back_max && !self.behind.is_told {
            self.behind.is_told = true;
            let session = outbox::longest_writer(self.publisher.db()).await.unwrap_or_else(|error| chain(&error));
            let relay = &self.config.name;
            tracing::warn!(relay, session, "events wait behind a transaction that does not end; end its session");
        }
        Ok(())
    }
}
