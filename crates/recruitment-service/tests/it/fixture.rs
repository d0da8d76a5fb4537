//! A running service to ask, and the world around it: other services' events, the time, who is logged in.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use chassis::auth::{Authenticator, Principal, Refusal};
use chassis::{SecurityLog, part};
use contracts::access::{Access, Grant, Permission, Scope};
use contracts::company::DepartmentCreated;
use contracts::user::{EmployeeStatus, UserCreated};
use db::{Config, Db, params};
use eventkit::event::Keyed;
use eventkit::outbox::{self, StoredEvent};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Record, Transport};
use eventkit::{Clock, Consumer, ConsumerHandle, Envelope, EventPublisher};
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::support;

/// When the tests begin.
pub(crate) const NOW: &str = "2026-11-24T08:00:00Z";
/// The token of the operator.
pub(crate) const OPERATOR: &str = "operator";

const EVENTS_MAX: usize = 100_000;
const ANSWER_BYTES_MAX: usize = 10_000_000;

/// The service with its surroundings; clones share it.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) clock: Clock,
    pub(crate) db: Db,
    router: Router,
    transport: Arc<MemoryTransport>,
    _consumer: Arc<ConsumerHandle>,
    _folder: Arc<Option<TempDir>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Insists on a status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// Insists on a problem about one field.
    #[track_caller]
    pub(crate) fn expect_field(self, status: u16, field: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.body["errors"][0]["field"], field, "{}", answer.body);
        answer
    }

    /// A number in the body.
    #[track_caller]
    pub(crate) fn id(&self, name: &str) -> i64 {
        self.body[name].as_i64().unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    /// The `ETag`.
    #[track_caller]
    pub(crate) fn etag(&self) -> String {
        self.headers[header::ETAG].to_str().unwrap().to_owned()
    }
}

/// A request while it is written.
pub(crate) struct Ask<'a> {
    service: &'a Service,
    token: String,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Ask<'_> {
    /// Asked by somebody else than the operator.
    pub(crate) fn by(mut self, token: &str) -> Self {
        self.token = token.to_owned();
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    pub(crate) fn text(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        if !self.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(self.body.unwrap_or_default())).unwrap();
        let response = self.service.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, body }
    }
}

impl Service {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("recruitment.db").display());
        Self::start(&Config { url, ..Config::default() }, Some(folder)).await
    }

    /// `None` where no server is given.
    pub(crate) async fn on_postgres() -> Option<Self> {
        Some(Self::start(&support::postgres()?, None).await)
    }

    async fn start(config: &Config, folder: Option<TempDir>) -> Self {
        let db = Db::open(config).await.unwrap();
        part::migrate(&db, recruitment_service::NAME, recruitment_service::MIGRATIONS).await.unwrap();
        let clock = Clock::manual(NOW.parse().unwrap());
        let publisher = EventPublisher::new(db.clone(), recruitment_service::NAME, clock.clone());
        let (log, _logging) = SecurityLog::start(recruitment_service::NAME, publisher.clone());
        let router = recruitment_service::router(&publisher);
        let router = part::with_layers(router, 1_048_576, &publisher, log, Arc::new(Believer));
        let transport = Arc::new(MemoryTransport::new());
        let consumer = recruitment_service::handlers(Consumer::new(recruitment_service::NAME).dead_letters());
        let consumer = Arc::new(consumer.start(publisher.clone(), transport.clone()));
        Self { clock, db, router, transport, _consumer: consumer, _folder: Arc::new(folder) }
    }

    fn ask(&self, method: &'static str, path: impl Into<String>) -> Ask<'_> {
        let token = OPERATOR.to_owned();
        Ask { service: self, token, method, path: path.into(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask<'_> {
        self.ask("GET", path)
    }

    pub(crate) fn post(&self, path: impl Into<String>) -> Ask<'_> {
        self.ask("POST", path)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Ask<'_> {
        self.ask("PATCH", path).json(body)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Ask<'_> {
        self.ask("DELETE", path)
    }

    pub(crate) fn method(&self, method: &str, path: impl Into<String>) -> Ask<'_> {
        let known = ["GET", "POST", "PATCH", "DELETE", "PUT"];
        self.ask(known.into_iter().find(|known| *known == method).unwrap(), path)
    }

    /// Has another service tell something, and waits until it was heard.
    pub(crate) async fn hear<E: Keyed>(&self, event: &E) {
        let mut envelope = Envelope::of(event).unwrap();
        let sent = self.transport.records(E::TOPIC).len();
        let event_id = format!("{}-{}-{sent}", E::TYPE, event.key());
        envelope.event_id = Some(event_id.clone());
        let record = Record {
            topic: E::TOPIC.to_owned(),
            key: Some(event.key().into()),
            value: Some(envelope.write().unwrap().into()),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        self.transport.publish(vec![record]).await.unwrap();
        eventually(&format!("{event_id} is handled"), async || {
            let sql = "select handler from inbox where event_identity = $1";
            self.db.query_opt(sql, &params![event_id.as_str()]).await.unwrap()
        })
        .await;
    }

    pub(crate) async fn hear_of_department(&self, department_id: i64, headquarter_id: i64, name: &str) {
        self.hear(&DepartmentCreated {
            department_id,
            company_id: 1,
            headquarter_id,
            name: name.to_owned(),
            code: None,
            leader_id: None,
        })
        .await;
    }

    pub(crate) async fn hear_of_employee(&self, employee_id: i64, first_name: &str, last_name: &str) {
        self.hear(&UserCreated {
            employee_id,
            email: format!("e{employee_id}@techleet.example"),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            status: EmployeeStatus::Active,
            ..UserCreated::default()
        })
        .await;
    }

    /// Everything that the service has told so far.
    pub(crate) async fn told(&self) -> Vec<StoredEvent> {
        outbox::read_after(&self.db, 0, i64::MAX, EVENTS_MAX).await.unwrap()
    }

    /// The data of everything of one type that it has told so far.
    pub(crate) async fn told_of(&self, event_type: &str) -> Vec<Value> {
        let told = self.told().await;
        told.iter()
            .filter(|event| event.event_type == event_type)
            .map(|event| envelope(event)["data"].clone())
            .collect()
    }
}

pub(crate) fn envelope(event: &StoredEvent) -> Value {
    serde_json::from_str(&event.envelope).unwrap()
}

/// The token of an employee who holds permissions (`applications:read`) within a scope.
pub(crate) fn token(employee_id: i64, permissions: &[&str], scope: Scope) -> String {
    let grant = |text: &&str| Grant { permission: text.parse::<Permission>().unwrap(), scope };
    let grants = permissions.iter().map(grant).collect();
    serde_json::to_string(&Access { employee_id, session_id: format!("s{employee_id}"), grants }).unwrap()
}

/// Takes a token at its word.
struct Believer;

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

/// Runs every test of a module on SQLite, and on PostgreSQL where one is given.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::fixture::Service::on_sqlite().await).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let Some(service) = crate::fixture::Service::on_postgres().await else { return };
                    super::$test(service).await;
                }
            )+
        }
    };
}

pub(crate) use on_both_databases;
