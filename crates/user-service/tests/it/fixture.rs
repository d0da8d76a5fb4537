//! The service in process, over HTTP: a real database, a transport in memory, and a clock that a test moves.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use chassis::testing::{Answer, Database, OPERATOR, Prepared, Service};
use chassis::{Redis, Secret};
use contracts::company::DepartmentCreated;
use db::params;
use eventkit::testing::eventually;
use eventkit::{Clock, outbox};
use jiff::Timestamp;
use serde_json::{Value, json};
use user_service::{Config, Core, MIGRATIONS, NAME, SessionsIn, Shared};

/// A password that is good enough.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Failed logins of one address that are let through.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

pub(crate) struct Fixture(Service);

impl Deref for Fixture {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
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
    pub(crate) async fn on(database: Database) -> Self {
        Self::with(database, None).await
    }

    /// Answers about sessions come from Redis wherever that is allowed: what is announced is done before a mark ends,
    /// since one thing is done after the other.
    pub(crate) async fn on_redis(database: Database, redis: Redis) -> Self {
        let moment = Duration::from_millis(200);
        Self::with(database, Some(Shared { redis, request_max: Duration::ZERO, answer_keep: moment })).await
    }

    pub(crate) async fn with(database: Database, shared: Option<Shared>) -> Self {
        let clock = Clock::manual(Timestamp::from_second(1_790_000_000).unwrap());
        let prepared = Prepared::on(database, NAME, MIGRATIONS, clock).await;
        let core = Core::prepare(&service_config(), shared, &prepared.publisher, prepared.folder()).await.unwrap();
        Self(prepared.start(core.router(), vec![core.authenticator()], |consumer| core.with_handlers(consumer)))
    }

    pub(crate) fn bootstrap_file(&self) -> PathBuf {
        self.folder().join("bootstrap.token")
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
        sessions: SessionsIn::Auto,
        session_answer_keep_ms: 30_000,
    }
}

/// Has tests run on both databases, with answers about sessions from the database and from Redis: as `both!` of the
/// chassis, with two more tests each.
macro_rules! every_store {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::*;
            use chassis::testing::{Database, redis};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let fixture = Fixture::on(Database::sqlite()).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let Some(database) = Database::postgres() else { return };
                let fixture = Fixture::on(database).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_with_redis() {
                let Some(redis) = redis() else { return };
                let fixture = Fixture::on_redis(Database::sqlite(), redis).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres_with_redis() {
                let (Some(database), Some(redis)) = (Database::postgres(), redis()) else { return };
                let fixture = Fixture::on_redis(database, redis).await;
                super::$name(&fixture).await;
                fixture.stop().await;
            }
        }
    )+};
}

pub(crate) use every_store;
