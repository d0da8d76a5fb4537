//! Consumers: handlers of events with order per key, retries, an inbox and dead letters.

mod attempt;
mod handler;
mod housekeeping;
mod lag;
mod lanes;
mod park;
mod run;
mod runner;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::event::Event;
use crate::projection::{Feeder, Feeding, Projection};
use crate::publish::EventPublisher;
use crate::retry::{FailureKind, RetryPolicy};
use crate::transport::{ConsumedRecord, Transport};
pub use handler::{Effect, Handle, HandleBatch, HandleTombstone, HandlerResult, Received, Tombstone};
use lanes::Lanes;
use runner::{BatchRunner, EffectRunner, TombstoneRunner};
pub(crate) use runner::{HandlerRunner, Run};

/// How long handled events are remembered if nothing else is said: longer than a topic of ninety days.
const INBOX_RETENTION: Duration = Duration::from_secs(120 * 24 * 60 * 60);

/// How a consumer works.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerConfig {
    pub(crate) concurrency: usize,
    pub(crate) retries: Retries,
    pub(crate) dead_letters: bool,
    pub(crate) park_keys: bool,
    pub(crate) parked_max: i64,
    pub(crate) share_units: bool,
    pub(crate) batch_max: usize,
    pub(crate) inbox_retention: Duration,
    pub(crate) handler_timeout: Duration,
    pub(crate) uncommitted_window_max: usize,
    pub(crate) uncommitted_bytes_max: usize,
    pub(crate) commit_interval: Duration,
    pub(crate) lag_interval: Duration,
    pub(crate) drain_max: Duration,
}

/// The policies of a consumer: the usual one, and those of single kinds of failure.
#[derive(Debug, Clone)]
pub(crate) struct Retries {
    pub(crate) usual: RetryPolicy,
    of_kind: Vec<(FailureKind, RetryPolicy)>,
}

impl Retries {
    pub(crate) fn of(&self, kind: FailureKind) -> &RetryPolicy {
        self.of_kind.iter().rev().find(|(of, _)| *of == kind).map_or(&self.usual, |(_, policy)| policy)
    }
}

/// A consumer group's handlers, before it is started.
///
/// ```
/// # use std::sync::Arc;
/// # use eventkit::db::{self, Db};
/// # use eventkit::transport::memory::MemoryTransport;
/// # use eventkit::transport::{Record, Transport};
/// # use eventkit::{Clock, Consumer, Event, EventPublisher, Handle, HandlerError, HandlerResult, Received};
/// # use eventkit::{RetryPolicy, UnitOfWork};
/// # #[derive(Debug, serde::Serialize, serde::Deserialize, Event)]
/// # #[event(type = "user.created", topic = "user-events", key = "user-{id}")]
/// # struct UserCreated { id: i64 }
/// struct Welcome;
///
/// impl Handle<UserCreated> for Welcome {
///     async fn handle(&self, received: &Received<UserCreated>, work: &mut UnitOfWork) -> HandlerResult {
///         if received.event.id < 0 {
///             return Err(HandlerError::permanent("nobody has such a number"));
///         }
///         work.execute("insert into welcomed (id) values ($1)", &[received.event.id.into()]).await?;
///         Ok(())
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let db = Db::open(&db::Config::new(format!("sqlite:{}", folder.path().join("test.db").display()))).await?;
/// # eventkit::outbox::migrate(&db).await?;
/// # db.unit(async |tx| tx.execute("create table welcomed (id bigint primary key)", &[]).await.map(drop)).await?;
/// # let publisher = EventPublisher::new(db.clone(), "company-service", Clock::system());
/// # let transport = Arc::new(MemoryTransport::new());
/// # let record = |id: i64| Record {
/// #     topic: "user-events".to_owned(),
/// #     key: Some(format!("user-{id}").into()),
/// #     value: Some(format!(r#"{{"eventType":"user.created","data":{{"id":{id}}}}}"#).into()),
/// #     headers: Vec::new(),
/// #     timestamp_ms: None,
/// # };
/// # transport.publish(vec![record(42), record(-1)]).await?;
/// let consumer = Consumer::new("company-service")
///     .on::<UserCreated>(Welcome)
///     .concurrency(8)
///     .retry(RetryPolicy::default())
///     .dead_letters()
///     .start(publisher, transport.clone());
///
/// eventkit::testing::eventually("one is welcomed, the other a dead letter", async || {
///     let welcomed = db.query("select id from welcomed", &[]).await.ok()?.len();
///     let letters = transport.records("user-events.dlq").len();
///     (welcomed == 1 && letters == 1).then_some(())
/// })
/// .await;
/// consumer.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct Consumer {
    group: Arc<str>,
    topics: BTreeSet<String>,
    instance: Option<String>,
    runners: HashMap<&'static str, Arc<dyn Run>>,
    tombstone_runners: HashMap<String, Arc<dyn Run>>,
    projections: Vec<Projection>,
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
            tombstone_runners: HashMap::new(),
            projections: Vec::new(),
            config: ConsumerConfig {
                concurrency: 8,
                retries: Retries { usual: RetryPolicy::default(), of_kind: Vec::new() },
                dead_letters: false,
                park_keys: false,
                parked_max: 10_000,
                share_units: false,
                batch_max: 100,
                inbox_retention: INBOX_RETENTION,
                handler_timeout: Duration::from_secs(30),
                uncommitted_window_max: 4_096,
                uncommitted_bytes_max: 16 * 1024 * 1024,
                commit_interval: Duration::from_millis(200),
                lag_interval: Duration::from_secs(5),
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

    /// Handles events of type `E` many at a time, up to [`Consumer::batch_max`], in one unit of work.
    ///
    /// Batches are of events that carry their type in the header `ce_type`; others come one by one.
    ///
    /// # Panics
    /// When the type has a handler in this group already.
    #[must_use]
    pub fn on_batch<E: Event>(self, handler: impl HandleBatch<E>) -> Self {
        self.add::<E>(Arc::new(BatchRunner::<E, _>::new(handler)))
    }

    /// Handles records of `topic` that have no value; without this they are passed over.
    ///
    /// # Panics
    /// When the topic has a handler of tombstones in this group already.
    #[must_use]
    pub fn on_tombstone(mut self, topic: &str, handler: impl HandleTombstone) -> Self {
        let before = self.tombstone_runners.insert(topic.to_owned(), Arc::new(TombstoneRunner(handler)));
        assert!(before.is_none(), "{topic} has a handler of tombstones in group {} already", self.group);
        self.topics.insert(topic.to_owned());
        self
    }

    /// Feeds a projection: handles the events that it is made from, and does nothing else with them.
    ///
    /// # Panics
    /// When one of their types has a handler in this group already.
    #[must_use]
    pub fn project(mut self, projection: &Projection) -> Self {
        for Feeding { event_type, topic, runner } in projection.handlers() {
            self = self.handle(event_type, topic, runner.clone());
        }
        self.feeds(projection)
    }

    /// Tells that handlers of this consumer feed a projection, by [`crate::projection::apply`].
    #[must_use]
    pub fn feeds(mut self, projection: &Projection) -> Self {
        self.projections.push(projection.clone());
        self
    }

    fn add<E: Event>(self, runner: Arc<dyn Run>) -> Self {
        self.handle(E::TYPE, E::TOPIC, runner)
    }

    fn handle(mut self, event_type: &'static str, topic: &str, runner: Arc<dyn Run>) -> Self {
        let before = self.runners.insert(event_type, runner);
        assert!(before.is_none(), "{event_type} has a handler in group {} already", self.group);
        self.topics.insert(topic.to_owned());
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
        self.config.retries.usual = policy;
        self
    }

    /// How often and how soon an event is tried again that failed in one way, such as by a timeout.
    ///
    /// What is permanent or cannot be decoded is never tried again; a database or transport that is away is waited for
    /// without counting.
    #[must_use]
    pub fn retry_on(mut self, kind: FailureKind, policy: RetryPolicy) -> Self {
        self.config.retries.of_kind.push((kind, policy));
        self
    }

    /// Sends what cannot be handled to `<topic>.dlq`; without this it is tried for ever and holds its key.
    #[must_use]
    pub fn dead_letters(mut self) -> Self {
        self.config.dead_letters = true;
        self
    }

    /// After a dead letter, parks its key's later events in the database until the letter was redriven and succeeded;
    /// then they are handled in order. Switches dead letters on.
    ///
    /// Without it they go on at once, and the redriven event comes late. See [`crate::parking`].
    #[must_use]
    pub fn park_keys(mut self) -> Self {
        self.config.dead_letters = true;
        self.config.park_keys = true;
        self
    }

    /// How many events of one key are parked before its next ones wait on their topic.
    #[must_use]
    pub fn parked_max(mut self, events: u32) -> Self {
        self.config.parked_max = i64::from(events.max(1));
        self
    }

    /// Lets plain handlers share a unit of work, up to [`Consumer::batch_max`] events: many times faster, since one
    /// commit serves all. When one fails, nothing of the unit is kept and each is handled alone.
    ///
    /// Only for handlers that do nothing but database work: whatever they wait for, they wait inside the unit.
    /// Keys that may be parked do not share.
    #[must_use]
    pub fn share_units(mut self) -> Self {
        self.config.share_units = true;
        self
    }

    /// How many events are handled in one unit of work at the most, where they share one.
    #[must_use]
    pub fn batch_max(mut self, events: usize) -> Self {
        self.config.batch_max = events.max(1);
        self
    }

    /// How long it is remembered that an event was handled.
    ///
    /// Longer than the longest of the topics' retention, the dead letters' retention and the time from which events are
    /// replayed: what comes again after that has its effect again.
    #[must_use]
    pub fn inbox_retention(mut self, retention: Duration) -> Self {
        self.config.inbox_retention = retention;
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

    /// How large the records of a partition that are not finished may be together before it pauses: it bounds the memory
    /// that a consumer takes where records are large.
    #[must_use]
    pub fn uncommitted_bytes_max(mut self, bytes: usize) -> Self {
        self.config.uncommitted_bytes_max = bytes.max(1);
        self
    }

    /// How often the broker is asked how far the group is behind, for the metrics.
    #[must_use]
    pub fn lag_interval(mut self, interval: Duration) -> Self {
        self.config.lag_interval = interval.max(Duration::from_millis(1));
        self
    }

    pub(crate) fn commit_interval(mut self, interval: Duration) -> Self {
        self.config.commit_interval = interval;
        self
    }

    /// Starts consuming; effects and inbox are in `publisher`'s database.
    pub fn start(self, publisher: EventPublisher, transport: Arc<dyn Transport>) -> ConsumerHandle {
        let (stop, stopping) = watch::channel(false);
        let lanes = Arc::new(Lanes::new(self.config.uncommitted_window_max, self.config.uncommitted_bytes_max));
        let drain_max = self.config.drain_max;
        let inbox_retention_ms = i64::try_from(self.config.inbox_retention.as_millis()).unwrap_or(i64::MAX);
        let topics: Vec<String> = self.topics.into_iter().collect();
        let engine = run::Engine {
            group: self.group.clone(),
            topics: topics.clone(),
            instance: self.instance,
            runners: self.runners,
            tombstone_runners: self.tombstone_runners,
            config: self.config,
            publisher,
            transport,
            lanes: lanes.clone(),
            is_commit_failing: AtomicBool::new(false),
        };
        let task = tokio::spawn(Arc::new(engine).run(stopping));
        let feeder = Feeder { group: self.group.to_string(), inbox_retention_ms };
        ConsumerHandle { feeder, topics, projections: self.projections, lanes, stop, task, drain_max }
    }
}

/// A running consumer, which goes on where this is dropped.
#[derive(Debug)]
#[must_use]
pub struct ConsumerHandle {
    feeder: Feeder,
    topics: Vec<String>,
    projections: Vec<Projection>,
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
            tracing::warn!(group = self.feeder.group, "consumer stopped before all of its handlers had ended");
            abort.abort();
        }
    }

    /// Stops at once, as a crash would: what was not committed is delivered again.
    pub fn abort(self) {
        self.task.abort();
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.feeder.group
    }

    /// What tells of its stalled partitions, also to whoever does not hold it.
    pub fn stalls(&self) -> Stalls {
        Stalls { group: self.group().to_owned(), lanes: Arc::downgrade(&self.lanes) }
    }

    /// The topics that it reads.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// The projections that it feeds.
    pub fn projections(&self) -> &[Projection] {
        &self.projections
    }

    /// What a rebuild of those must know of it.
    pub fn feeder(&self) -> &Feeder {
        &self.feeder
    }

    /// Partitions that are paused because too many records follow one that is not finished, as `topic-partition`.
    pub fn stalled(&self) -> Vec<String> {
        self.lanes.stalled()
    }
}

/// Tells of the stalled partitions of a consumer for as long as it runs.
#[derive(Debug, Clone)]
pub struct Stalls {
    group: String,
    lanes: Weak<Lanes>,
}

impl Stalls {
    /// The consumer group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Whether the consumer runs.
    pub fn is_running(&self) -> bool {
        self.lanes.strong_count() > 0
    }

    /// [`ConsumerHandle::stalled`]; nothing once it has stopped.
    pub fn stalled(&self) -> Vec<String> {
        self.lanes.upgrade().map(|lanes| lanes.stalled()).unwrap_or_default()
    }
}

/// The event in a record, as a handler of `group` gets it.
pub(crate) fn received<E: Event>(group: &Arc<str>, record: &ConsumedRecord) -> Result<Received<E>> {
    attempt::Delivery::read(group, record)?.received()
}
