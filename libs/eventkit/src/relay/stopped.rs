//! A topic that takes nothing (the service may not write there, or the topic is not there) holds up its own events and
//! no others.
//!
//! It is noted in the database up to where its events are published. Those after that stay where they are, in the event
//! store, while the relay's cursor moves past them, and are read from there once the topic takes events again. So a
//! topic that is stopped for long costs one row.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use db::{Row, params};

use super::held::{HeldKey, NewlyHeld, is_refused};
use super::{Relay, outbox};
use crate::error::{Error, Result, chain};
use crate::metrics;
use crate::outbox::StoredEvent;

/// Topics that may be stopped at a time; when more are refused the whole relay waits.
const STOPPED_TOPICS_MAX: usize = 1_000;

/// The topics that take nothing, by name.
#[derive(Debug, Default)]
pub(super) struct Stopped(BTreeMap<String, Stop>);

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
}

impl Stopped {
    pub(super) fn stops(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(topic, stop)| (topic.clone(), stop.error.clone())).collect()
    }

    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.0.values().map(|stop| stop.oldest_ms).min()
    }

    /// How long until a topic is to be tried again.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.0.values().map(|stop| stop.retry_at.saturating_duration_since(Instant::now())).min()
    }

    fn due(&self) -> Vec<String> {
        let now = Instant::now();
        self.0.iter().filter(|(_, stop)| stop.retry_at <= now).map(|(topic, _)| topic.clone()).collect()
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
    pub(super) async fn stop_topic(&mut self, topic: &str, position: i64, error: Error) -> Result<()> {
        if self.stopped.0.len() >= STOPPED_TOPICS_MAX {
            return Err(error);
        }
        let (relay, text, now_ms) = (self.config.name.clone(), chain(&error), self.now_ms());
        let sql = "insert into stopped_topics (relay, topic, position, attempts, error, stopped_at)
                   values ($1, $2, $3, 1, $4, $5) on conflict (relay, topic) do nothing";
        let values = params![relay.as_str(), topic, position, text.as_str(), now_ms];
        self.publisher.db().unit(async |tx| tx.execute(sql, &values).await.map_err(Error::from)).await?;
        tracing::error!(
            relay,
            topic,
            error = text,
            "topic takes no events: they wait, and those of other topics go on"
        );
        let retry_at = Instant::now() + self.config.backoff.delay(1);
        let stop = Stop { position, failures: 1, retry_at, error: text, oldest_ms: now_ms };
        self.stopped.0.insert(topic.to_owned(), stop);
        self.gauge_stopped();
        Ok(())
    }

    /// Tries topics again for which it is time, each with one event, and with a batch once that was taken. Answers whether
    /// anything was published.
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
        let Some(stop) = self.stopped.0.get(topic) else { return Ok(false) };
        let (after, failures) = (stop.position, stop.failures);
        let limit = if failures > 0 { 1 } else { self.config.batch_max };
        let events = outbox::read_topic(self.publisher.db(), topic, after, self.position, limit).await?;
        let Some(oldest_ms) = events.first().map(|event| event.recorded_at_ms) else {
            self.free_topic(topic).await?;
            return Ok(false);
        };
        let tried = self.try_events(events).await?;
        if !self.note_tried(topic, &tried).await? {
            return Ok(false);
        }
        if !tried.newly_held.is_empty() {
            self.load_held().await?;
        }
        let retry_at = match tried.refusal {
            None => Instant::now(),
            Some(_) => Instant::now() + self.config.backoff.delay(failures.saturating_add(1)),
        };
        let Some(stop) = self.stopped.0.get_mut(topic) else { return Ok(false) };
        stop.position = tried.position.unwrap_or(after);
        stop.failures = if tried.refusal.is_some() { failures.saturating_add(1) } else { 0 };
        stop.error = tried.refusal.as_ref().map_or_else(|| stop.error.clone(), |error| chain(error));
        (stop.oldest_ms, stop.retry_at) = (oldest_ms, retry_at);
        Ok(tried.position.is_some())
    }

    /// Publishes events of one topic, in order, as far as the topic takes them.
    async fn try_events(&mut self, events: Vec<StoredEvent>) -> Result<Tried> {
        let mut tried = Tried::default();
        let last = events.last().map(|event| event.position);
        let is_held = |event: &StoredEvent| self.held.holds(&HeldKey::of(event));
        if !events.iter().any(is_held) {
            match self.publish(events.clone()).await {
                Ok(()) => return Ok(Tried { position: last, ..tried }),
                Err(error) if is_refused(&error) => {}
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

    async fn free_topic(&mut self, topic: &str) -> Result<()> {
        let Some(mut tx) = self.begin_as_owner(self.position).await? else { return Ok(()) };
        let relay = self.config.name.as_str();
        tx.execute("delete from stopped_topics where relay = $1 and topic = $2", &params![relay, topic]).await?;
        tx.commit().await?;
        tracing::warn!(relay, topic, "topic takes events again, and none waits any more");
        self.stopped.0.remove(topic);
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
            };
            Ok((row.get("topic")?, stop))
        };
        // What is known of one that is known already is newer.
        let mut before = std::mem::take(&mut self.stopped.0);
        for row in &rows {
            let (topic, read) = stop(row)?;
            let known = before.remove(&topic).filter(|known| known.position == read.position);
            self.stopped.0.insert(topic, known.unwrap_or(read));
        }
        self.gauge_stopped();
        Ok(())
    }

    fn gauge_stopped(&self) {
        let topics = u32::try_from(self.stopped.0.len()).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::STOPPED_TOPICS, "relay" => self.config.name.clone()).set(topics);
    }
}
