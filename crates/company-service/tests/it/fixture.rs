//! The service in process, and the things that most tests begin with.

use std::ops::Deref;

use chassis::testing::{Answer, Database, OPERATOR, Prepared, Service};
use company_service::{MIGRATIONS, NAME};
use eventkit::Clock;
use eventkit::testing::eventually;
use serde_json::{Value, json};

pub(crate) struct Fixture(Service);

impl Deref for Fixture {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}

impl Fixture {
    pub(crate) async fn on(database: Database) -> Self {
        let prepared = Prepared::on(database, NAME, MIGRATIONS, Clock::system()).await;
        let router = company_service::router(prepared.publisher.db().clone());
        Self(prepared.start(router, Vec::new(), company_service::handlers))
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
        self.post("/api/v1/companies", json!({"name": "TechLeet"})).await.expect(201).id("companyId")
    }

    pub(crate) async fn headquarters(&self, company_id: i64, name: &str) -> i64 {
        let body = headquarters(company_id, name);
        self.post("/api/v1/headquarters", body).await.expect(201).id("headquarterId")
    }

    pub(crate) async fn department(&self, headquarter_id: i64, name: &str) -> i64 {
        let body = json!({"headquarterId": headquarter_id, "name": name});
        self.post("/api/v1/departments", body).await.expect(201).id("departmentId")
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
}

pub(crate) fn headquarters(company_id: i64, name: &str) -> Value {
    json!({
        "companyId": company_id, "name": name, "address": "1 Street", "phone": "0123456", "email": "hq@example.com",
        "city": "Hue"
    })
}
