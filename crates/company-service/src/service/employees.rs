//! What follows from what the user-service tells of employees, as a projection.

use contracts::services::USER_SERVICE;
use contracts::user::{UserCreated, UserDeleted, UserUpdated};
use eventkit::projection::{self, Project, Projecting, Projection, Told};
use eventkit::{Event, HandlerResult, Received, UnitOfWork};

use crate::domain::{Employee, employee_key};
use crate::store;

const PROJECTION: &str = "employees";

/// Who works where.
pub(crate) fn projection() -> Projection {
    Projection::new(PROJECTION)
        .table(store::employees::TABLE, store::employees::KEY)
        .made_from::<UserCreated>(USER_SERVICE, Employees)
        .made_from::<UserUpdated>(USER_SERVICE, Employees)
        .made_from::<UserDeleted>(USER_SERVICE, Employees)
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Employees;

impl Project<UserCreated> for Employees {
    async fn project(&self, told: Told<'_, UserCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
        Ok(store::add_employee(tables, &Employee::from(told.event)).await?)
    }
}

impl Project<UserUpdated> for Employees {
    async fn project(&self, told: Told<'_, UserUpdated>, tables: &mut Projecting<'_>) -> HandlerResult {
        Ok(store::put_employee(tables, &Employee::from(told.event)).await?)
    }
}

impl Project<UserDeleted> for Employees {
    async fn project(&self, told: Told<'_, UserDeleted>, tables: &mut Projecting<'_>) -> HandlerResult {
        Ok(store::mark_employee_deleted(tables, told.event.employee_id).await?)
    }
}

/// Keeps what an event tells of an employee.
pub(crate) async fn keep<E: Event>(employee_id: i64, received: &Received<E>, work: &mut UnitOfWork) -> HandlerResult
where
    Employees: Project<E>,
{
    work.lock_entity(&employee_key(employee_id)).await?;
    projection::apply(PROJECTION, &Employees, received, work).await
}
