//! A topic that takes nothing (the service may not write there, the topic is not there, or it cannot be reached while
//! others can) holds up its own events and no others.
//!
//! It is noted in the database up to where its events are published. Those after that stay where they are, in the event
//! store, while the relay's cursor moves past them, and are read from there once the topic takes events again. So a
//! topic that is stopped for long costs one row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db::{Row, params};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::held::{HeldKey, NewlyHeld, is_refused};
use super::{Relay, outbox};
use crate::error::{Error, Result, chain};
use crate::metrics;
use crate::outbox::StoredEvent;

/// Positions of the store that are looked through at a time for events of one topic.
const SPAN: i64 = 20_000;
/// Topics that may be stopped at a time; when more are refused the whole relay waits.
const STOPPED_TOPICS_MAX: usize = 1_000;

/// The topics that take nothing, by name.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    topics: BTreeMap<String, Stop>,
    /// Told when one that was tried again has answered.
    probed: Arc<Notify>,
}

#[derive(Debug)]
struct Stop {
    /// Up to here every event of the topic is published or held.
    position: i64,
    /// How often it was refused since it last took an event.
    failures: u32,
    retry_at: Instant,
    error: String,
    /// When the first event that waits was stored, at the latest.
    oldest_ms: i64,
    probe: Option<Probe>,
}

/// The first event that waits for a topic, on its way: however long that takes, nothing else waits for it.
#[derive(Debug)]
struct Probe {
    position: i64,
    key: HeldKey,
    stored_at_ms: i64,
    outcome: oneshot::Receiver<Result<()>>,
    publishing: AbortHandle,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.publishing.abort();
    }
}

impl Stop {
    /// What became of the probe; nothing while it is on its way.
    fn answer(&mut self) -> Option<(Probe, Result<()>)> {
        let outcome = match self.probe.as_mut()?.outcome.try_recv() {
            Ok(outcome) => outcome,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Closed) => Err(Error::Stopped),
        };
        self.probe.take().map(|probe| (probe, outcome))
    }
}

impl Stopped {
    pub(super) fn stops(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        self.topics.iter().map(|(topic, stop)| (topic.clone(), stop.error.clone())).collect()
    }

    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.topics.values().map(|stop| stop.oldest_ms).min()
    }

    /// How long until a topic is to be tried again.
    pub(super) fn wait(&self) -> Option<Duration> {
        let idle = self.topics.values().filter(|stop| stop.probe.is_none());
        idle.map(|stop| stop.retry_at.saturating_duration_since(Instant::now())).min()
    }

    /// Waits until a topic that was tried again has answered.
    pub(super) async fn is_probed(&self) {
        self.probed.notified().await;
    }

    fn due(&self) -> Vec<String> {
        let now = Instant::now();
        let due = self.topics.iter().filter(|(_, stop)| stop.probe.is_some() || stop.retry_at <= now);
        due.map(|(topic, _)| topic.clone()).collect()
    }
}

/// What became of events of one topic that were tried again.
#[derive(Debug, Default)]
struct Tried {
    /// Up to where they are published or held.
    position: Option<i64>,
    newly_held: Vec<NewlyHeld>,
    refusal: Option<Error>,
}

impl Relay {
    /// Notes that a topic takes nothing; its events after `position` are not published.
    ///
    /// # Errors
    /// `error`, when there are too many such topics or the lease is another's, whose word counts.
    pub(super) async fn stop_topic(&mut self, topic: &str, position: i64, error: Error) -> Result<()> {
        if self.stopped.topics.len() >= STOPPED_TOPICS_MAX {
            return Err(error);
        }
        let (relay, text, now_ms) = (self.config.name.clone(), chain(&error), self.now_ms());
        let sql = "insert into stopped_topics (relay, topic, position, attempts, error, stopped_at)
                   values ($1, $2, $3, 1, $4, $5) on conflict (relay, topic) do nothing";
        let values = params![relay.as_str(), topic, position, text.as_str(), now_ms];
        let Some(mut tx) = self.begin_as_owner(self.position).await? else { return Err(error) };
        tx.execute(sql, &values).await?;
        tx.commit().await?;
        tracing::error!(
            relay,
            topic,
            error = text,
            "topic takes no events: they wait, and those of other topics go on"
        );
        let retry_at = Instant::now() + self.config.backoff.delay(1);
        let stop = Stop { position, failures: 1, retry_at, error: text, oldest_ms: now_ms, probe: None };
        self.stopped.topics.insert(topic.to_owned(), stop);
        self.gauge_stopped();
        Ok(())
    }

    /// Tries topics again for which it is time, each with one event, and with a batch once that was taken. Answers whether
    /// anything is known to be published.
    pub(super) async fn retry_stopped(&mut self) -> Result<bool> {
        let mut is_any = false;
        for topic in self.stopped.due() {
            is_any |= self.retry_topic(&topic).await?;
            if self.leased_until.is_none() {
                break;
            }
        }
        Ok(is_any)
    }

    async fn retry_topic(&mut self, topic: &str) -> Result<bool> {
        let Some(stop) = self.stopped.topics.get_mut(topic) else { return Ok(false) };
        let (after, failures) = (stop.position, stop.failures);
        let (answer, is_probed) = (stop.answer(), stop.probe.is_some());
        let tried = match answer {
            Some((probe, outcome)) => self.answered(&probe, outcome)?,
            None if is_probed => return Ok(false),
            None => {
                let limit = if failures > 0 { 1 } else { self.config.batch_max };
                let end = self.position.min(after.saturating_add(SPAN));
                let events = outbox::read_topic(self.publisher.db(), topic, after, end, limit).await?;
                match events.first().map(|event| (event.recorded_at_ms, HeldKey::of(event))) {
                    None if end < self.position => return self.pass_over(topic, end).await,
                    None => return self.free_topic(topic).await.map(|()| false),
                    Some((oldest_ms, first)) => {
                        self.stopped.topics.entry(topic.to_owned()).and_modify(|stop| stop.oldest_ms = oldest_ms);
                        if failures > 0 && !self.held.holds(&first) {
                            self.probe(topic, events);
                            return Ok(false);
                        }
                    }
                }
                self.try_events(topic, after, events).await?
            }
        };
        if !self.note_tried(topic, &tried).await? {
            return Ok(false);
        }
        if !tried.newly_held.is_empty() {
            self.load_held().await?;
        }
        let Some(stop) = self.stopped.topics.get_mut(topic) else { return Ok(false) };
        stop.position = tried.position.unwrap_or(after);
        stop.failures = if tried.refusal.is_some() { failures.saturating_add(1) } else { 0 };
        stop.retry_at = Instant::now();
        if let Some(error) = &tried.refusal {
            stop.retry_at += self.config.backoff.delay(stop.failures);
            stop.error = chain(error);
        }
        Ok(tried.position.is_some())
    }

    /// Publishes the first event of a topic that took nothing, without waiting for what becomes of it.
    fn probe(&mut self, topic: &str, events: Vec<StoredEvent>) {
        let Some(event) = events.into_iter().next() else { return };
        let (position, key, stored_at_ms) = (event.position, HeldKey::of(&event), event.recorded_at_ms);
        let (tell, outcome) = oneshot::channel();
        let (transport, probed) = (self.transport.clone(), self.stopped.probed.clone());
        let publishing = tokio::spawn(async move {
            // The relay may be gone.
            let _ = tell.send(transport.publish(vec![event.into_record()]).await);
            probed.notify_one();
        });
        let publishing = publishing.abort_handle();
        if let Some(stop) = self.stopped.topics.get_mut(topic) {
            stop.probe = Some(Probe { position, key, stored_at_ms, outcome, publishing });
        }
    }

    /// What it means for the topic that its first event was published, or was not.
    fn answered(&mut self, probe: &Probe, outcome: Result<()>) -> Result<Tried> {
        let newly_held = match outcome {
            Ok(()) => {
                self.note_published(&[probe.stored_at_ms]);
                Vec::new()
            }
            Err(error) if is_refused(&error) => vec![self.hold(probe.position, probe.key.clone(), &error)?],
            Err(refusal) => return Ok(Tried { refusal: Some(refusal), ..Tried::default() }),
        };
        Ok(Tried { position: Some(probe.position), newly_held, refusal: None })
    }

    /// Publishes events of one topic, in order, as far as the topic takes them.
    async fn try_events(&mut self, topic: &str, after: i64, mut events: Vec<StoredEvent>) -> Result<Tried> {
        let mut tried = Tried::default();
        let (last, count) = (events.last().map(|event| event.position), events.len());
        let is_held = |event: &StoredEvent| self.held.holds(&HeldKey::of(event));
        if !events.iter().any(is_held) {
            match self.publish(events).await {
                Ok(()) => return Ok(Tried { position: last, ..tried }),
                // Read anew, so that the usual batch need not be copied.
                Err(error) if is_refused(&error) => {
                    let last = last.unwrap_or(after);
                    events = outbox::read_topic(self.publisher.db(), topic, after, last, count).await?;
                }
                // Whatever it is, the other topics need not wait for it.
                Err(refusal) => return Ok(Tried { refusal: Some(refusal), ..tried }),
            }
        }
        for event in events {
            let (position, key) = (event.position, HeldKey::of(&event));
            if self.held.holds(&key) {
                tried.newly_held.push(NewlyHeld::behind(position, key));
            } else {
                match self.publish(vec![event]).await {
                    Ok(()) => {}
                    Err(error) if is_refused(&error) => tried.newly_held.push(self.hold(position, key, &error)?),
                    Err(refusal) => return Ok(Tried { refusal: Some(refusal), ..tried }),
                }
            }
            tried.position = Some(position);
        }
        Ok(tried)
    }

    /// Notes what became of events of a topic that were tried again; false if the lease is another's, whose word on the
    /// topic counts.
    async fn note_tried(&mut self, topic: &str, tried: &Tried) -> Result<bool> {
        let Some(mut tx) = self.begin_as_owner(self.position).await? else { return Ok(false) };
        let relay = self.config.name.as_str();
        for held in &tried.newly_held {
            held.insert(&mut tx, relay, self.now_ms()).await?;
        }
        let sql = "update stopped_topics set position = coalesce($3, position), attempts = attempts + $4,
                       error = coalesce($5, error) where relay = $1 and topic = $2";
        let refusal = tried.refusal.as_ref().map(|error| chain(error));
        let refused = i64::from(refusal.is_some());
        tx.execute(sql, &params![relay, topic, tried.position, refused, refusal]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes that a topic has no events up to `position`: true if it is known that more of the store is to be looked
    /// through.
    async fn pass_over(&mut self, topic: &str, position: i64) -> Result<bool> {
        let passed = Tried { position: Some(position), ..Tried::default() };
        if !self.note_tried(topic, &passed).await? {
            return Ok(false);
        }
        if let Some(stop) = self.stopped.topics.get_mut(topic) {
            stop.position = position;
        }
        Ok(true)
    }

    async fn free_topic(&mut self, topic: &str) -> Result<()> {
        let Some(mut tx) = self.begin_as_owner(self.position).await? else { return Ok(()) };
        let relay = self.config.name.as_str();
        tx.execute("delete from stopped_topics where relay = $1 and topic = $2", &params![relay, topic]).await?;
        tx.commit().await?;
        tracing::warn!(relay, topic, "topic takes events again, and none waits any more");
        self.stopped.topics.remove(topic);
        self.gauge_stopped();
        Ok(())
    }

    /// Reads which topics are stopped: after the lease was taken.
    pub(super) async fn load_stopped(&mut self) -> Result<()> {
        let limit = i64::try_from(STOPPED_TOPICS_MAX).unwrap_or(i64::MAX);
        let sql = "select topic, position, error, stopped_at from stopped_topics where relay = $1
                   order by topic limit $2";
        let rows = self.publisher.db().query(sql, &params![self.config.name.as_str(), limit]).await?;
        let stop = |row: &Row| -> Result<(String, Stop)> {
            let stop = Stop {
                position: row.get("position")?,
                // Tried at once, with one event.
                failures: 1,
                retry_at: Instant::now(),
                error: row.get("error")?,
                oldest_ms: row.get("stopped_at")?,
                probe: None,
            };
            Ok((row.get("topic")?, stop))
        };
        // What is known of one that is known already is newer.
        let mut before = std::mem::take(&mut self.stopped.topics);
        for row in &rows {
            let (topic, read) = stop(row)?;
            let known = before.remove(&topic).filter(|known| known.position == read.position);
            self.stopped.topics.insert(topic, known.unwrap_or(read));
        }
        self.gauge_stopped();
        Ok(())
    }

    fn gauge_stopped(&self) {
        let topics = u32::try_from(self.stopped.topics.len()).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::STOPPED_TOPICS, "relay" => self.config.name.clone()).set(topics);
    }
}
