//! What can be done with employees: each method changes state and tells of it in one unit of work.

use contracts::audit::{Action, Actor, AuditData, digest};
use contracts::user::UserCreated;
use db::Db;
use eventkit::{UnitOfWork, publish_event};

use crate::domain::{CreateUser, Employee};
use crate::error::Error;
use crate::store;

/// The employees, over the service's database.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    db: Db,
}

impl Users {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Takes somebody on.
    #[publish_event(UserCreated)]
    pub(crate) async fn create_user(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        new: CreateUser,
    ) -> Result<Employee, Error> {
        let employee = store::insert(work, &new).await?;
        let after = Some(digest(&employee));
        let record = AuditData { actor, action: Action::Create, entity: employee.key(), before: None, after };
        work.publish(&record).await?;
        Ok(employee)
    }

    pub(crate) async fn find(&self, employee_id: i64) -> Result<Employee, Error> {
        store::find(&self.db, employee_id).await
    }

    pub(crate) async fn list(&self, after: i64, limit: i64) -> Result<Vec<Employee>, Error> {
        store::list(&self.db, after, limit).await
    }
}

#[cfg(test)]
mod tests {
    use eventkit::{Clock, EventPublisher, Origin, outbox};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    async fn publisher() -> (EventPublisher, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("users.db").display());
        let db = Db::open(&db::Config { url, ..db::Config::default() }).await.unwrap();
        outbox::migrate(&db).await.unwrap();
        db.migrate("user_service", crate::MIGRATIONS).await.unwrap();
        (EventPublisher::new(db, crate::NAME, Clock::system()), folder)
    }

    fn request(email: &str, code: &str) -> CreateUser {
        let json = json!({
            "firstName": "An", "lastName": "Tran", "email": email, "employeeCode": code,
            "address": "1 Secret Street", "birthDate": "1990-02-03", "startDate": "2026-11-24"
        });
        serde_json::from_value(json).unwrap()
    }

    #[tokio::test]
    async fn a_new_employee_is_stored_and_told_of_and_private_fields_are_not() {
        let (publisher, _folder) = publisher().await;
        let users = Users::new(publisher.db().clone());
        let mut work = publisher.begin(Origin::default());
        let employee = users.create_user(&mut work, Actor::Operator, request("an@example.com", "E1")).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(users.find(employee.employee_id).await.unwrap(), employee);
        let events = outbox::read_after(publisher.db(), 0, i64::MAX, 10).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| (event.event_type.as_str(), event.topic.as_str())).collect();
        assert_eq!(told, [("audit.data", "audit-events"), ("user.created", "user-events")]);
        for event in events {
            assert_eq!(event.key, employee.key());
            assert!(!event.envelope.contains("Secret") && !event.envelope.contains("1990"), "{}", event.envelope);
        }
    }

    #[tokio::test]
    async fn a_taken_address_or_code_names_its_field() {
        let (publisher, _folder) = publisher().await;
        let users = Users::new(publisher.db().clone());
        let mut work = publisher.begin(Origin::default());
        users.create_user(&mut work, Actor::Operator, request("an@example.com", "E1")).await.unwrap();
        work.commit().await.unwrap();
        for (email, code, taken) in [("AN@example.com", "E2", "email"), ("b@example.com", "E1", "employeeCode")] {
            let mut work = publisher.begin(Origin::default());
            let error = users.create_user(&mut work, Actor::Operator, request(email, code)).await.unwrap_err();
            assert!(matches!(error, Error::Taken { field } if field == taken), "{error:?}");
        }
        assert_eq!(users.list(0, 10).await.unwrap().len(), 1);
    }
}
