//! For tests of a service: it in process, over HTTP, with a real database, a transport in memory, and people whose
//! tokens say themselves who they are.
//!
//! Everything here panics where something goes wrong that a test does not ask about: then the test fails.

mod ask;
mod contract;
mod redis;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use axum::Router;
use contracts::access::{Access, Grant};
use db::{Config, Db, Migration, params};
use eventkit::relay::{self, RelayConfig, RelayHandle};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Record, Transport};
use eventkit::{Clock, Consumer, ConsumerHandle, Envelope, Event, EventPublisher, Keyed, RetryPolicy, outbox};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Principal, Refusal};
use crate::http::{HttpConfig, HttpServer};
use crate::part;
use crate::security_log::SecurityLog;

pub use self::redis::{RedisServer, no_redis, redis};
pub use ask::{Answer, Ask};
pub use contract::Operation;

/// The token of whoever may do everything.
pub const OPERATOR: &str = "operator";
/// The most stored events that a test looks at.
const EVENTS_MAX: usize = 100_000;
/// How long the relay may take to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// The token of an employee with these grants.
pub fn token(employee_id: i64, grants: Vec<Grant>) -> String {
    let access = Access { employee_id, session_id: format!("session-{employee_id}"), grants };
    serde_json::to_string(&access).expect("an access is always JSON")
}

/// Takes a token at its word.
#[derive(Clone, Copy, Debug)]
pub struct Believer;

#[async_trait]
impl Authenticator for Believer {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        if token == OPERATOR {
            return Ok(Principal::Operator);
        }
        let access = serde_json::from_str(token).map_err(|_| Refusal::Unknown)?;
        Ok(Principal::Employee(Arc::new(access)))
    }
}

/// A new database, with a folder that goes away with it.
#[derive(Debug)]
pub struct Database {
    config: Config,
    folder: TempDir,
}

impl Database {
    /// SQLite in the folder.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = Config::new(format!("sqlite:{}", folder.path().join("test.db").display()));
        Self { config, folder }
    }

    /// A schema of its own on the PostgreSQL server that is given, if one is; without it says so.
    #[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
    pub fn postgres() -> Option<Self> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let Ok(url) = std::env::var("TECHLEET_TEST_POSTGRES_URL") else {
            let is_required = std::env::var("REQUIRE_INFRA").is_ok();
            assert!(!is_required, "TECHLEET_TEST_POSTGRES_URL must name a PostgreSQL server");
            eprintln!("no TECHLEET_TEST_POSTGRES_URL: this test is left out");
            return None;
        };
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let nanos = UNIX_EPOCH.elapsed().expect("it is after 1970").as_nanos();
        let schema = format!("test_{}_{nanos}_{next}", std::process::id());
        let config = Config { schema: Some(schema), connections_max: 8, ..Config::new(url) };
        Some(Self { config, folder: tempfile::tempdir().expect("a temporary folder") })
    }
}

/// A service in process; clones share it.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name of the service.
    pub name: &'static str,
    /// Its database.
    pub db: Db,
    /// Its time.
    pub clock: Clock,
    /// Its outbox.
    pub publisher: EventPublisher,
    /// Where it hears and tells.
    pub transport: Arc<MemoryTransport>,
    router: Router,
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    consumer: Mutex<Option<ConsumerHandle>>,
    relay: Mutex<Option<RelayHandle>>,
    folder: TempDir,
}

/// A service whose tables are there and which does not run yet.
#[derive(Debug)]
pub struct Prepared {
    name: &'static str,
    /// Its outbox, over its database.
    pub publisher: EventPublisher,
    folder: TempDir,
}

impl Prepared {
    /// Makes the tables.
    pub async fn on(database: Database, name: &'static str, migrations: &[Migration], clock: Clock) -> Self {
        let db = Db::open(&database.config).await.expect("a database");
        part::migrate(&db, name, migrations).await.expect("tables");
        Self { name, publisher: EventPublisher::new(db, name, clock), folder: database.folder }
    }

    /// A folder that goes away.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it: its routes with all that is around them in a process, its consumer, and its relay. Besides
    /// [`Believer`] the authenticators know who asks.
    pub fn start(
        self,
        router: Router,
        mut authenticators: Vec<Arc<dyn Authenticator>>,
        handlers: impl FnOnce(Consumer) -> Consumer,
    ) -> Service {
        let Self { name, publisher, folder } = self;
        authenticators.insert(0, Arc::new(Believer));
        let (log, _) = SecurityLog::start(name, publisher.clone());
        let http = http_config();
        let router = part::with_layers(router, http.body_bytes_max, &publisher, log, Arc::new(authenticators));
        let router = HttpServer::new(name, &http, router).into_router(&CancellationToken::new());
        let transport = Arc::new(MemoryTransport::new());
        let retry = RetryPolicy {
            attempts_max: 5,
            initial: Duration::from_millis(1),
            max: Duration::from_millis(10),
            ..RetryPolicy::default()
        };
        let consumer = handlers(Consumer::new(name)).concurrency(4).retry(retry).dead_letters();
        let consumer = consumer.start(publisher.clone(), transport.clone());
        let relay = relay::start(RelayConfig::new(name, "copy-1"), publisher.clone(), transport.clone());
        let running = Running { consumer: Mutex::new(Some(consumer)), relay: Mutex::new(Some(relay)), folder };
        Service {
            name,
            db: publisher.db().clone(),
            clock: publisher.clock().clone(),
            publisher,
            transport,
            router,
            running: Arc::new(running),
        }
    }
}

impl Service {
    /// Stops it, whatever clones there are.
    pub async fn stop(&self) {
        let consumer = self.running.consumer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(consumer) = consumer {
            consumer.stop().await;
        }
        let relay = self.running.relay.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(relay) = relay {
            relay.stop(DRAIN_MAX).await;
        }
        self.db.close().await;
    }

    /// A folder that goes away.
    pub fn folder(&self) -> &Path {
        self.running.folder.path()
    }

    /// Puts an event on its topic as another service would; answers its record, to be delivered again.
    pub async fn deliver<E: Event + Keyed>(&self, event: &E) -> Record {
        let record = record_at(event, Some(self.clock.now()));
        self.redeliver(&record).await;
        record
    }

    /// Puts a record on its topic.
    pub async fn redeliver(&self, record: &Record) {
        self.transport.publish(vec![record.clone()]).await.expect("published");
    }

    /// As [`Service::deliver`]; waits until it was heard.
    pub async fn hear<E: Event + Keyed>(&self, event: &E) {
        let record = self.deliver(event).await;
        let envelope = Envelope::read(record.value.as_deref().expect("an event")).expect("an envelope");
        let event_id = envelope.event_id.expect("an event of another service has an id");
        eventually(&format!("{event_id} is handled"), async || {
            let sql = "select handler from inbox where event_identity = $1";
            self.db.query_opt(sql, &params![event_id.as_str()]).await.expect("a query")
        })
        .await;
    }

    /// The data of the stored events of a type, in order.
    pub async fn told(&self, event_type: &str) -> Vec<Value> {
        let stored = outbox::read_after(&self.db, 0, i64::MAX, EVENTS_MAX).await.expect("an outbox");
        let envelopes = stored.into_iter().filter(|event| event.event_type == event_type);
        let read = |envelope: &str| serde_json::from_str::<Value>(envelope).expect("an envelope")["data"].clone();
        envelopes.map(|event| read(&event.envelope)).collect()
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("select count(*) as n from {table}");
        let row = self.db.query_one(&sql, &params![]).await.expect("a table");
        row.get("n").expect("a number")
    }
}

/// An event as another service would put it on its topic.
pub fn record<E: Event + Keyed>(event: &E) -> Record {
    record_at(event, None)
}

fn record_at<E: Event + Keyed>(event: &E, timestamp: Option<Timestamp>) -> Record {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let mut envelope = Envelope::of(event).expect("an event");
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    envelope.event_id = Some(format!("event-{id}"));
    envelope.timestamp = timestamp;
    envelope.service = "another-service".to_owned();
    Record {
        topic: E::TOPIC.to_owned(),
        key: Some(event.key().into()),
        value: Some(envelope.write().expect("JSON").into()),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// A server that waits for whatever a busy machine does.
pub fn http_config() -> HttpConfig {
    HttpConfig {
        request_timeout_ms: 20_000,
        header_read_timeout_ms: 20_000,
        write_stall_timeout_ms: 20_000,
        drain_timeout_ms: 20_000,
        drain_delay_ms: 0,
        body_bytes_max: 1 << 20,
        header_bytes_max: 65_536,
        connections_max: 64,
        requests_in_flight_max: 64,
        idempotency_keep_ms: 86_400_000,
        health_timeout_ms: 5_000,
    }
}

/// Has tests run on both databases: `both!(Fixture: name)` makes the tests `name::sqlite` and `name::postgres` of
/// `async fn name(fixture: &Fixture)`, where `Fixture::on(database)` starts the service and `stop()` ends it.
#[macro_export]
macro_rules! both {
    ($fixture:ty: $($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let fixture = <$fixture>::on($crate::testing::Database::sqlite()).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(database) = $crate::testing::Database::postgres() else { return };
                let fixture = <$fixture>::on(database).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }
        }
    )+};
}
