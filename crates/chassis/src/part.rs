//! How a part of the backbone is put together: its port, its database, its outbox and relay, its consumers, its stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use db::{Db, Migration};
use eventkit::relay::{self, RelayConfig, RelayHandle};
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::{Clock, Consumer, ConsumerHandle, EventPublisher, EventPublisherLayer, RetryPolicy};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, OperatorToken};
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::database::{DatabaseCheck, Databases};
use crate::error::{BoxError, Error};
use crate::error_code::ErrorCode;
use crate::http::{Health, HealthChecks, HttpConfig, HttpServer};
use crate::lifecycle::Running;
use crate::net::Binder;
use crate::problem::Problem;
use crate::telemetry::Telemetry;

/// Why a part did not start; the parts of a process fail in many ways, and all are told the same way.
pub type StartError = BoxError;

/// How long a stopping relay may take to publish what is stored.
const RELAY_DRAIN_MAX: Duration = Duration::from_secs(5);

/// What every part of one process shares.
#[derive(Clone)]
pub struct Process {
    settings: Arc<Settings>,
    data_dir: DataDir,
    telemetry: Telemetry,
    binder: Arc<Binder>,
    databases: Arc<Databases>,
    authenticator: Arc<dyn Authenticator>,
    clock: Clock,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("data_dir", &self.data_dir.path()).finish_non_exhaustive()
    }
}

impl Process {
    /// A process over its settings and its data directory; makes the operator's token if there is none yet.
    ///
    /// # Errors
    /// The token cannot be read or made, or the settings for ports are wrong.
    pub fn new(settings: Settings, data_dir: DataDir, telemetry: Telemetry) -> Result<Self, StartError> {
        let binder = Arc::new(Binder::from_settings(&settings)?);
        let databases = Arc::new(Databases::new(&settings, &data_dir)?);
        let authenticator = Arc::new(OperatorToken::new(data_dir.operator_token()?));
        let settings = Arc::new(settings);
        Ok(Self { settings, data_dir, telemetry, binder, databases, authenticator, clock: Clock::system() })
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

    /// Who tells who is asking.
    #[must_use]
    pub fn authenticator(&self) -> Arc<dyn Authenticator> {
        self.authenticator.clone()
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
        eventkit::outbox::migrate(&db).await?;
        db.migrate(&self.name.replace('-', "_"), migrations).await?;
        let transport = Arc::new(KafkaTransport::new(kafka)?);
        let publisher = EventPublisher::new(db.clone(), self.name, clock.clone());
        let instance = instance_id(&data_dir.part(self.name)?)?;
        let relay = relay::start(eventkit.relay(self.name, &instance), publisher.clone(), transport.clone());
        Ok(Backbone { db, publisher, transport, relay, eventkit, instance })
    }

    /// Serves the part's router, and stops everything of the part in the order that loses nothing: requests,
    /// consumers, relay, database.
    ///
    /// # Errors
    /// The configuration of the server is wrong.
    pub fn serve(
        &self,
        listener: TcpListener,
        router: Router,
        backbone: Backbone,
        consumers: Vec<ConsumerHandle>,
    ) -> Result<(SocketAddr, Running), StartError> {
        let config: HttpConfig = self.process.settings.section("http")?;
        let address = listener.local_addr()?;
        let consumers = Arc::new(consumers);
        let checks = HealthChecks::default();
        checks.add("database", DatabaseCheck(backbone.db.clone()));
        watch_consumers(&checks, &consumers);
        let server = HttpServer::new(self.name, &config, router).health(&checks).metrics(&self.process.telemetry);
        let running = Running::spawn(|stop: CancellationToken| async move {
            server.serve(listener, stop).await;
            drop(checks);
            match Arc::try_unwrap(consumers) {
                Ok(consumers) => futures::future::join_all(consumers.into_iter().map(ConsumerHandle::stop)).await,
                // A health check still being asked holds them: their tasks end with the process.
                Err(_) => Vec::new(),
            };
            backbone.stop().await;
            Ok::<(), Error>(())
        });
        Ok((address, running))
    }
}

/// What connects a part to the others: database, outbox, relay, transport.
#[derive(Debug)]
pub struct Backbone {
    db: Db,
    publisher: EventPublisher,
    transport: Arc<KafkaTransport>,
    relay: RelayHandle,
    eventkit: EventkitConfig,
    instance: String,
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

    /// A consumer with the configured limits; dead letters are on.
    #[must_use]
    pub fn consumer(&self, group: &str) -> Consumer {
        let config = &self.eventkit;
        Consumer::new(group)
            .instance(&self.instance)
            .concurrency(config.consumer_workers)
            .retry(config.retry())
            .handler_timeout(Duration::from_millis(config.handler_timeout_ms))
            .uncommitted_window_max(config.uncommitted_window_max)
            .dead_letters()
    }

    /// Starts a consumer on this part's transport and database.
    #[must_use]
    pub fn start_consumer(&self, consumer: Consumer) -> ConsumerHandle {
        consumer.start(self.publisher.clone(), self.transport.clone())
    }

    /// One unit of work a request, committed when the answer is a success.
    pub fn with_unit_per_request(&self, router: Router) -> Router {
        router.layer(EventPublisherLayer::new(self.publisher.clone(), commit_failed))
    }

    async fn stop(self) {
        self.relay.stop(RELAY_DRAIN_MAX).await;
        drop(self.transport);
        self.db.close().await;
    }
}

fn watch_consumers(checks: &HealthChecks, consumers: &Arc<Vec<ConsumerHandle>>) {
    let consumers = Arc::downgrade(consumers);
    checks.add("consumers", move || {
        let stalled: Vec<String> = consumers
            .upgrade()
            .iter()
            .flat_map(|consumers| consumers.iter())
            .flat_map(|consumer| consumer.stalled().into_iter().map(|place| format!("{} on {place}", consumer.group())))
            .collect();
        async move {
            match stalled.is_empty() {
                true => Health::Ready,
                false => Health::degraded(format!("stalled: {}", stalled.join(", "))),
            }
        }
    });
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
    retry_attempts_max: u32,
    retry_initial_ms: u64,
    retry_max_ms: u64,
    uncommitted_window_max: usize,
    handler_timeout_ms: u64,
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
