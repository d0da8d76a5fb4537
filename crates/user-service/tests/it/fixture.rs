//! The service in process, over HTTP: a real database, a transport in memory, and a clock that a test moves.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use chassis::auth::Refusal;
use chassis::{Authenticator, HttpConfig, HttpServer, Principal, Secret, SecurityLog};
use contracts::access::{Access, Grant};
use contracts::company::DepartmentCreated;
use db::{Db, params};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Record, Transport};
use eventkit::{Clock, Consumer, ConsumerHandle, Envelope, Event, EventPublisher, Keyed, outbox};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use user_service::{Config, Core, MIGRATIONS, NAME};

/// The token of whoever may do everything.
pub(crate) const OPERATOR: &str = "operator";
/// A password that is good enough.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Failed logins of one address that are let through.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// Tokens that a test gave out; all others are the service's own.
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
    pub(crate) clock: Clock,
    pub(crate) publisher: EventPublisher,
    transport: Arc<MemoryTransport>,
    router: Router,
    people: Arc<People>,
    consumer: Mutex<Option<ConsumerHandle>>,
    folder: TempDir,
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

    pub(crate) fn etag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) employee_id: i64,
    pub(crate) session_id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

impl Fixture {
    pub(crate) async fn on(config: db::Config, folder: TempDir) -> Self {
        let db = Db::open(&config).await.unwrap();
        chassis::part::migrate(&db, NAME, MIGRATIONS).await.unwrap();
        let clock = Clock::manual(Timestamp::from_second(1_790_000_000).unwrap());
        let publisher = EventPublisher::new(db.clone(), NAME, clock.clone());
        let core = Core::prepare(&service_config(), &publisher, folder.path()).await.unwrap();
        let people = Arc::new(People::default());
        people.0.lock().unwrap().insert(OPERATOR.to_owned(), Principal::Operator);
        let (log, _) = SecurityLog::start(NAME, publisher.clone());
        let authenticators: Vec<Arc<dyn Authenticator>> = vec![people.clone(), core.authenticator()];
        let http = http_config();
        let router =
            chassis::part::with_layers(core.router(), http.body_bytes_max, &publisher, log, Arc::new(authenticators));
        let router = HttpServer::new(NAME, &http, router).into_router(&CancellationToken::new());
        let transport = Arc::new(MemoryTransport::new());
        let consumer = core.with_handlers(Consumer::new(NAME)).concurrency(4).dead_letters();
        let consumer = Mutex::new(Some(consumer.start(publisher.clone(), transport.clone())));
        Self { db, clock, publisher, transport, router, people, consumer, folder }
    }

    pub(crate) async fn stop(self) {
        let consumer = self.consumer.lock().unwrap().take().unwrap();
        consumer.stop().await;
        self.db.close().await;
    }

    pub(crate) fn bootstrap_file(&self) -> PathBuf {
        self.folder.path().join("bootstrap.token")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Somebody with these grants, as other services see people; answers the token.
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

    pub(crate) async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.send(token, method, path, &[], &body).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(token, "GET", path, &[], &Value::Null).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.send(token, "DELETE", path, &[], &Value::Null).await
    }

    /// Takes somebody on; answers the number.
    pub(crate) async fn employee(&self, email: &str, more: Value) -> i64 {
        let mut body = json!({"firstName": "An", "lastName": "Tran", "email": email});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call(OPERATOR, "POST", "/api/v1/users", body).await.ok()["employeeId"].as_i64().unwrap()
    }

    /// The token in the latest invitation of an employee.
    pub(crate) async fn invitation(&self, employee_id: i64) -> String {
        let key = format!("notification-{employee_id}");
        let stored = outbox::read_after(&self.db, 0, i64::MAX, 10_000).await.unwrap();
        let mail = stored.into_iter().rfind(|event| event.key == key).unwrap();
        let mail: Value = serde_json::from_str(&mail.envelope).unwrap();
        assert_eq!(mail["data"]["template"], "user-invitation");
        let link = mail["data"]["variables"]["link"].as_str().unwrap().to_owned();
        link.split_once("?token=").unwrap().1.to_owned()
    }

    pub(crate) async fn accept(&self, token: &str, password: &str) -> Answer {
        let body = json!({"token": token, "password": password});
        self.call("", "POST", "/api/v1/invitations/accept", body).await
    }

    pub(crate) async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.call("", "POST", "/api/v1/sessions", json!({"email": email, "password": password})).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Answer {
        self.call("", "POST", "/api/v1/sessions/refresh", json!({"refreshToken": refresh_token})).await
    }

    pub(crate) async fn logged_in(&self, email: &str) -> Person {
        let tokens = self.log_in(email, PASSWORD).await.ok();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person {
            employee_id: tokens["session"]["employeeId"].as_i64().unwrap(),
            session_id: text(&tokens["session"]["sessionId"]),
            token: text(&tokens["accessToken"]),
            refresh_token: text(&tokens["refreshToken"]),
        }
    }

    /// Somebody who accepted the invitation, has these roles besides, and is logged in.
    pub(crate) async fn colleague(&self, email: &str, more: Value, roles: Value) -> Person {
        let employee_id = self.employee(email, more).await;
        assert_eq!(self.accept(&self.invitation(employee_id).await, PASSWORD).await.status, 204);
        self.give(employee_id, roles).await;
        self.logged_in(email).await
    }

    pub(crate) async fn give(&self, employee_id: i64, roles: Value) {
        self.call(OPERATOR, "PUT", &format!("/api/v1/users/{employee_id}/roles"), roles).await.ok();
    }

    /// Has company-events tell of a department, and waits until it is known.
    pub(crate) async fn department(&self, department_id: i64, headquarter_id: i64, name: &str) {
        let event = DepartmentCreated {
            department_id,
            company_id: 1,
            headquarter_id,
            name: name.to_owned(),
            code: None,
            leader_id: None,
        };
        self.deliver(&event).await;
        let known = "select 1 as found from departments where department_id = $1";
        eventually("the department is known", async || {
            self.db.query_opt(known, &params![department_id]).await.unwrap()
        })
        .await;
    }

    /// Puts an event on its topic as another service would.
    pub(crate) async fn deliver<E: Event + Keyed>(&self, event: &E) -> Record {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let mut envelope = Envelope::of(event).unwrap();
        let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        envelope.event_id = Some(format!("event-{id}"));
        envelope.timestamp = Some(self.clock.now());
        envelope.service = "another-service".to_owned();
        let record = Record {
            topic: E::TOPIC.to_owned(),
            key: Some(event.key().into()),
            value: Some(envelope.write().unwrap().into()),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        self.redeliver(&record).await;
        record
    }

    pub(crate) async fn redeliver(&self, record: &Record) {
        self.transport.publish(vec![record.clone()]).await.unwrap();
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

pub(crate) fn service_config() -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        invitation_url: "https://techleet.example/invitation".to_owned(),
        invitation_keep_ms: 604_800_000,
        access_token_keep_ms: 900_000,
        refresh_token_keep_ms: 2_592_000_000,
        access_token_key: Secret::default(),
        login_attempts_max: ATTEMPTS_MAX,
        login_window_ms: 300_000,
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
