//! What the service consumes: the lives of employees.

use contracts::user::{EmployeeStatus, UserCreated, UserDeleted, UserUpdated};
use eventkit::{Consumer, Handle, HandlerError, HandlerResult, Received, UnitOfWork};

use crate::error::Error;
use crate::service::departments::release_leader;
use crate::service::employees::{keep, projection};

/// Gives `consumer` the handlers of this service.
pub fn handlers(consumer: Consumer) -> Consumer {
    let consumer = consumer.share_units().feeds(&projection());
    consumer.on::<UserCreated>(Employees).on::<UserUpdated>(Employees).on::<UserDeleted>(Employees)
}

/// Keeps the projection of employees and the leaders of departments: who does not work here any more leads none.
struct Employees;

impl Handle<UserCreated> for Employees {
    async fn handle(&self, received: &Received<UserCreated>, work: &mut UnitOfWork) -> HandlerResult {
        keep(received.event.employee_id, received, work).await
    }
}

impl Handle<UserUpdated> for Employees {
    async fn handle(&self, received: &Received<UserUpdated>, work: &mut UnitOfWork) -> HandlerResult {
        let employee = &received.event;
        keep(employee.employee_id, received, work).await?;
        match employee.status {
            EmployeeStatus::Left => release_leader(work, employee.employee_id).await.map_err(unhandled),
            _ => Ok(()),
        }
    }
}

impl Handle<UserDeleted> for Employees {
    async fn handle(&self, received: &Received<UserDeleted>, work: &mut UnitOfWork) -> HandlerResult {
        let employee_id = received.event.employee_id;
        keep(employee_id, received, work).await?;
        release_leader(work, employee_id).await.map_err(unhandled)
    }
}

fn unhandled(error: Error) -> HandlerError {
    match error {
        Error::Backbone(error) => error.into(),
        error => HandlerError::permanent(error),
    }
}
