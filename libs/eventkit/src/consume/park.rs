//! `park_key`: after a dead letter, its key's later events are parked, and handled in order once it came back and
//! succeeded.
//!
//! A key is blocked before its letter is published, and a successor is parked before its offset is committed. While a
//! key is blocked its first event may come again (redelivered or redriven): when that succeeds the key is marked as
//! resolved, its parked events are handled in order by the same worker, and then it is free. The record that freed the
//! key is finished only after that, so a crash anywhere brings it back and the work goes on; inbox rows keep effects
//! from happening twice.

use super::attempt::Failure;
use super::lanes::Tries;
use super::run::Engine;
use super::runner::TOMBSTONE;
use super::work::{Tried, Verdict};
use crate::dead_letter::identity;
use crate::envelope::Envelope;
use crate::error::{Error, chain};
use crate::failpoint::failpoint;
use crate::inbox::Handling;
use crate::parking::{Line, Parked, Stand};
use crate::transport::ConsumedRecord;

/// How often a record asks again where its key stands before it is put back: each time something was done about it.
const ROUNDS_MAX: usize = 4;

/// How the work on parked events ended.
enum Drained {
    Free,
    /// One of them failed for good and blocks the key now.
    BlockedAnew,
    Wait(Verdict),
}

impl Engine {
    /// Handles a record, or parks it behind a dead letter of its key.
    pub(crate) async fn handle_or_park(&self, record: &ConsumedRecord, tries: &mut Tries) -> Verdict {
        match self.handle_in_line(record, tries).await {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::warn!(group = &*self.group, error = chain(&error), "event waits: its key's place is unknown");
                self.rest(tries)
            }
        }
    }

    async fn handle_in_line(&self, record: &ConsumedRecord, tries: &mut Tries) -> Result<Verdict, Error> {
        // What has no key has no successors.
        let key = record.record.key.clone().unwrap_or_default();
        let line = Line { group: self.group.clone(), topic: record.record.topic.clone(), key };
        let envelope = record.record.value.as_deref().and_then(|value| Envelope::read(value).ok());
        let own = identity(record, envelope.as_ref());
        for _ in 0..ROUNDS_MAX {
            let stand = match line.key.is_empty() {
                true => None,
                false => line.stand(self.publisher.db()).await?,
            };
            match stand {
                None => match self.try_once(record, tries).await {
                    Tried::Done => return Ok(Verdict::Finish),
                    Tried::Wait(delay) => return Ok(Verdict::Retry(delay)),
                    Tried::GiveUp(failure) => return self.block(&line, &own, record, tries, &failure).await,
                },
                Some(Stand { blocker, resolved: false }) if blocker == own => {
                    match self.try_once(record, tries).await {
                        Tried::Done => {
                            *tries = Tries::default();
                            line.resolve(self.publisher.db()).await?;
                        }
                        Tried::Wait(delay) => return Ok(Verdict::Retry(delay)),
                        Tried::GiveUp(failure) => return self.block(&line, &own, record, tries, &failure).await,
                    }
                }
                Some(Stand { blocker, resolved: true }) => match self.drain(&line, tries).await? {
                    Drained::Wait(verdict) => return Ok(verdict),
                    Drained::BlockedAnew if blocker == own => return Ok(Verdict::Finish),
                    Drained::BlockedAnew | Drained::Free => {}
                },
                Some(_) if !self.is_to_be_parked(record, &own, envelope.as_ref()).await? => return Ok(Verdict::Finish),
                Some(_) => match self.park(&line, &own, record).await? {
                    Parked::Yes => return Ok(Verdict::Finish),
                    Parked::Full => return Ok(self.rest(tries)),
                    Parked::NotBlocked => {}
                },
            }
        }
        Ok(self.rest(tries))
    }

    async fn park(&self, line: &Line, own: &str, record: &ConsumedRecord) -> Result<Parked, Error> {
        let db = self.publisher.db();
        let parked = line.park(db, own, record, self.config.parked_max, self.publisher.clock().now_ms()).await?;
        match parked {
            Parked::Yes => self.count("any", "parked", 1),
            Parked::Full => {
                tracing::warn!(group = &*self.group, topic = line.topic, "event waits: too many of its key are parked");
            }
            Parked::NotBlocked => {}
        }
        Ok(parked)
    }

    /// First the block, then the letter: nothing of the key can pass in between.
    async fn block(
        &self,
        line: &Line,
        own: &str,
        record: &ConsumedRecord,
        tries: &mut Tries,
        failure: &Failure,
    ) -> Result<Verdict, Error> {
        if !line.key.is_empty() {
            line.block(self.publisher.db(), own, self.publisher.clock().now_ms()).await?;
        }
        failpoint!(AFTER_BLOCK, &self.group);
        match self.send_letter(record, tries, failure).await {
            true => Ok(Verdict::Finish),
            false => Ok(self.rest(tries)),
        }
    }

    /// Handles parked events in order until none is left or one cannot be handled.
    async fn drain(&self, line: &Line, tries: &mut Tries) -> Result<Drained, Error> {
        let db = self.publisher.db();
        while let Some(head) = line.first(db).await? {
            match self.try_once(&head.record, tries).await {
                Tried::Done => {
                    failpoint!(AFTER_PARKED_EFFECT, &self.group);
                    line.forget(db, head.position).await?;
                }
                Tried::Wait(delay) => return Ok(Drained::Wait(Verdict::Retry(delay))),
                Tried::GiveUp(failure) => {
                    if !self.send_letter(&head.record, tries, &failure).await {
                        return Ok(Drained::Wait(self.rest(tries)));
                    }
                    *tries = Tries::default();
                    line.block_anew(db, &head).await?;
                    return Ok(Drained::BlockedAnew);
                }
            }
            *tries = Tries::default();
        }
        line.free(db).await?;
        Ok(Drained::Free)
    }

    /// Whether this group still has something to do about a record: what came before the letter may come again, and
    /// has had its effect.
    async fn is_to_be_parked(
        &self,
        record: &ConsumedRecord,
        own: &str,
        envelope: Option<&Envelope>,
    ) -> Result<bool, Error> {
        if self.is_for_another_group(&record.record) {
            return Ok(false);
        }
        let handler = match (&record.record.value, envelope) {
            (None, _) => self.tombstone_runners.contains_key(&record.record.topic).then_some(TOMBSTONE),
            // It cannot be read, and so it was never handled.
            (Some(_), None) => return Ok(true),
            (Some(_), Some(envelope)) => {
                self.runners.get_key_value(envelope.event_type.as_str()).map(|(event_type, _)| *event_type)
            }
        };
        let Some(handler) = handler else { return Ok(false) };
        let handling = Handling { group: self.group.clone(), handler, identity: own.to_owned() };
        Ok(!handling.is_recorded(self.publisher.db()).await?)
    }
}
