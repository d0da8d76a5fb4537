//! What follows from what the user-service tells of employees.

use eventkit::UnitOfWork;

use super::departments::release_leader;
use crate::domain::{Employee, employee_key};
use crate::error::Error;
use crate::store;

/// Keeps somebody new.
pub(crate) async fn add(work: &mut UnitOfWork, employee: &Employee) -> Result<(), Error> {
    work.lock_entity(&employee_key(employee.employee_id)).await?;
    store::add_employee(work, employee).await
}

/// Keeps the latest of somebody; who has left leads no department.
pub(crate) async fn keep(work: &mut UnitOfWork, employee: &Employee) -> Result<(), Error> {
    work.lock_entity(&employee_key(employee.employee_id)).await?;
    store::put_employee(work, employee).await?;
    match employee.works_here {
        true => Ok(()),
        false => release_leader(work, employee.employee_id).await,
    }
}

/// Keeps that somebody was deleted, who then leads no department.
pub(crate) async fn forget(work: &mut UnitOfWork, employee_id: i64) -> Result<(), Error> {
    work.lock_entity(&employee_key(employee_id)).await?;
    store::mark_employee_deleted(work, employee_id).await?;
    release_leader(work, employee_id).await
}
