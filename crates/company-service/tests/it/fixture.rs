//! The service in process, over HTTP: a real database, a transport in memory, and people with the grants of a test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use chassis::auth::Refusal;
use chassis::{Authenticator, HttpConfig, HttpServer, Principal, SecurityLog};
use company_service::{MIGRATIONS, NAME};
use contracts::access::{Access, Grant};
use db::{Config, Db, params};
use eventkit::relay::{self, RelayConfig, RelayHandle};
use eventkit::testing::eventually;
use eventkit::transport::Transport;
use eventkit::transport::memory::MemoryTransport;
use eventkit::{Clock, Consumer, ConsumerHandle, Envelope, Event, EventPublisher, Keyed, RetryPolicy, outbox};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The token of whoever may do everything.
pub(crate) const OPERATOR: &str = "operator";

/// Tokens with what they are good for.
#[derive(Default)]
struct People(Mutex<HashMap<String, Principal>>);

#[async_trait]
impl Authenticator for People {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        self.0.lock().unwrap().get(token).cloned().ok_or(Refusal::Unknown)
    }
}

pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) transport: Arc<MemoryTransport>,
    publisher: EventPublisher,
    router: Router,
    people: Arc<People>,
    consumer: Mutex<Option<ConsumerHandle>>,
    relay: Mutex<Option<RelayHandle>>,
    _folder: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }

    /// The status and the first field that is to blame.
    pub(crate) fn fault(&self) -> (u16, &str) {
        (self.status, self.body["errors"][0]["field"].as_str().unwrap_or(""))
    }
}

impl Fixture {
    pub(crate) async fn on(config: Config, folder: TempDir) -> Self {
        let db = Db::open(&config).await.unwrap();
        chassis::part::migrate(&db, NAME, MIGRATIONS).await.unwrap();
        let publisher = EventPublisher::new(db.clone(), NAME, Clock::system());
        let people = Arc::new(People::default());
        people.0.lock().unwrap().insert(OPERATOR.to_owned(), Principal::Operator);
        let (log, _) = SecurityLog::start(NAME, publisher.clone());
        let router = company_service::router(db.clone());
        let http = http_config();
        let router = chassis::part::with_layers(router, http.body_bytes_max, &publisher, log, people.clone());
        let router = HttpServer::new(NAME, &http, router).into_router(&CancellationToken::new());
        let transport = Arc::new(MemoryTransport::new());
        let relay = relay::start(RelayConfig::new(NAME, "copy-1"), publisher.clone(), transport.clone());
        let relay = Mutex::new(Some(relay));
        let fixture =
            Self { db, transport, publisher, router, people, consumer: Mutex::default(), relay, _folder: folder };
        fixture.start_consumer();
        fixture
    }

    fn start_consumer(&self) {
        let retry = RetryPolicy {
            attempts_max: 5,
            initial: Duration::from_millis(1),
            max: Duration::from_millis(10),
            ..RetryPolicy::default()
        };
        let consumer = company_service::handlers(Consumer::new(NAME)).concurrency(4).retry(retry).dead_letters();
        let handle = consumer.start(self.publisher.clone(), self.transport.clone());
        *self.consumer.lock().unwrap() = Some(handle);
    }

    pub(crate) async fn stop(self) {
        let consumer = self.consumer.lock().unwrap().take().unwrap();
        consumer.stop().await;
        let relay = self.relay.lock().unwrap().take().unwrap();
        relay.stop(Duration::from_secs(5)).await;
        self.db.close().await;
    }

    /// Somebody with these grants; answers the token.
    pub(crate) fn person(&self, employee_id: i64, grants: Vec<Grant>) -> String {
        let token = format!("token-{employee_id}");
        let access = Access { employee_id, session_id: token.clone(), grants };
        self.people.0.lock().unwrap().insert(token.clone(), Principal::Employee(Arc::new(access)));
        token
    }

    pub(crate) async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 22).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(OPERATOR, "GET", path, &[], &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(OPERATOR, "POST", path, &[], &body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(OPERATOR, "PATCH", path, &[], &body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(OPERATOR, "DELETE", path, &[], &Value::Null).await
    }

    pub(crate) async fn company(&self) -> i64 {
        let company = self.post("/api/v1/companies", json!({"name": "TechLeet"})).await.ok();
        company["companyId"].as_i64().unwrap()
    }

    pub(crate) async fn headquarters(&self, company_id: i64, name: &str) -> i64 {
        let found = self.post("/api/v1/headquarters", headquarters(company_id, name)).await.ok();
        found["headquarterId"].as_i64().unwrap()
    }

    pub(crate) async fn department(&self, headquarter_id: i64, name: &str) -> i64 {
        let body = json!({"headquarterId": headquarter_id, "name": name});
        self.post("/api/v1/departments", body).await.ok()["departmentId"].as_i64().unwrap()
    }

    /// Puts an event on its topic as the user-service would; answers its record, to be delivered again.
    pub(crate) async fn deliver<E: Event + Keyed>(&self, event: &E) -> eventkit::transport::Record {
        let record = record(event);
        self.redeliver(&record).await;
        record
    }

    pub(crate) async fn redeliver(&self, record: &eventkit::transport::Record) {
        self.transport.publish(vec![record.clone()]).await.unwrap();
    }

    /// Waits until a GET's answer is as wanted.
    pub(crate) async fn until(&self, path: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let answer = self.get(path).await;
            is_so(&answer.body).then_some(answer.body)
        })
        .await
    }

    /// Waits until so many different events have been handled.
    pub(crate) async fn until_handled(&self, events: i64) {
        eventually("the events are handled", async || (self.count("inbox").await >= events).then_some(())).await;
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let row = self.db.query_one(&format!("select count(*) as n from {table}"), &params![]).await.unwrap();
        row.get("n").unwrap()
    }

    /// The data of the stored events of a type, in order.
    pub(crate) async fn told(&self, event_type: &str) -> Vec<Value> {
        let stored = outbox::read_after(&self.db, 0, i64::MAX, 10_000).await.unwrap();
        let envelopes = stored.into_iter().filter(|event| event.event_type == event_type);
        let read = |envelope: &str| serde_json::from_str::<Value>(envelope).unwrap()["data"].clone();
        envelopes.map(|event| read(&event.envelope)).collect()
    }
}

pub(crate) fn headquarters(company_id: i64, name: &str) -> Value {
    json!({
        "companyId": company_id, "name": name, "address": "1 Street", "phone": "0123456", "email": "hq@example.com",
        "city": "Hue"
    })
}

pub(crate) fn record<E: Event + Keyed>(event: &E) -> eventkit::transport::Record {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let mut envelope = Envelope::of(event).unwrap();
    let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    envelope.event_id = Some(format!("event-{id}"));
    envelope.service = "user-service".to_owned();
    eventkit::transport::Record {
        topic: E::TOPIC.to_owned(),
        key: Some(event.key().into()),
        value: Some(envelope.write().unwrap().into()),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

fn http_config() -> HttpConfig {
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

/// Has a test run on both databases: `both!(fn name)` makes the tests `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let folder = tempfile::tempdir().unwrap();
                let fixture = $crate::fixture::Fixture::on($crate::support::sqlite(&folder), folder).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(config) = $crate::support::postgres() else { return };
                let fixture = $crate::fixture::Fixture::on(config, tempfile::tempdir().unwrap()).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }
        }
    )+};
}

pub(crate) use both;
