//! Forgets what was handled so long ago that it cannot come again, a little at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::run::Engine;
use crate::clock::Clock;
use crate::error::chain;
use crate::inbox;

/// How often old rows are looked for.
const INTERVAL: Duration = Duration::from_secs(600);
/// Rows that one unit of work deletes: other units wait some milliseconds for it.
const ROWS_PER_STEP: u32 = 500;
/// Lets other units of work go first between two steps.
const PAUSE: Duration = Duration::from_millis(50);

/// How far the clock may be ahead of a group's own time before that is told.
const AHEAD_MAX_MS: i64 = 24 * 60 * 60 * 1_000;

/// What time it is for a group's rows: it goes on from the newest one that was there at first, as fast as a clock that
/// nobody sets. A clock that is set forth by years would make all rows old at once, and what comes again would have its
/// effect again; so it counts where it is behind that, and not where it is ahead.
///
/// A group that was away for some time forgets so much later.
#[derive(Debug)]
pub(crate) struct OwnTime {
    first_ms: i64,
    noted_at: Instant,
    noted_at_ms: i64,
    /// How far the clock was ahead when that was told last.
    told_ahead_ms: i64,
}

impl OwnTime {
    /// `newest_ms` is the newest row's time; a group without rows goes by the clock.
    fn begin(clock: &Clock, newest_ms: Option<i64>) -> Self {
        let now_ms = clock.now_ms();
        let first_ms = newest_ms.unwrap_or(now_ms);
        Self { first_ms, noted_at: Instant::now(), noted_at_ms: now_ms, told_ahead_ms: 0 }
    }

    fn now_ms(&self, clock: &Clock) -> i64 {
        let since = clock.since(self.noted_at, self.noted_at_ms).as_millis();
        let own_ms = self.first_ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX));
        own_ms.min(clock.now_ms())
    }

    /// How far the clock is ahead, if that is worth telling again.
    fn worth_telling(&mut self, clock: &Clock) -> Option<i64> {
        let ahead_ms = clock.now_ms().saturating_sub(self.now_ms(clock));
        let is_news = ahead_ms > self.told_ahead_ms.saturating_add(AHEAD_MAX_MS);
        self.told_ahead_ms = if is_news { ahead_ms } else { self.told_ahead_ms };
        is_news.then_some(ahead_ms)
    }
}

impl Engine {
    /// What time it is for the group's rows. To be asked for before anything is handled, by a clock that may be wrong.
    pub(crate) async fn own_time(&self) -> crate::Result<OwnTime> {
        let newest_ms = inbox::newest(self.publisher.db(), &self.group).await?;
        Ok(OwnTime::begin(self.publisher.clock(), newest_ms))
    }

    /// Runs until it is aborted.
    pub(crate) async fn keep_house(self: Arc<Self>, mut time: OwnTime) {
        loop {
            if let Err(error) = self.expire_inbox(&mut time).await {
                tracing::warn!(group = &*self.group, error = chain(&error), "old inbox rows could not be deleted");
            }
            self.publisher.clock().sleep(INTERVAL).await;
        }
    }

    async fn expire_inbox(&self, time: &mut OwnTime) -> crate::Result<()> {
        let (db, clock) = (self.publisher.db(), self.publisher.clock());
        let now_ms = time.now_ms(clock);
        if let Some(ahead_ms) = time.worth_telling(clock) {
            tracing::info!(
                group = &*self.group,
                ahead_ms,
                "inbox rows are kept so much longer: the group had nothing to handle, or the clock was set"
            );
        }
        let retention_ms = i64::try_from(self.config.inbox_retention.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(retention_ms);
        let mut expired = 0;
        loop {
            let rows = inbox::expire(db, &self.group, before_ms, ROWS_PER_STEP).await?;
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    const NOON: i64 = 1_795_485_600_000;

    /// The group's own time after the clock was set forth (or back) by so much, without any time going by.
    fn after_a_step(newest_ms: Option<i64>, step_ms: i64) -> i64 {
        let clock = Clock::manual(Timestamp::from_millisecond(NOON).unwrap());
        let time = OwnTime::begin(&clock, newest_ms);
        clock.advance_ms(step_ms);
        time.now_ms(&clock)
    }

    /// Some milliseconds go by while a test runs.
    fn assert_about(time_ms: i64, expected_ms: i64) {
        assert!((expected_ms..expected_ms + DAY_MS).contains(&time_ms), "{time_ms} is not about {expected_ms}");
    }

    #[test]
    fn a_clock_that_is_set_forth_makes_no_row_older() {
        assert_about(after_a_step(None, 1_000 * DAY_MS), NOON);
        assert_about(after_a_step(Some(NOON - 60_000), 1_000 * DAY_MS), NOON - 60_000);
    }

    #[test]
    fn a_clock_that_is_set_back_counts_and_so_does_one_that_is_behind_the_newest_row() {
        assert_eq!(after_a_step(None, -10 * DAY_MS), NOON - 10 * DAY_MS);
        assert_eq!(after_a_step(Some(NOON + 10 * DAY_MS), 0), NOON);
    }

    #[test]
    fn that_the_clock_is_ahead_is_told_once_and_again_when_it_is_a_day_more() {
        let clock = Clock::manual(Timestamp::from_millisecond(NOON).unwrap());
        let mut time = OwnTime::begin(&clock, Some(NOON - 3 * DAY_MS));
        assert!(time.worth_telling(&clock).is_some() && time.worth_telling(&clock).is_none());
        clock.advance_ms(2 * DAY_MS);
        assert!(time.worth_telling(&clock).is_some() && time.worth_telling(&clock).is_none());
    }

    #[test]
    fn time_that_goes_by_makes_rows_older() {
        let clock = Clock::stepped(Timestamp::from_millisecond(NOON).unwrap());
        let time = OwnTime::begin(&clock, Some(NOON - DAY_MS));
        clock.advance_ms(5 * DAY_MS);
        assert_eq!(time.now_ms(&clock), NOON + 4 * DAY_MS, "a group that was away for a day is a day behind");
    }
}
