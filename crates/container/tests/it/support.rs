//! A container to play with: its consumers on a transport in memory, its database on SQLite or PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use chassis::auth::{Authenticator, Principal, Refusal};
use chassis::{Problem, Settings, Sources};
use container::{Config, ConsumerMaker, Container, Links, MIGRATIONS, RunningRoutes};
use contracts::access::{Access, Action, Grant, Permission, Resource, Scope};
use contracts::notification::recipient_key;
use contracts::{NOTIFICATION_EVENTS, TOPICS};
use db::Db;
use eventkit::outbox::{self, StoredEvent};
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Record, TopicPartition, Transport, partition_of};
use eventkit::{
    Clock, Consumer, ConsumerHandle, Envelope, Event, EventPublisher, EventPublisherLayer, Keyed, RecipientType,
    RetryPolicy,
};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

/// When the events of these tests happen.
pub(crate) const NOON_MS: i64 = 1_795_521_600_000;
const PARTITIONS: i32 = 3;

pub(crate) struct House {
    pub(crate) transport: Arc<MemoryTransport>,
    pub(crate) publisher: EventPublisher,
    container: Container,
    _consumers: Vec<ConsumerHandle>,
    routes: RunningRoutes,
    path: PathBuf,
    _folder: Option<TempDir>,
}

/// Makes consumers that try soon and not often.
#[derive(Clone)]
struct Maker {
    publisher: EventPublisher,
    transport: Arc<MemoryTransport>,
}

impl ConsumerMaker for Maker {
    fn consumer(&self, group: &str) -> Consumer {
        let retry = RetryPolicy {
            attempts_max: 3,
            initial: Duration::from_millis(1),
            max: Duration::from_millis(5),
            ..RetryPolicy::default()
        };
        Consumer::new(group).retry(retry).dead_letters()
    }

    fn start(&self, consumer: Consumer) -> ConsumerHandle {
        consumer.start(self.publisher.clone(), self.transport.clone())
    }
}

/// The trace of every event that is sent.
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

impl House {
    /// A running container; `settings` are lines `section.key=value`.
    pub(crate) async fn open(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("container.db").display());
        Self::over(&db::Config::new(url), settings, folder).await
    }

    /// A container in a folder that is there before and after it.
    pub(crate) async fn open_in(folder: &Path) -> Self {
        let url = format!("sqlite:{}", folder.join("container.db").display());
        Self::built(&db::Config::new(url), &[], folder, None).await
    }

    /// The same over PostgreSQL, where there is one.
    pub(crate) async fn open_on_postgres(settings: &[&str]) -> Option<Self> {
        Some(Self::over(&postgres()?, settings, tempfile::tempdir().unwrap()).await)
    }

    async fn over(database: &db::Config, settings: &[&str], folder: TempDir) -> Self {
        let path = folder.path().to_owned();
        Self::built(database, settings, &path, Some(folder)).await
    }

    async fn built(database: &db::Config, settings: &[&str], path: &Path, folder: Option<TempDir>) -> Self {
        let db = Db::open(database).await.unwrap();
        outbox::migrate(&db).await.unwrap();
        db.migrate("container", MIGRATIONS).await.unwrap();
        let variable = |setting: &str| {
            let (key, value) = setting.split_once('=').unwrap();
            (format!("TECHLEET_{}", key.to_uppercase().replace('.', "__")), value.to_owned())
        };
        let environment = settings.iter().copied().chain(["container.put_off_ms=1"]).map(variable).collect();
        let settings = Settings::load(&Sources { environment, ..Sources::default() }).unwrap();
        let config: Config = settings.section("container").unwrap();
        let publisher = EventPublisher::new(db, "container", Clock::system());
        let transport = Arc::new(MemoryTransport::new());
        let maker = Maker { publisher: publisher.clone(), transport: transport.clone() };
        let links = Links {
            publisher: publisher.clone(),
            transport: transport.clone(),
            consumers: Arc::new(maker.clone()),
            instance: None,
        };
        let container = Container::new(&config, path, links).unwrap();
        let consumers = container.consumers(|group| maker.consumer(group));
        let consumers = consumers.into_iter().map(|consumer| maker.start(consumer)).collect();
        let routes = container.follow_routes().await.unwrap();
        Self { transport, publisher, container, _consumers: consumers, routes, path: path.to_owned(), _folder: folder }
    }

    /// The folder with route files.
    pub(crate) fn routes_dir(&self) -> PathBuf {
        self.path.join("routes")
    }

    /// Stops the routes, as a container that stops does.
    pub(crate) async fn stop_routes(self) {
        self.routes.stop().await;
    }

    /// Lets what the container itself publishes go out.
    pub(crate) fn start_relay(&self) {
        let config = RelayConfig::new("container", "copy-1");
        drop(relay::start(config, self.publisher.clone(), self.transport.clone()));
    }

    pub(crate) fn mailbox(&self) -> PathBuf {
        self.path.join("mailbox")
    }

    /// Publishes an event as its service would; its id and where it went.
    pub(crate) async fn tell<E: Keyed>(&self, event: &E) -> Uuid {
        self.tell_at(event, NOON_MS).await
    }

    pub(crate) async fn tell_at<E: Keyed>(&self, event: &E, at_ms: i64) -> Uuid {
        let id = Uuid::now_v7();
        let mut envelope = Envelope::of(event).unwrap();
        envelope.timestamp = Some(Timestamp::from_millisecond(at_ms).unwrap());
        self.send(E::TOPIC, &event.key(), envelope, id).await;
        id
    }

    /// Asks for somebody to be told something.
    pub(crate) async fn notify<E: Event>(&self, event: &E, recipient: Option<(RecipientType, i64)>) -> Uuid {
        let id = Uuid::now_v7();
        self.notify_as(id, event, recipient).await;
        id
    }

    pub(crate) async fn notify_as<E: Event>(&self, id: Uuid, event: &E, recipient: Option<(RecipientType, i64)>) {
        let mut envelope = Envelope::of(event).unwrap();
        let mut key = "notification-administrators".to_owned();
        if let Some((kind, number)) = recipient {
            envelope = envelope.to_recipient(kind, number);
            key = recipient_key(kind, number);
        }
        self.send(NOTIFICATION_EVENTS, &key, envelope, id).await;
    }

    async fn send(&self, topic: &str, key: &str, mut envelope: Envelope, id: Uuid) {
        envelope.event_id = Some(id.to_string());
        let value = Some(envelope.write().unwrap().into());
        let (topic, key) = (topic.to_owned(), Some(key.to_owned().into()));
        let headers = vec![("traceparent".into(), TRACE.into())];
        let record = Record { topic, key, value, headers, timestamp_ms: Some(NOON_MS) };
        self.transport.publish(vec![record]).await.unwrap();
    }

    /// Waits until a group is through with everything on a topic under a key's partition.
    pub(crate) async fn through(&self, group: &str, topic: &str, key: &str) {
        let partition = partition_of(key.as_bytes(), PARTITIONS);
        let place = TopicPartition { topic: topic.to_owned(), partition };
        eventually(&format!("{group} is through with {place}"), async || {
            let records = self.transport.records(topic).into_iter().filter(|record| record.partition == partition);
            let end = i64::try_from(records.count()).unwrap();
            (self.transport.committed(group, &place).unwrap_or(0) == end).then_some(())
        })
        .await;
    }

    /// What the container has published after a position, notifications only.
    pub(crate) async fn published_after(&self, position: i64) -> Vec<StoredEvent> {
        let stored = outbox::read_after(self.publisher.db(), position, i64::MAX, 1_000).await.unwrap();
        stored.into_iter().filter(|event| event.topic == NOTIFICATION_EVENTS).collect()
    }

    /// The dead letter of an event.
    pub(crate) async fn dead_letter(&self, id: Uuid) -> Record {
        eventually("a dead letter", async || {
            let topics = TOPICS.iter().map(|topic| format!("{}.dlq", topic.name));
            let mut letters = topics.flat_map(|topic| self.transport.records(&topic));
            letters.find_map(|letter| {
                let envelope = Envelope::read(letter.record.value.as_deref()?).ok()?;
                (envelope.event_id? == id.to_string()).then_some(letter.record)
            })
        })
        .await
    }

    /// The row that the log has of a notification, once it has this outcome.
    pub(crate) async fn logged(&self, id: Uuid, outcome: &str) -> db::Row {
        eventually(&format!("a notification is {outcome}"), async || {
            self.publisher
                .db()
                .query_opt(
                    "select * from notifications where event_id = $1 and outcome = $2",
                    &db::params![id.to_string(), outcome],
                )
                .await
                .unwrap()
        })
        .await
    }

    /// One request to the container's API.
    pub(crate) async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let response = self.begin(token, method, path, body).await;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// One request, whose answer has begun.
    pub(crate) async fn begin(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Response {
        let request = Request::builder().method(method).uri(path);
        match body {
            Some(body) => self.ask(token, request.header("content-type", "application/json"), &body.to_string()).await,
            None => self.ask(token, request, "").await,
        }
    }

    /// One request of whoever has this token, with what is answered as it is.
    pub(crate) async fn ask(&self, token: &str, request: axum::http::request::Builder, body: &str) -> Response {
        let request = request.header("authorization", format!("Bearer {token}"));
        self.send_request(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// One request as it is.
    pub(crate) async fn send_request(&self, request: Request<Body>) -> Response {
        self.router().oneshot(request).await.unwrap()
    }

    fn router(&self) -> Router {
        let authenticator: Arc<dyn Authenticator> = Arc::new(Tokens);
        self.container
            .router()
            .layer(EventPublisherLayer::new(self.publisher.clone(), |error| Problem::from(error).into_response()))
            .layer(Extension(authenticator))
    }
}

/// `operator`; `hr` may read and change all preferences, `leader-3` those of department 3; `auditor` reads the trail; a
/// number is an employee without grants.
struct Tokens;

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        let preferences = |scope| {
            [Action::Read, Action::Update]
                .map(|action| Grant { permission: Permission::new(Resource::Preferences, action), scope })
                .to_vec()
        };
        let (employee_id, grants) = match token {
            "operator" => return Ok(Principal::Operator),
            "hr" => (1_000, preferences(Scope::All)),
            "leader-3" => (1_003, preferences(Scope::Department { department_id: 3 })),
            "auditor" => {
                let permission = Permission::new(Resource::Audit, Action::Read);
                (1_001, vec![Grant { permission, scope: Scope::All }])
            }
            number => (number.parse().map_err(|_| Refusal::Unknown)?, Vec::new()),
        };
        Ok(Principal::Employee(Arc::new(Access { employee_id, session_id: "s".to_owned(), grants })))
    }
}

/// A schema of its own on the PostgreSQL server that is given, if one is; without it says so.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
fn postgres() -> Option<db::Config> {
    let Ok(url) = std::env::var("TECHLEET_TEST_POSTGRES_URL") else {
        assert!(std::env::var("REQUIRE_INFRA").is_err(), "TECHLEET_TEST_POSTGRES_URL must name a PostgreSQL server");
        eprintln!("no TECHLEET_TEST_POSTGRES_URL: this test is left out");
        return None;
    };
    let schema = format!("container_{}_{}", std::process::id(), UNIX_EPOCH.elapsed().unwrap().as_nanos());
    Some(db::Config { schema: Some(schema), ..db::Config::new(url) })
}

/// The folder that `compat/camel/schema/prepare` made, if it is named; without it says so.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
pub(crate) fn camel_schema() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TECHLEET_TEST_CAMEL_SCHEMA") else {
        let what = "TECHLEET_TEST_CAMEL_SCHEMA must name what compat/camel/schema/prepare made";
        assert!(std::env::var("REQUIRE_INFRA").is_err(), "{what}");
        eprintln!("no TECHLEET_TEST_CAMEL_SCHEMA: this test is left out");
        return None;
    };
    Some(PathBuf::from(folder))
}
