//! Events that the broker refuses for good (too large, say) hold up their own key and nothing else.
//!
//! They are noted in the database together with the cursor that moves past them, and so is every later event of their
//! keys. From time to time the first of each key is tried again; once it is published the others follow in order, and
//! the key is free when none is left. Only the keys are kept in memory, and not more than [`HELD_KEYS_MAX`].

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use db::{Db, Row, Tx, params};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::Relay;
use crate::error::{Error, Result, chain};
use crate::metrics;
use crate::outbox::{StoredEvent, event_columns, read_after, read_topic};

/// Keys that may be held at a time; when more are refused the whole relay waits.
pub const HELD_KEYS_MAX: usize = 1_000;
/// How many held events are tried again at a time.
const RETRIES_MAX: usize = 100;
/// How many events [`list`] answers at the most.
pub const LIST_MAX: i64 = 1_000;

/// An event that a relay could not publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldEvent {
    /// Its position in the event store.
    pub position: i64,
    /// The topic that it is for.
    pub topic: String,
    /// Its key.
    pub key: String,
    /// How often it was tried; 0 for one that waits behind another.
    pub attempts: i64,
    /// Why it was refused, if it was.
    pub error: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The events that `relay` holds, and those whose topic takes nothing, in order of position, up to [`LIST_MAX`].
///
/// # Errors
/// Those of the database.
pub async fn list(db: &Db, relay: &str) -> Result<Vec<HeldEvent>> {
    let sql = "select position, topic, entity_key, attempts, error, held_at from held_events where relay = $1
               union all
               select e.position, e.topic, e.entity_key, s.attempts, s.error, s.stopped_at as held_at
               from stopped_topics s join event_store e on e.topic = s.topic and e.position > s.position
               join relay_cursors c on c.relay = s.relay and e.position <= c.position
               where s.relay = $1 and not exists
                   (select 1 from held_events h where h.relay = $1 and h.position = e.position)
               order by position limit $2";
    let rows = db.query(sql, &params![relay, LIST_MAX]).await?;
    rows.iter().map(HeldEvent::from_row).collect()
}

/// Gives up a held event: it is never published, and the later ones of its key follow when the relay next tries. False
/// when it is not held; one whose whole topic takes nothing is not.
///
/// # Errors
/// Those of the database.
pub async fn skip(db: &Db, relay: &str, position: i64) -> Result<bool> {
    db.unit(async |tx| {
        let sql = "delete from held_events where relay = $1 and position = $2";
        Ok(tx.execute(sql, &params![relay, position]).await? == 1)
    })
    .await
}

impl HeldEvent {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            position: row.get("position")?,
            topic: row.get("topic")?,
            key: row.get("entity_key")?,
            attempts: row.get("attempts")?,
            error: row.get("error")?,
            since_ms: row.get("held_at")?,
        })
    }
}

/// What keeps an order of its own: the events of one key on one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct HeldKey {
    topic: String,
    key: String,
}

impl HeldKey {
    pub(super) fn of(event: &StoredEvent) -> Self {
        Self { topic: event.topic.clone(), key: event.key.clone() }
    }
}

/// What a relay knows of the events that it holds.
#[derive(Debug)]
pub(super) struct Held {
    keys: HashSet<HeldKey>,
    oldest_ms: Option<i64>,
    retry_at: Instant,
    /// Keys that are still to be tried again, since it is time.
    due: Vec<HeldKey>,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn holds(&self, key: &HeldKey) -> bool {
        self.keys.contains(key)
    }
}

impl Default for Held {
    fn default() -> Self {
        Self { keys: HashSet::new(), oldest_ms: None, retry_at: Instant::now(), due: Vec::new() }
    }
}

/// An event that is to be noted as held.
#[derive(Debug)]
pub(super) struct NewlyHeld {
    position: i64,
    key: HeldKey,
    error: Option<String>,
}

impl NewlyHeld {
    /// One that waits behind another of its key.
    pub(super) fn behind(position: i64, key: HeldKey) -> Self {
        Self { position, key, error: None }
    }

    pub(super) async fn insert(&self, tx: &mut Tx, relay: &str, now_ms: i64) -> Result<()> {
        let HeldKey { topic, key } = &self.key;
        tx.execute(
            "insert into held_events (relay, position, topic, entity_key, attempts, error, held_at)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (relay, position) do nothing",
            &params![
                relay,
                self.position,
                topic.as_str(),
                key.as_str(),
                i64::from(self.error.is_some()),
                self.error.as_deref(),
                now_ms
            ],
        )
        .await?;
        Ok(())
    }
}

impl Relay {
    /// The age that the oldest unpublished event has at the least, because it is held.
    pub(super) fn held_age_ms(&self) -> i64 {
        self.held.oldest_ms.map_or(0, |oldest_ms| self.now_ms() - oldest_ms)
    }

    /// Publishes what may be published of the events after a position; answers what must be noted as held.
    pub(super) async fn publish_or_hold(&mut self, after: i64, events: Vec<StoredEvent>) -> Result<Vec<NewlyHeld>> {
        match self.failures {
            0 => self.publish_together(after, None, events).await,
            _ => self.publish_by_topic(after, events).await,
        }
    }

    /// Publishes the events of one topic after those of the other, since they could not be published together. Where some
    /// topics take theirs, those that take none are stopped; where none does, nothing is done.
    async fn publish_by_topic(&mut self, after: i64, events: Vec<StoredEvent>) -> Result<Vec<NewlyHeld>> {
        let last = events.last().map_or(after, |event| event.position);
        let mut by_topic: BTreeMap<String, Vec<StoredEvent>> = BTreeMap::new();
        for event in events.into_iter().filter(|event| !self.stopped.stops(&event.topic)) {
            by_topic.entry(event.topic.clone()).or_default().push(event);
        }
        let (mut newly, mut failed, mut is_any) = (Vec::new(), Vec::new(), false);
        for (topic, events) in by_topic {
            let count = events.len();
            match self.publish_together(after, Some(&topic), events).await {
                Ok(mut held) => {
                    is_any |= held.len() < count && !self.stopped.stops(&topic);
                    newly.append(&mut held);
                }
                Err(error @ Error::Transport { transient: true, .. }) => failed.push((topic, error)),
                Err(error) => return Err(error),
            }
        }
        for (topic, error) in failed {
            if !is_any {
                return Err(error);
            }
            // All may have been away when it was tried, and back when another was.
            let again = read_topic(self.publisher.db(), &topic, after, last, self.config.batch_max).await?;
            match self.publish_together(after, Some(&topic), again).await {
                Ok(mut held) => newly.append(&mut held),
                Err(error @ Error::Transport { transient: true, .. }) => self.stop_topic(&topic, after, error).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(newly)
    }

    /// Publishes events after a position, all or those of one topic.
    async fn publish_together(
        &mut self,
        after: i64,
        topic: Option<&str>,
        mut events: Vec<StoredEvent>,
    ) -> Result<Vec<NewlyHeld>> {
        let last = events.last().map_or(after, |event| event.position);
        loop {
            events.retain(|event| !self.stopped.stops(&event.topic));
            let (behind, free): (Vec<_>, Vec<_>) =
                events.into_iter().partition(|event| self.held.holds(&HeldKey::of(event)));
            let outcome = match free.is_empty() {
                true => Ok(()),
                false => self.publish(free).await,
            };
            let error = match outcome {
                Ok(()) => {
                    let wait = |event: &StoredEvent| NewlyHeld::behind(event.position, HeldKey::of(event));
                    return Ok(behind.iter().map(wait).collect());
                }
                Err(error) => error,
            };
            let refused = match &error {
                Error::TopicRefused { topic, .. } => Some(topic.clone()),
                error if is_refused(error) => None,
                _ => return Err(error),
            };
            // Read anew, so that the usual batch need not be copied.
            let (db, limit) = (self.publisher.db(), self.config.batch_max);
            events = match topic {
                None => read_after(db, after, last, limit).await?,
                Some(topic) => read_topic(db, topic, after, last, limit).await?,
            };
            match refused {
                Some(topic) => self.stop_topic(&topic, after, error).await?,
                None => return self.isolate(after, events).await,
            }
        }
    }

    /// Publishes one event after the other to find those that are refused.
    async fn isolate(&mut self, after: i64, events: Vec<StoredEvent>) -> Result<Vec<NewlyHeld>> {
        let mut newly = Vec::new();
        for event in events {
            let (position, key) = (event.position, HeldKey::of(&event));
            if self.stopped.stops(&key.topic) {
                continue;
            }
            if self.held.keys.contains(&key) {
                newly.push(NewlyHeld::behind(position, key));
                continue;
            }
            match self.publish(vec![event]).await {
                Err(error) if is_refused(&error) => newly.push(self.hold(position, key, &error)?),
                Err(error @ Error::TopicRefused { .. }) => self.stop_topic(&key.topic, after, error).await?,
                outcome => outcome?,
            }
        }
        Ok(newly)
    }

    /// Holds a key from a refused event on.
    pub(super) fn hold(&mut self, position: i64, key: HeldKey, error: &Error) -> Result<NewlyHeld> {
        let (relay, text) = (&self.config.name, chain(error));
        if self.held.keys.len() >= HELD_KEYS_MAX {
            let source = format!("{HELD_KEYS_MAX} keys are held already, and another event is refused: {text}");
            let operation = "hold one more key".to_owned();
            return Err(Error::Transport { operation, transient: false, source: source.into() });
        }
        tracing::error!(relay, position, error = text, "event is refused and holds its key");
        self.held.keys.insert(key.clone());
        self.held.retry_at = Instant::now() + self.config.held_retry_interval;
        Ok(NewlyHeld { position, key, error: Some(text) })
    }

    /// Tries the first held event of each key again when it is time, and lets the others follow: not more than
    /// [`RETRIES_MAX`] at a time, since what is new waits meanwhile.
    pub(super) async fn retry_held(&mut self) -> Result<()> {
        if self.held.due.is_empty() {
            if self.held.keys.is_empty() || Instant::now() < self.held.retry_at {
                return Ok(());
            }
            self.held.due = self.held.keys.iter().cloned().collect();
            // Whichever fails ends the pass: no key is always behind it.
            self.held.due.shuffle(&mut rand::rng());
        }
        let mut left = RETRIES_MAX;
        while left > 0
            && let Some(key) = self.held.due.pop()
        {
            if let Err(error) = self.retry_key(key, &mut left).await {
                let relay = &self.config.name;
                tracing::debug!(relay, error = chain(&error), "held events could not be tried again now");
                self.held.due.clear();
            }
        }
        if self.held.due.is_empty() {
            self.held.retry_at = Instant::now() + self.config.held_retry_interval;
        }
        self.load_held().await
    }

    /// Publishes held events of a key as far as they are taken.
    async fn retry_key(&mut self, key: HeldKey, left: &mut usize) -> Result<()> {
        while !self.stopped.stops(&key.topic) {
            let Some(event) = self.first_held(&key).await? else {
                tracing::info!(relay = self.config.name, topic = key.topic, "a held key is free again");
                self.held.keys.remove(&key);
                break;
            };
            if *left == 0 {
                self.held.due.push(key);
                break;
            }
            *left -= 1;
            let position = event.position;
            match self.publish(vec![event]).await {
                Ok(()) => self.forget_held(position).await?,
                Err(error) if is_refused(&error) => {
                    self.note_refusal(position, &error).await?;
                    break;
                }
                Err(error @ Error::TopicRefused { .. }) => {
                    self.stop_topic(&key.topic, self.position, error).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads which keys are held: after the lease was taken, and whenever that changed.
    pub(super) async fn load_held(&mut self) -> Result<()> {
        let relay = self.config.name.clone();
        let limit = i64::try_from(HELD_KEYS_MAX).unwrap_or(i64::MAX);
        let sql = "select h.topic, h.entity_key, count(*) as events, min(e.recorded_at) as oldest
                   from held_events h join event_store e on e.position = h.position
                   where h.relay = $1 group by h.topic, h.entity_key order by min(h.position) limit $2";
        let rows = self.publisher.db().query(sql, &params![relay.as_str(), limit]).await?;
        let mut events = 0_i64;
        self.held.keys.clear();
        self.held.oldest_ms = None;
        for row in &rows {
            self.held.keys.insert(HeldKey { topic: row.get("topic")?, key: row.get("entity_key")? });
            let oldest: i64 = row.get("oldest")?;
            self.held.oldest_ms = Some(self.held.oldest_ms.map_or(oldest, |known| known.min(oldest)));
            events += row.get::<i64>("events")?;
        }
        let Held { keys, due, .. } = &mut self.held;
        due.retain(|key| keys.contains(key));
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        ::metrics::gauge!(metrics::HELD_EVENTS, "relay" => relay).set(events);
        Ok(())
    }

    async fn first_held(&self, key: &HeldKey) -> Result<Option<StoredEvent>> {
        let sql = concat!(
            "select ",
            event_columns!("e."),
            " from held_events h join event_store e on e.position = h.position
             where h.relay = $1 and h.topic = $2 and h.entity_key = $3 order by h.position limit 1"
        );
        let params = params![self.config.name.as_str(), key.topic.as_str(), key.key.as_str()];
        let row = self.publisher.db().query_opt(sql, &params).await?;
        row.map(StoredEvent::from_row).transpose()
    }

    async fn forget_held(&self, position: i64) -> Result<()> {
        let relay = self.config.name.as_str();
        self.publisher
            .db()
            .unit(async |tx| {
                tx.execute("delete from held_events where relay = $1 and position = $2", &params![relay, position])
                    .await?;
                Ok(())
            })
            .await
    }

    async fn note_refusal(&self, position: i64, error: &Error) -> Result<()> {
        let (relay, text) = (self.config.name.as_str(), chain(error));
        tracing::error!(relay, position, error = text, "event is still refused");
        self.publisher
            .db()
            .unit(async |tx| {
                let sql = "update held_events set attempts = attempts + 1, error = $3
                           where relay = $1 and position = $2";
                tx.execute(sql, &params![relay, position, text]).await?;
                Ok(())
            })
            .await
    }

    /// How long until held events are to be tried again.
    pub(super) fn held_wait(&self) -> Option<Duration> {
        if !self.held.due.is_empty() {
            return Some(Duration::ZERO);
        }
        (!self.held.keys.is_empty()).then(|| self.held.retry_at.saturating_duration_since(Instant::now()))
    }
}

/// Whether the broker will never take it as it is.
pub(super) fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Transport { transient: false, .. })
}
