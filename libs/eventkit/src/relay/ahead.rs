//! What happens now does not wait for a backlog: while a relay works off old events, it also publishes new ones whose
//! keys have nothing unpublished before them.
//!
//! Which ones those are is only known in memory. A relay that dies publishes them again when it comes to them, so that
//! duplicates follow, but first occurrences of a key stay in order.

use std::collections::BTreeSet;

use db::params;

use super::Relay;
use super::held::{HeldKey, is_refused};
use crate::error::{Error, Result};
use crate::outbox::{READ_BYTES_MAX, StoredEvent, event_columns, page_end};

/// From which age on, in milliseconds, the first event of a full batch is a backlog's.
const BEHIND_MS: i64 = 1_000;
/// How many events are published ahead at the most before the backlog is worked off.
const AHEAD_MAX: usize = 100_000;

/// How far a relay is ahead of its cursor.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Up to where the store was read ahead; nothing while the relay keeps up.
    reached: Option<i64>,
    /// Positions behind which the cursor is, and that are published.
    published: BTreeSet<i64>,
}

impl Ahead {
    /// The events of a batch that are not published yet.
    pub(super) fn leave_out(&self, events: &mut Vec<StoredEvent>) {
        if !self.published.is_empty() {
            events.retain(|event| !self.published.contains(&event.position));
        }
    }

    /// Forgets what the cursor has passed; after a batch that was not full, everything.
    pub(super) fn pass(&mut self, cursor: i64, was_full: bool) {
        match was_full {
            true => self.published = self.published.split_off(&(cursor + 1)),
            false => *self = Self::default(),
        }
    }
}

impl Relay {
    /// Notes where a backlog ends when a full batch begins with an old event, before it is published: what comes from
    /// now on is new.
    pub(super) async fn look_ahead(&mut self, batch: &[StoredEvent], horizon: i64) -> Result<()> {
        let is_old = |event: &StoredEvent| self.now_ms() - event.recorded_at_ms >= BEHIND_MS;
        let is_behind = batch.len() == self.config.batch_max && batch.first().is_some_and(is_old);
        if is_behind && self.ahead.reached.is_none() {
            let sql = "select coalesce(max(position), 0) as last from event_store where position <= $1";
            let row = self.publisher.db().query_one(sql, &params![horizon]).await?;
            self.ahead.reached = Some(row.get("last")?);
        }
        Ok(())
    }

    /// Publishes new events that nothing of their keys stands before; the others wait for the cursor.
    pub(super) async fn publish_ahead(&mut self, cursor: i64, horizon: i64) -> Result<()> {
        let Some(reached) = self.ahead.reached else { return Ok(()) };
        if reached <= cursor {
            // The backlog has been worked off; what is old now is a new one.
            self.ahead = Ahead::default();
            return Ok(());
        }
        if self.ahead.published.len() + self.config.batch_max > AHEAD_MAX {
            return Ok(());
        }
        let events = self.read_new(reached, horizon).await?;
        let Some(last) = events.last().map(|(event, _)| event.position) else { return Ok(()) };
        let (mut free, mut positions) = (Vec::new(), BTreeSet::new());
        for (event, previous) in events {
            let is_published = |position: i64| {
                position <= cursor || positions.contains(&position) || self.ahead.published.contains(&position)
            };
            let is_kept = self.stopped.stops(&event.topic) || self.held.holds(&HeldKey::of(&event));
            if previous.is_none_or(is_published) && !is_kept {
                positions.insert(event.position);
                free.push(event);
            }
        }
        if !free.is_empty() {
            match self.publish(free).await {
                // The cursor finds out which one it is, and what to do with it.
                Err(error) if is_refused(&error) || matches!(error, Error::TopicRefused { .. }) => {
                    self.ahead.reached = Some(i64::MAX);
                    return Ok(());
                }
                outcome => outcome?,
            }
        }
        self.ahead.published.append(&mut positions);
        self.ahead.reached = Some(last);
        Ok(())
    }

    /// Events after a position, each with the position of the one before it of its key.
    async fn read_new(&self, reached: i64, horizon: i64) -> Result<Vec<(StoredEvent, Option<i64>)>> {
        let sql = concat!(
            "select ",
            event_columns!("e."),
            ", (select p.position from event_store p
                  where p.entity_key = e.entity_key and p.sequence = e.sequence - 1) as previous
             from event_store e where e.position > $1 and e.position <= ",
            page_end!(),
            " order by e.position limit $3"
        );
        let limit = i64::try_from(self.config.batch_max).unwrap_or(i64::MAX);
        let rows = self.publisher.db().query(sql, &params![reached, horizon, limit, READ_BYTES_MAX]).await?;
        rows.into_iter()
            .map(|row| {
                let previous = row.get("previous")?;
                Ok((StoredEvent::from_row(row)?, previous))
            })
            .collect::<Result<_, Error>>()
    }
}
