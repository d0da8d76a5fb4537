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
