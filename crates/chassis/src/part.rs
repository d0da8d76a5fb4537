//! How a part of the backbone is put together: its port, its database, its outbox and relay, its consumers, its stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use contracts::audit::{AuditSystem, Occurrence, digest};
use contracts::traffic;
use db::{Db, Migration};
use eventkit::projection::Projection;
use eventkit::relay::{self, RelayConfig, RelayHandle};
use eventkit::transport::Transport;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::{Clock, Consumer, ConsumerHandle, EventPublisher, EventPublisherLayer, Origin, RetryPolicy, Stalls};
use futures::future::{BoxFuture, join_all};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, OperatorToken, configured_operator_token};
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::database::{DatabaseCheck, Databases};
use crate::error::{BoxError, Error};
use crate::error_code::ErrorCode;
use crate::http::{Health, HealthChecks, HttpConfig, HttpServer};
use crate::idempotency::{self, Idempotency};
use crate::lifecycle::Running;
use crate::net::Binder;
use crate::operator_api::{self, Door, Fed};
use crate::problem::Problem;
use crate::security_log::SecurityLog;
use crate::session_client::SessionClient;
use crate::telemetry::Telemetry;
use crate::topic_watch::TopicWatch;

/// Why a part did not start; the parts of a process fail in many ways, and all are told the same way.
pub type StartError = BoxError;

/// How long a stopping relay may take to publish what is stored.
const RELAY_DRAIN_MAX: Duration = Duration::from_secs(5);

/// How long a stopping part may take to store what it has recorded of refused access.
const SECURITY_LOG_DRAIN_MAX: Duration = Duration::from_secs(2);
/// The file in which a part remembers the digest of the configuration that it had.
const CONFIGURATION_FILE: &str = "configuration.digest";

/// What every part of one process shares.
#[derive(Clone)]
pub struct Process {
    settings: Arc<Settings>,
    data_dir: DataDir,
    telemetry: Telemetry,
    binder: Arc<Binder>,
    databases: Arc<Databases>,
    operator: Arc<dyn Authenticator>,
    sessions: Arc<dyn Authenticator>,
    clock: Clock,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("data_dir", &self.data_dir.path()).finish_non_exhaustive()
    }
}

impl Process {
    /// A process over its settings and its data directory; makes the operator's token if there is none yet and none is
    /// configured.
    ///
    /// # Errors
    /// The token cannot be read or made, or the settings for ports are wrong.
    pub fn new(settings: Settings, data_dir: DataDir, telemetry: Telemetry) -> Result<Self, StartError> {
        let binder = Arc::new(Binder::from_settings(&settings)?);
        let databases = Arc::new(Databases::new(&settings, &data_dir)?);
        let token = match configured_operator_token(&settings)? {
            Some(token) => token,
            None => data_dir.operator_token()?,
        };
        let operator = Arc::new(OperatorToken::new(token));
        let sessions = Arc::new(SessionClient::new(&user_service_url(&settings)?));
        let settings = Arc::new(settings);
        Ok(Self { settings, data_dir, telemetry, binder, databases, operator, sessions, clock: Clock::system() })
    }

    /// The same process, whose sessions are asked for at a user-service that listens on `address`.
    #[must_use]
    pub fn with_user_service(mut self, address: SocketAddr) -> Self {
        self.sessions = Arc::new(SessionClient::new(&format!("http://{address}")));
        self
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Who tells who is asking: the operator's token, and the user-service's sessions.
    #[must_use]
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        self.authenticator_with(self.sessions.clone())
    }

    /// Who tells who is asking, where sessions are known at first hand.
    #[must_use]
    pub fn authenticator_with(&self, sessions: Arc<dyn Authenticator>) -> Arc<dyn Authenticator> {
        Arc::new(vec![self.operator.clone(), sessions])
    }

    /// Binds a port for a part; the error names the part and the key that chooses another.
    ///
    /// # Errors
    /// The address is wrong, not allowed by the profile, or taken.
    pub async fn bind(&self, part: &str, key: &str, address: &str) -> Result<TcpListener, Error> {
        self.binder.bind(part, key, address).await
    }

    /// A part of this process.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part<'_> {
        Part { process: self, name }
    }
}

/// One part while it is being started.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    process: &'a Process,
    name: &'static str,
}

impl Part<'_> {
    /// Binds the part's port.
    ///
    /// # Errors
    /// Those of [`Process::bind`].
    pub async fn bind(&self, key: &str, address: &str) -> Result<TcpListener, Error> {
        self.process.bind(self.name, key, address).await
    }

    /// Opens the part's database with eventkit's tables and its own, connects to Kafka, starts the relay.
    ///
    /// # Errors
    /// The configuration is wrong, or the database cannot be opened or migrated.
    pub async fn backbone(&self, migrations: &[Migration]) -> Result<Backbone, StartError> {
        let Process { settings, data_dir, databases, clock, .. } = self.process;
        let eventkit: EventkitConfig = settings.section("eventkit")?;
        let mut kafka: KafkaConfig = settings.section("kafka")?;
        if kafka.client_id.is_empty() {
            kafka.client_id = self.name.to_owned();
        }
        let db = databases.open(self.name).await?;
        migrate(&db, self.name, migrations).await?;
        let groups = Groups { part: self.name, id: kafka.group_id.clone() };
        let transport = Arc::new(KafkaTransport::new(kafka.clone())?);
        let publisher = EventPublisher::new(db.clone(), self.name, clock.clone());
        let instance = instance_id(&data_dir.part(self.name)?)?;
        let relay = relay::start(eventkit.relay(self.name, &instance), publisher.clone(), transport.clone());
        let checks = HealthChecks::default();
        checks.add("database", DatabaseCheck(db.clone()));
        watch_kafka(&checks, &transport);
        watch_relay(&checks, &relay);
        let relay = OwnRelay(Some(relay));
        let consumers = Consumers {
            publisher: publisher.clone(),
            transport: transport.clone(),
            eventkit,
            instance: instance.into(),
            groups: Arc::new(groups),
            started: Arc::default(),
        };
        watch_consumers(&checks, &consumers);
        let topics = TopicWatch::start(self.name, kafka, &transport, &checks);
        Ok(Backbone { topics, db, publisher, transport, relay, consumers, checks, closing: Vec::new() })
    }

    /// Serves the part's router (one unit of work a request, `Idempotency-Key` on POST, refused access recorded), and
    /// stops everything of the part in the order that loses nothing: requests, consumers, relay, database.
    ///
    /// # Errors
    /// The configuration of the server is wrong, or the start could not be recorded.
    pub async fn serve(
        &self,
        listener: TcpListener,
        router: Router,
        authenticator: Arc<dyn Authenticator>,
        mut backbone: Backbone,
        consumers: Vec<ConsumerHandle>,
    ) -> Result<(SocketAddr, Running), StartError> {
        let config: HttpConfig = self.process.settings.section("http")?;
        let address = listener.local_addr()?;
        let history = History::of(self, &backbone)?;
        history.record_start().await?;
        let door = Door {
            part: self.name,
            publisher: backbone.publisher.clone(),
            transport: backbone.transport.clone(),
            consumers: backbone.consumers.clone(),
            projections: consumers.iter().flat_map(fed).collect(),
        };
        let router = router.merge(operator_api::router(door));
        reads_what_is_told(self.name, &consumers)?;
        let closing = std::mem::take(&mut backbone.closing);
        let checks = backbone.checks.clone();
        let (log, logging) = SecurityLog::start(self.name, backbone.publisher.clone());
        let router = with_layers(router, config.body_bytes_max, &backbone.publisher, log, authenticator);
        let keep_keys = Duration::from_millis(config.idempotency_keep_ms);
        let expiry = idempotency::expire(backbone.publisher.clone(), keep_keys);
        let server = HttpServer::new(self.name, &config, router).health(&checks).metrics(&self.process.telemetry);
        let running = Running::spawn(|stop: CancellationToken| async move {
            server.serve(listener, stop).await;
            expiry.abort();
            drop(checks);
            finish_log(logging).await;
            let consumers = join_all(consumers.into_iter().map(ConsumerHandle::stop));
            tokio::join!(consumers, join_all(closing));
            history.record_stop().await;
            backbone.stop().await;
            Ok::<(), Error>(())
        });
        Ok((address, running))
    }
}

/// What a part may do on a cluster follows from a table: a consumer that it does not tell of would be refused there.
fn reads_what_is_told(part: &str, consumers: &[ConsumerHandle]) -> Result<(), StartError> {
    let Some(told) = traffic::of(part) else { return Ok(()) };
    let read: BTreeSet<&str> = consumers.iter().flat_map(ConsumerHandle::topics).map(String::as_str).collect();
    let told: BTreeSet<&str> = told.consumes.iter().copied().collect();
    match read.is_subset(&told) {
        true => Ok(()),
        false => Err(format!("{part} reads {read:?}, and contracts::traffic tells of {told:?} only").into()),
    }
}

/// The projections that a consumer feeds.
fn fed(consumer: &ConsumerHandle) -> impl Iterator<Item = Fed> {
    let feed = |projection: &Projection| Fed { projection: projection.clone(), feeder: consumer.feeder().clone() };
    consumer.projections().iter().map(feed)
}

/// Makes the tables that a part needs: eventkit's, the chassis's and its own.
///
/// # Errors
/// Those of [`Db::migrate`].
pub async fn migrate(db: &Db, part: &str, migrations: &[Migration]) -> eventkit::Result<()> {
    eventkit::outbox::migrate(db).await?;
    db.migrate("chassis", idempotency::MIGRATIONS).await?;
    Ok(db.migrate(&part.replace('-', "_"), migrations).await?)
}

/// What [`Part::serve`] puts around a part's router; for tests of a part without a port. The database under
/// `publisher` needs [`migrate`].
pub fn with_layers(
    router: Router,
    body_bytes_max: usize,
    publisher: &EventPublisher,
    log: SecurityLog,
    authenticator: Arc<dyn Authenticator>,
) -> Router {
    let idempotency = Idempotency { db: publisher.db().clone(), body_bytes_max };
    router
        .layer(from_fn_with_state(idempotency, idempotency::handle))
        .layer(EventPublisherLayer::new(publisher.clone(), commit_failed))
        .layer(Extension(log))
        .layer(Extension(authenticator))
}

async fn finish_log(logging: JoinHandle<()>) {
    let abort = logging.abort_handle();
    if tokio::time::timeout(SECURITY_LOG_DRAIN_MAX, logging).await.is_err() {
        tracing::warn!("some refused accesses were not recorded before the stop");
        abort.abort();
    }
}

/// Where other parts ask for sessions.
fn user_service_url(settings: &Settings) -> Result<String, StartError> {
    let url: String = settings.get("auth.user_service_url")?;
    if !url.is_empty() {
        return Ok(url);
    }
    let listen: String = settings.get("user_service.listen")?;
    Ok(format!("http://{listen}"))
}

/// Records a part's starts, stops and changes of configuration as `audit.system` events.
#[derive(Debug)]
struct History {
    publisher: EventPublisher,
    entity: String,
    instance: String,
    configuration: String,
    remembered_in: PathBuf,
}

impl History {
    fn of(part: &Part<'_>, backbone: &Backbone) -> Result<Self, StartError> {
        Ok(Self {
            publisher: backbone.publisher.clone(),
            entity: format!("part-{}", part.name),
            instance: backbone.instance().to_owned(),
            configuration: digest(&part.process.settings.print()),
            remembered_in: part.process.data_dir.part(part.name)?.join(CONFIGURATION_FILE),
        })
    }

    async fn record_start(&self) -> Result<(), StartError> {
        let before = std::fs::read_to_string(&self.remembered_in).ok();
        self.record(Occurrence::Started).await?;
        if before.as_deref().is_some_and(|before| before != self.configuration) {
            self.record(Occurrence::Reconfigured).await?;
        }
        // Lost in a crash, the change is recorded once more at the next start.
        Ok(std::fs::write(&self.remembered_in, &self.configuration)?)
    }

    async fn record_stop(&self) {
        if let Err(error) = self.record(Occurrence::Stopping).await {
            tracing::warn!(error = eventkit::chain(&error), "the stop could not be recorded");
        }
    }

    async fn record(&self, occurrence: Occurrence) -> eventkit::Result<()> {
        let mut work = self.publisher.begin(Origin::default());
        work.publish(&AuditSystem {
            occurrence,
            entity: self.entity.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.clone(),
            configuration: Some(self.configuration.clone()),
        })
        .await?;
        work.commit().await
    }
}

/// What connects a part to the others: database, outbox, relay, transport.
pub struct Backbone {
    db: Db,
    publisher: EventPublisher,
    transport: Arc<KafkaTransport>,
    relay: OwnRelay,
    consumers: Consumers,
    checks: HealthChecks,
    topics: Option<TopicWatch>,
    closing: Vec<BoxFuture<'static, ()>>,
}

/// A relay that ends with the part: one that did not get to its end must not go on publishing.
struct OwnRelay(Option<RelayHandle>);

impl OwnRelay {
    async fn stop(mut self) {
        if let Some(relay) = self.0.take() {
            relay.stop(RELAY_DRAIN_MAX).await;
        }
    }
}

impl Drop for OwnRelay {
    fn drop(&mut self) {
        if let Some(relay) = self.0.take() {
            relay.abort();
        }
    }
}

/// Makes and starts consumers of a part, also while it runs; clones are the same.
#[derive(Debug, Clone)]
pub struct Consumers {
    publisher: EventPublisher,
    transport: Arc<KafkaTransport>,
    eventkit: EventkitConfig,
    instance: Arc<str>,
    groups: Arc<Groups>,
    started: Arc<Mutex<Vec<Stalls>>>,
}

impl Consumers {
    /// A consumer with the configured limits; dead letters are on. The name of its group begins with the part's, which
    /// `kafka.group_id` replaces.
    ///
    /// Whose handlers do nothing but database work adds [`Consumer::share_units`]; how many events then share a unit is
    /// configured. Who looks something up outside its unit, or calls anybody, must not.
    #[must_use]
    pub fn consumer(&self, group: &str) -> Consumer {
        let config = &self.eventkit;
        let consumer = Consumer::new(&self.groups.name(group))
            .instance(&self.instance)
            .concurrency(config.consumer_workers)
            .batch_max(config.shared_events_max)
            .retry(config.retry())
            .handler_timeout(Duration::from_millis(config.handler_timeout_ms))
            .uncommitted_window_max(config.uncommitted_window_max)
            .uncommitted_bytes_max(config.uncommitted_window_kib * 1024)
            .inbox_retention(Duration::from_millis(config.inbox_retention_ms))
            .parked_max(config.parked_max)
            .dead_letters();
        match config.after_dead_letter {
            AfterDeadLetter::Continue => consumer,
            AfterDeadLetter::ParkKey => consumer.park_keys(),
        }
    }

    /// Starts a consumer on the part's transport and database.
    pub fn start(&self, consumer: Consumer) -> ConsumerHandle {
        let handle = consumer.start(self.publisher.clone(), self.transport.clone());
        let mut started = self.started();
        started.retain(Stalls::is_running);
        started.push(handle.stalls());
        handle
    }

    /// The groups of the consumers that run.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.started().iter().filter(|stalls| stalls.is_running()).map(|stalls| stalls.group().to_owned()).collect()
    }

    fn started(&self) -> MutexGuard<'_, Vec<Stalls>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a part's consumer groups are called.
#[derive(Debug)]
struct Groups {
    part: &'static str,
    /// `kafka.group_id`; empty for the part's own name.
    id: String,
}

impl Groups {
    /// The configured id takes the place of the part's name, with which the names of its groups begin.
    fn name(&self, group: &str) -> String {
        match group.strip_prefix(self.part) {
            Some(rest) if !self.id.is_empty() => format!("{}{rest}", self.id),
            _ => group.to_owned(),
        }
    }
}

impl std::fmt::Debug for Backbone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backbone").field("consumers", &self.consumers).finish_non_exhaustive()
    }
}

impl Backbone {
    /// The part's database.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The part's outbox.
    #[must_use]
    pub fn publisher(&self) -> &EventPublisher {
        &self.publisher
    }

    /// The part's health, to which more can be added.
    #[must_use]
    pub fn checks(&self) -> &HealthChecks {
        &self.checks
    }

    /// Makes and starts the part's consumers.
    #[must_use]
    pub fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// A consumer: [`Consumers::consumer`].
    #[must_use]
    pub fn consumer(&self, group: &str) -> Consumer {
        self.consumers.consumer(group)
    }

    /// Starts a consumer: [`Consumers::start`].
    pub fn start_consumer(&self, consumer: Consumer) -> ConsumerHandle {
        self.consumers.start(consumer)
    }

    /// Which copy of the part this is: the same after a restart.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.consumers.instance
    }

    /// A client of its own whose records wait for their acknowledgement as long as it takes, in their order: for whoever
    /// has no store to publish from again.
    ///
    /// # Errors
    /// The client refuses a setting.
    pub fn patient_transport(&self) -> Result<Arc<dyn Transport>, StartError> {
        Ok(Arc::new(self.transport.patient()?))
    }

    /// Has something end when the part stops: after its last request, with its consumers.
    pub fn on_stop(&mut self, closing: impl Future<Output = ()> + Send + 'static) {
        self.closing.push(Box::pin(closing));
    }

    async fn stop(self) {
        drop(self.topics);
        self.relay.stop().await;
        self.transport.close();
        drop((self.transport, self.consumers));
        self.db.close().await;
    }
}

/// Requests need no Kafka: while it is away their events wait in the outbox.
fn watch_kafka(checks: &HealthChecks, transport: &Arc<KafkaTransport>) {
    let transport = Arc::downgrade(transport);
    checks.add("kafka", move || {
        let (is_away, refusals) = match transport.upgrade() {
            Some(transport) => (transport.is_away(), transport.refusals()),
            None => (false, Vec::new()),
        };
        async move {
            match is_away {
                true => Health::degraded("no broker answers; events wait"),
                false if !refusals.is_empty() => Health::degraded(refusals.join("; ")),
                false => Health::Ready,
            }
        }
    });
}

/// Requests go on while something keeps their events from being published.
fn watch_relay(checks: &HealthChecks, relay: &RelayHandle) {
    let condition = relay.condition();
    checks.add("relay", move || {
        let complaint = condition.borrow().complaint();
        async move { complaint.map_or(Health::Ready, Health::degraded) }
    });
}

fn watch_consumers(checks: &HealthChecks, consumers: &Consumers) {
    let started = Arc::downgrade(&consumers.started);
    checks.add("consumers", move || {
        let stalled = started.upgrade().map(|started| stalled(&started)).unwrap_or_default();
        async move {
            match stalled.is_empty() {
                true => Health::Ready,
                false => Health::degraded(format!("stalled: {}", stalled.join(", "))),
            }
        }
    });
}

fn stalled(started: &Mutex<Vec<Stalls>>) -> Vec<String> {
    let started = started.lock().unwrap_or_else(PoisonError::into_inner);
    let places =
        |one: &Stalls| one.stalled().into_iter().map(|place| format!("{} on {place}", one.group())).collect::<Vec<_>>();
    started.iter().flat_map(places).collect()
}

/// What eventkit's errors mean to a client.
impl From<eventkit::Error> for Problem {
    fn from(error: eventkit::Error) -> Self {
        match error {
            eventkit::Error::Database(error) => error.into(),
            error if error.is_transient() => Self::new(ErrorCode::Unavailable).source(error),
            error => Self::internal(error),
        }
    }
}

fn commit_failed(error: eventkit::Error) -> Response {
    Problem::from(error).into_response()
}

/// The section `eventkit`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventkitConfig {
    relay_batch_max: usize,
    relay_poll_interval_ms: u64,
    relay_lease_ms: u64,
    consumer_workers: usize,
    shared_events_max: usize,
    retry_attempts_max: u32,
    retry_initial_ms: u64,
    retry_max_ms: u64,
    uncommitted_window_max: usize,
    uncommitted_window_kib: usize,
    handler_timeout_ms: u64,
    held_retry_interval_ms: u64,
    inbox_retention_ms: u64,
    after_dead_letter: AfterDeadLetter,
    parked_max: u32,
}

/// What becomes of a key's later events when one of them became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AfterDeadLetter {
    /// They go on.
    Continue,
    /// They are parked until the letter came back and succeeded.
    ParkKey,
}

impl EventkitConfig {
    fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            attempts_max: self.retry_attempts_max,
            initial: Duration::from_millis(self.retry_initial_ms),
            max: Duration::from_millis(self.retry_max_ms),
            ..RetryPolicy::default()
        }
    }

    fn relay(&self, name: &str, owner: &str) -> RelayConfig {
        RelayConfig {
            batch_max: self.relay_batch_max,
            poll_interval: Duration::from_millis(self.relay_poll_interval_ms),
            lease: Duration::from_millis(self.relay_lease_ms),
            held_retry_interval: Duration::from_millis(self.held_retry_interval_ms),
            backoff: self.retry(),
            ..RelayConfig::new(name, owner)
        }
    }
}

/// Who this copy of a part is: the same after a restart on the same directory, so that it takes its own leases back.
fn instance_id(folder: &Path) -> Result<String, Error> {
    let path = folder.join("instance.id");
    let unusable = |source| Error::InstanceId { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(error)),
        // Lost in a crash it is made anew: then the old lease has to run out, and nothing else happens.
        _ => {
            let id = uuid::Uuid::now_v7().to_string();
            std::fs::write(&path, &id).map_err(unusable)?;
            Ok(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_group_takes_the_place_of_the_parts_name() {
        let name = |part, id: &str, group: &str| Groups { part, id: id.to_owned() }.name(group);
        assert_eq!(name("user-service", "", "user-service"), "user-service");
        assert_eq!(name("user-service", "user-service-group", "user-service"), "user-service-group");
        assert_eq!(name("container", "", "container-mail"), "container-mail");
        assert_eq!(name("container", "karaf", "container-mail"), "karaf-mail");
    }
}
