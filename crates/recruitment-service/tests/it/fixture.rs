//! A running service to ask, and the world around it: other services' events, the time, who is logged in.

use std::ops::Deref;

use chassis::testing::{Ask, Database, Prepared};
use contracts::access::{Grant, Permission, Scope};
use contracts::company::DepartmentCreated;
use contracts::user::{EmployeeStatus, UserCreated};
use eventkit::Clock;
use eventkit::outbox::{self, StoredEvent};
use recruitment_service::{MIGRATIONS, NAME};
use serde_json::Value;

/// When the tests begin.
pub(crate) const NOW: &str = "2026-11-24T08:00:00Z";

const EVENTS_MAX: usize = 100_000;

/// The service with its surroundings; clones share it.
#[derive(Clone)]
pub(crate) struct Service(chassis::testing::Service);

impl Deref for Service {
    type Target = chassis::testing::Service;

    fn deref(&self) -> &chassis::testing::Service {
        &self.0
    }
}

impl Service {
    pub(crate) async fn on(database: Database) -> Self {
        let prepared = Prepared::on(database, NAME, MIGRATIONS, Clock::manual(NOW.parse().unwrap())).await;
        let router = recruitment_service::router(&prepared.publisher);
        Self(prepared.start(router, Vec::new(), recruitment_service::handlers))
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Ask {
        self.ask("GET", path)
    }

    pub(crate) fn post(&self, path: impl Into<String>) -> Ask {
        self.ask("POST", path)
    }

    pub(crate) fn patch(&self, path: impl Into<String>, body: &Value) -> Ask {
        self.ask("PATCH", path).json(body)
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Ask {
        self.ask("DELETE", path)
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
    pub(crate) async fn events(&self) -> Vec<StoredEvent> {
        outbox::read_after(&self.db, 0, i64::MAX, EVENTS_MAX).await.unwrap()
    }
}

pub(crate) fn envelope(event: &StoredEvent) -> Value {
    serde_json::from_str(&event.envelope).unwrap()
}

/// The token of an employee who holds permissions (`applications:read`) within a scope.
pub(crate) fn token(employee_id: i64, permissions: &[&str], scope: Scope) -> String {
    let grant = |text: &&str| Grant { permission: text.parse::<Permission>().unwrap(), scope };
    chassis::testing::token(employee_id, permissions.iter().map(grant).collect())
}
