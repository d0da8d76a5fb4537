//! Moves events from the outbox to the transport: at least once, each key's in order.
//!
//! A relay holds a lease, so that one owner publishes at a time; an owner that comes back under the same name goes on
//! at once. It publishes a batch, waits for every acknowledgement, then moves its cursor: dying in between means
//! publishing that batch again, so duplicates may follow, but first occurrences stay in order. What is new does not wait
//! for a backlog. On PostgreSQL copies of the service wake the owner when they store something.

mod ahead;
mod behind;
mod condition;
pub mod held;
mod stopped;

use std::sync::Arc;
use std::time::{Duration, Instant};

use db::{Listener, Tx};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::{Error, Result, chain};
use crate::failpoint::failpoint;
use crate::metrics;
use crate::outbox::{self, Horizon, Lease, StoredEvent};
use crate::publish::EventPublisher;
use crate::retry::RetryPolicy;
use crate::transport::Transport;
use ahead::Ahead;
use behind::Behind;
pub use condition::RelayCondition;
use held::{Held, NewlyHeld};
use stopped::Stopped;

/// How soon to look again while an open transaction of another writer holds the horizon back.
const HELD_BACK_POLL: Duration = Duration::from_millis(5);

/// How a relay works.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// The relay's name: its cursor's key in the database.
    pub name: String,
    /// Who runs it; the same after a restart of the same instance, another for each copy.
    pub owner: String,
    /// How many events one batch holds at the most.
    pub batch_max: usize,
    /// How often it looks for events that another process stored.
    pub poll_interval: Duration,
    /// How long the lease lasts without being renewed.
    pub lease: Duration,
    /// How often an event that the broker refused for good is tried again.
    pub held_retry_interval: Duration,
    /// How long events may wait behind a transaction that does not end before that is told.
    pub held_back_max: Duration,
    /// Delays between failed attempts; its number of attempts is not used, since a relay never gives up.
    pub backoff: RetryPolicy,
}

impl RelayConfig {
    /// The usual settings for the service called `name`, run by `owner`.
    pub fn new(name: &str, owner: &str) -> Self {
        Self {
            name: name.to_owned(),
            owner: owner.to_owned(),
            batch_max: 1_000,
            poll_interval: Duration::from_secs(1),
            lease: Duration::from_secs(10),
            held_retry_interval: Duration::from_secs(30),
            held_back_max: Duration::from_secs(10),
            backoff: RetryPolicy::default(),
        }
    }
}

/// A running relay, which goes on where this is dropped.
#[derive(Debug)]
#[must_use]
pub struct RelayHandle {
    stop: watch::Sender<bool>,
    condition: watch::Receiver<RelayCondition>,
    task: JoinHandle<()>,
}

impl RelayHandle {
    /// A relay that does nothing.
    pub(crate) fn stopped() -> Self {
        let condition = watch::Sender::default().subscribe();
        Self { stop: watch::Sender::new(true), condition, task: tokio::spawn(async {}) }
    }

    /// What keeps events from being published, now and whenever that changes.
    #[must_use]
    pub fn condition(&self) -> watch::Receiver<RelayCondition> {
        self.condition.clone()
    }

    /// Stops at once, as a crash would: what was not recorded as published is published again.
    pub fn abort(self) {
        self.task.abort();
    }

    /// Publishes what is stored by now (as far as the transport lets it, within `drain_max`), then stops.
    pub async fn stop(self, drain_max: Duration) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(drain_max, self.task).await.is_err() {
            tracing::warn!("relay stopped with events unpublished; they follow after the next start");
            abort.abort();
        }
    }
}

/// Starts a relay for the publisher's outbox.
pub fn start(config: RelayConfig, publisher: EventPublisher, transport: Arc<dyn Transport>) -> RelayHandle {
    let (stop, stopping) = watch::channel(false);
    let (tell, condition) = watch::channel(RelayCondition::default());
    let relay = Relay {
        others: publisher.db().listen(&config.name),
        behind: Behind::default(),
        config,
        publisher,
        transport,
        horizon: Horizon::default(),
        leased_until: None,
        position: 0,
        failures: 0,
        held: Held::default(),
        stopped: Stopped::default(),
        ahead: Ahead::default(),
        condition: tell,
    };
    RelayHandle { stop, condition, task: tokio::spawn(relay.run(stopping)) }
}

#[derive(Debug)]
struct Relay {
    config: RelayConfig,
    publisher: EventPublisher,
    transport: Arc<dyn Transport>,
    horizon: Horizon,
    leased_until: Option<Instant>,
    /// Up to here everything is published, or noted as held or stopped.
    position: i64,
    /// How many rounds in a row have failed.
    failures: u32,
    held: Held,
    stopped: Stopped,
    ahead: Ahead,
    behind: Behind,
    condition: watch::Sender<RelayCondition>,
    /// Copies of the service that stored something while this one has the lease.
    others: Listener,
}

/// What one round came to.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    Published,
    Idle,
    /// Somebody else has the lease.
    Elsewhere,
}

impl Relay {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            let outcome = self.round().await;
            let is_elsewhere = matches!(outcome, Ok(Round::Elsewhere));
            let wait = match outcome {
                Ok(Round::Published) => {
                    if std::mem::take(&mut self.failures) > 0 {
                        tracing::warn!(relay = self.config.name, "events are published again");
                    }
                    self.tell(None);
                    continue;
                }
                Ok(Round::Idle | Round::Elsewhere) => {
                    self.failures = 0;
                    self.tell(None);
                    let look = if self.horizon.is_held_back() { HELD_BACK_POLL } else { self.config.poll_interval };
                    // What was held or stopped when the lease was lost is its owner's to try again.
                    let retries = if is_elsewhere { [None; 2] } else { [self.held_wait(), self.stopped.wait()] };
                    let waits = [Some(look)].into_iter().chain(retries);
                    waits.into_iter().flatten().min().unwrap_or_default()
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    self.report(&error).await;
                    self.config.backoff.delay(self.failures)
                }
            };
            // What an open transaction hides was stored all the same: a stop waits for it, as long as it may.
            if *stopping.borrow() && (self.failures > 0 || !self.horizon.is_held_back()) {
                return;
            }
            let is_well = self.failures == 0 && !is_elsewhere;
            tokio::select! {
                () = self.hand_on(wait), if is_elsewhere => {}
                () = self.publisher.appended().notified(), if is_well => {}
                () = self.others.heard(), if is_well => {}
                () = self.stopped.is_probed(), if !is_elsewhere => {}
                () = tokio::time::sleep(wait), if !is_elsewhere => {}
                Ok(()) = stopping.changed() => {}
            }
        }
    }

    /// Tells whoever has the lease of what is stored here, until it is time to ask for the lease again.
    async fn hand_on(&self, wait: Duration) {
        let telling = async {
            loop {
                self.publisher.appended().notified().await;
                // It would find out by itself, later.
                if let Err(error) = self.publisher.db().notify(&self.config.name).await {
                    tracing::debug!(relay = self.config.name, %error, "the relay's owner could not be woken");
                }
            }
        };
        tokio::select! {
            () = telling => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    async fn round(&mut self) -> Result<Round> {
        if self.leased_until.is_none_or(|until| Instant::now() >= until) {
            match self.lease().acquire(self.publisher.db(), self.now_ms()).await? {
                None => return Ok(self.give_way()),
                Some(published) => self.position = published,
            }
            self.renewed();
            self.load_held().await?;
            self.load_stopped().await?;
        }
        self.retry_held().await?;
        let has_caught_up = self.retry_stopped().await?;
        if self.leased_until.is_none() {
            return Ok(self.give_way());
        }
        let horizon = self.horizon.advance(self.publisher.db()).await?;
        let mut events = outbox::read_after(self.publisher.db(), self.position, horizon, self.config.batch_max).await?;
        let Some(last) = events.last().map(|event| event.position) else {
            self.report_idle(self.position).await?;
            return Ok(if has_caught_up { Round::Published } else { Round::Idle });
        };
        self.behind.is_over();
        let is_full = events.len() == self.config.batch_max;
        self.look_ahead(&events, horizon).await?;
        self.ahead.leave_out(&mut events);
        let newly_held = self.publish_or_hold(self.position, events).await?;
        failpoint!(AFTER_PUBLISH, &self.config.name);
        if !self.move_cursor(last, &newly_held).await? {
            return Ok(self.give_way());
        }
        if !newly_held.is_empty() {
            self.load_held().await?;
        }
        self.renewed();
        self.position = last;
        self.ahead.pass(last, is_full);
        // The backlog comes first: what is wrong for longer shows there.
        if let Err(error) = self.publish_ahead(last, horizon).await {
            tracing::debug!(relay = self.config.name, error = chain(&error), "new events wait behind a backlog");
        }
        Ok(Round::Published)
    }

    /// Leaves publishing to whoever has the lease: what only its owner can know is not known any more, nor shown.
    fn give_way(&mut self) -> Round {
        self.leased_until = None;
        self.horizon = Horizon::default();
        self.behind = Behind::default();
        for gauge in [metrics::OLDEST_UNPUBLISHED_SECONDS, metrics::STOPPED_TOPICS, metrics::HELD_EVENTS] {
            ::metrics::gauge!(gauge, "relay" => self.config.name.clone()).set(0);
        }
        Round::Elsewhere
    }

    /// Records that everything up to `position` is published or noted as held; false if the lease is another's.
    async fn move_cursor(&mut self, position: i64, newly_held: &[NewlyHeld]) -> Result<bool> {
        let Some(mut tx) = self.begin_as_owner(position).await? else { return Ok(false) };
        for held in newly_held {
            held.insert(&mut tx, &self.config.name, self.now_ms()).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Begins a unit that moves the cursor to `position` and can only be committed by the lease's owner: none, and the
    /// lease is known to be another's, where that is so.
    async fn begin_as_owner(&mut self, position: i64) -> Result<Option<Tx>> {
        let mut tx = self.publisher.db().begin().await?;
        if self.lease().advance(&mut tx, position, self.now_ms()).await? {
            return Ok(Some(tx));
        }
        tx.rollback().await;
        self.leased_until = None;
        Ok(None)
    }

    async fn publish(&self, events: Vec<StoredEvent>) -> Result<()> {
        let stored_at: Vec<i64> = events.iter().map(|event| event.recorded_at_ms).collect();
        self.gauge_oldest(stored_at.first().map_or(0, |oldest| self.now_ms() - oldest));
        self.transport.publish(events.into_iter().map(StoredEvent::into_record).collect()).await?;
        self.note_published(&stored_at);
        Ok(())
    }

    /// Tells of events that were published, by when they were stored.
    fn note_published(&self, stored_at: &[i64]) {
        let now_ms = self.now_ms();
        let delay = ::metrics::histogram!(metrics::PUBLISH_DELAY_SECONDS, "relay" => self.config.name.clone());
        for at_ms in stored_at {
            delay.record(seconds(now_ms - at_ms));
        }
        let published = u64::try_from(stored_at.len()).unwrap_or(u64::MAX);
        ::metrics::counter!(metrics::PUBLISHED_TOTAL, "relay" => self.config.name.clone()).increment(published);
    }

    async fn report(&self, error: &Error) {
        ::metrics::counter!(metrics::PUBLISH_FAILURES_TOTAL, "relay" => self.config.name.clone()).increment(1);
        let (relay, failures) = (&self.config.name, self.failures);
        let error_chain = chain(error);
        // Causes are for the log.
        self.tell(Some(error.to_string()));
        if error.is_transient() && failures > 1 {
            tracing::debug!(relay, failures, error = error_chain, "publishing failed again");
        } else if error.is_transient() {
            tracing::warn!(
                relay,
                failures,
                error = error_chain,
                "events wait: publishing failed and will be tried again"
            );
        } else {
            tracing::error!(relay, failures, error = error_chain, "events are stuck: publishing is refused");
        }
        if let Ok(oldest) = outbox::oldest_waiting(self.publisher.db(), relay).await {
            self.gauge_oldest(oldest.map_or(0, |stored_at_ms| self.now_ms() - stored_at_ms));
        }
    }

    fn gauge_oldest(&self, age_ms: i64) {
        let waiting_ms = self.stopped.oldest_ms().map_or(0, |oldest_ms| self.now_ms() - oldest_ms);
        let age_ms = age_ms.max(self.held_age_ms()).max(waiting_ms);
        ::metrics::gauge!(metrics::OLDEST_UNPUBLISHED_SECONDS, "relay" => self.config.name.clone())
            .set(seconds(age_ms));
    }

    fn lease(&self) -> Lease<'_> {
        let lasts_ms = i64::try_from(self.config.lease.as_millis()).unwrap_or(i64::MAX);
        Lease { relay: &self.config.name, owner: &self.config.owner, lasts_ms }
    }

    /// Renewing at half time leaves the other half for a slow database.
    fn renewed(&mut self) {
        self.leased_until = Some(Instant::now() + self.config.lease / 2);
    }

    fn now_ms(&self) -> i64 {
        self.publisher.clock().now_ms()
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of an age fit a float's 52 bits for ages")]
fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1_000.0
}
