//! Consumers: handlers of events with order per key, retries, an inbox and dead letters.

mod attempt;
mod lanes;
mod run;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::envelope::Envelope;
use crate::error::HandlerError;
use crate::event::Event;
use crate::publish::{EventPublisher, UnitOfWork};
use crate::retry::RetryPolicy;
use crate::transport::Transport;
use attempt::{EffectRunner, HandlerRunner, Run};
use lanes::Lanes;

/// What a handler answers.
pub type HandlerResult = Result<(), HandlerError>;

/// Handles events of one type inside a unit of work: what it changes and publishes there happens exactly once.
pub trait Handle<E: Event>: Send + Sync + 'static {
    /// Handles one event.
    fn handle(&self, event: &Received<E>, work: &mut UnitOfWork) -> impl Future<Output = HandlerResult> + Send;
}

/// Does something outside the database for events of one type: at least once, so it must be safe to repeat.
///
/// The event's identity is stable over repetitions: give it to the other side as its idempotency key.
pub trait Effect<E: Event>: Send + Sync + 'static {
    /// Has the effect.
    fn perform(&self, event: &Received<E>) -> impl Future<Output = HandlerResult> + Send;
}

impl<E: Event, H: Handle<E>> Handle<E> for Arc<H> {
    fn handle(&self, event: &Received<E>, work: &mut UnitOfWork) -> impl Future<Output = HandlerResult> + Send {
        H::handle(self, event, work)
    }
}

impl<E: Event, H: Effect<E>> Effect<E> for Arc<H> {
    fn perform(&self, event: &Received<E>) -> impl Future<Output = HandlerResult> + Send {
        H::perform(self, event)
    }
}

/// An event as a handler gets it.
#[derive(Debug)]
pub struct Received<E> {
    /// The event, upcast to the current version.
    pub event: E,
    /// Its envelope; the data in it is as it was sent.
    pub envelope: Envelope,
    /// Its identity: the event's id, or the place of a record that has none.
    pub identity: String,
    /// The record's key.
    pub key: Option<Bytes>,
    /// The topic that it came on.
    pub topic: String,
    /// The partition that it came from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
}

/// How a consumer works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConsumerConfig {
    pub(crate) concurrency: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) dead_letters: bool,
    pub(crate) handler_timeout: Duration,
    pub(crate) uncommitted_window_max: usize,
    pub(crate) commit_interval: Duration,
    pub(crate) drain_max: Duration,
}

/// A consumer group's handlers, before it is started.
///
/// ```no_run
/// # use eventkit::*;
/// # async fn example<E: Event, H: Handle<E>>(handler: H, publisher: EventPublisher,
/// #     transport: std::sync::Arc<dyn transport::Transport>) {
/// let consumer = Consumer::new("company-service")
///     .on::<E>(handler)
///     .concurrency(8)
///     .retry(RetryPolicy::default())
///     .dead_letters()
///     .start(publisher, transport);
/// # consumer.stop().await;
/// # }
/// ```
pub struct Consumer {
    group: Arc<str>,
    topics: BTreeSet<String>,
    instance: Option<String>,
    runners: HashMap<&'static str, Arc<dyn Run>>,
    config: ConsumerConfig,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.group)
            .field("topics", &self.topics)
            .field("event_types", &self.runners.keys())
            .field("config", &self.config)
            .finish()
    }
}

impl Consumer {
    /// A consumer in the group called `group`, without handlers yet.
    pub fn new(group: &str) -> Self {
        Self {
            group: group.into(),
            topics: BTreeSet::new(),
            instance: None,
            runners: HashMap::new(),
            config: ConsumerConfig {
                concurrency: 8,
                retry: RetryPolicy::default(),
                dead_letters: false,
                handler_timeout: Duration::from_secs(30),
                uncommitted_window_max: 4_096,
                commit_interval: Duration::from_millis(200),
                drain_max: Duration::from_secs(5),
            },
        }
    }

    /// Handles events of type `E` with `handler`; events of types without a handler are passed over.
    ///
    /// # Panics
    /// When the type has a handler in this group already: one group handles a type once.
    #[must_use]
    pub fn on<E: Event>(self, handler: impl Handle<E>) -> Self {
        self.add::<E>(Arc::new(HandlerRunner::<E, _>::new(handler)))
    }

    /// Has `effect` outside the database for events of type `E`.
    ///
    /// # Panics
    /// When the type has a handler in this group already.
    #[must_use]
    pub fn effect<E: Event>(self, effect: impl Effect<E>) -> Self {
        self.add::<E>(Arc::new(EffectRunner::<E, _>::new(effect)))
    }

    fn add<E: Event>(mut self, runner: Arc<dyn Run>) -> Self {
        let before = self.runners.insert(E::TYPE, runner);
        assert!(before.is_none(), "{} has a handler in group {} already", E::TYPE, self.group);
        self.topics.insert(E::TOPIC.to_owned());
        self
    }

    /// The name of this copy of the consumer, the same after a restart: it then goes on at once where it was.
    #[must_use]
    pub fn instance(mut self, name: &str) -> Self {
        self.instance = Some(name.to_owned());
        self
    }

    /// How many events are handled at a time; those of one key never are.
    #[must_use]
    pub fn concurrency(mut self, workers: usize) -> Self {
        self.config.concurrency = workers.max(1);
        self
    }

    /// How often and how soon a failed event is tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.config.retry = policy;
        self
    }

    /// Sends what cannot be handled to `<topic>.dlq`; without this it is tried for ever and holds its key.
    #[must_use]
    pub fn dead_letters(mut self) -> Self {
        self.config.dead_letters = true;
        self
    }

    /// How long one attempt of a handler may take.
    #[must_use]
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.config.handler_timeout = timeout;
        self
    }

    /// How many records may follow one that is not finished before its partition pauses.
    #[must_use]
    pub fn uncommitted_window_max(mut self, records: usize) -> Self {
        self.config.uncommitted_window_max = records.max(1);
        self
    }

    /// Starts consuming; effects and inbox are in `publisher`'s database.
    pub fn start(self, publisher: EventPublisher, transport: Arc<dyn Transport>) -> ConsumerHandle {
        let (stop, stopping) = watch::channel(false);
        let lanes = Arc::new(Lanes::new(self.config.uncommitted_window_max));
        let drain_max = self.config.drain_max;
        let engine = run::Engine {
            group: self.group.clone(),
            topics: self.topics.into_iter().collect(),
            instance: self.instance,
            runners: self.runners,
            config: self.config,
            publisher,
            transport,
            lanes: lanes.clone(),
        };
        let task = tokio::spawn(Arc::new(engine).run(stopping));
        ConsumerHandle { group: self.group, lanes, stop, task, drain_max }
    }
}

/// A running consumer.
#[derive(Debug)]
pub struct ConsumerHandle {
    group: Arc<str>,
    lanes: Arc<Lanes>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    drain_max: Duration,
}

impl ConsumerHandle {
    /// Finishes what is being handled, commits its offsets, leaves the group.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        // Draining is bounded inside; leaving the group takes a round trip more.
        if tokio::time::timeout(self.drain_max * 2, self.task).await.is_err() {
            tracing::warn!(group = &*self.group, "consumer stopped before it had left its group");
            abort.abort();
        }
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Partitions that are paused because a record in them cannot be finished, as `topic-partition`.
    pub fn stalled(&self) -> Vec<String> {
        self.lanes.stalled()
    }
}
