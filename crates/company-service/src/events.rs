//! What the service consumes: the lives of employees.

use contracts::user::{UserCreated, UserDeleted, UserUpdated};
use eventkit::{Consumer, Handle, HandlerError, HandlerResult, Received, UnitOfWork};

use crate::domain::Employee;
use crate::error::Error;
use crate::service::employees;

/// Gives `consumer` the handlers of this service.
pub fn handlers(consumer: Consumer) -> Consumer {
    let consumer = consumer.share_units();
    consumer.on::<UserCreated>(Employees).on::<UserUpdated>(Employees).on::<UserDeleted>(Employees)
}

/// Keeps the projection of employees and the leaders of departments.
struct Employees;

impl Handle<UserCreated> for Employees {
    async fn handle(&self, received: &Received<UserCreated>, work: &mut UnitOfWork) -> HandlerResult {
        employees::add(work, &Employee::from(&received.event)).await.map_err(unhandled)
    }
}

impl Handle<UserUpdated> for Employees {
    async fn handle(&self, received: &Received<UserUpdated>, work: &mut UnitOfWork) -> HandlerResult {
        employees::keep(work, &Employee::from(&received.event)).await.map_err(unhandled)
    }
}

impl Handle<UserDeleted> for Employees {
    async fn handle(&self, received: &Received<UserDeleted>, work: &mut UnitOfWork) -> HandlerResult {
        employees::forget(work, received.event.employee_id).await.map_err(unhandled)
    }
}

fn unhandled(error: Error) -> HandlerError {
    match error {
        Error::Backbone(error) => error.into(),
        error => HandlerError::permanent(error),
    }
}
