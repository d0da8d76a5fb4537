//! What the service learns from the events of others: departments and employees, kept in projections.

use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::user::{EmployeeStatus, UserCreated, UserDeleted, UserUpdated};
use eventkit::{Consumer, Handle, HandlerResult, Received, UnitOfWork};

use crate::domain::candidate::full_name;
use crate::store::projections::{self, Department, Employee};

/// Has a consumer keep the projections.
pub(crate) fn handlers(consumer: Consumer) -> Consumer {
    consumer
        .share_units()
        .on::<DepartmentCreated>(Projector)
        .on::<DepartmentUpdated>(Projector)
        .on::<UserCreated>(Projector)
        .on::<UserUpdated>(Projector)
        .on::<UserDeleted>(Projector)
}

/// Writes what an event tells into its projection.
#[derive(Debug, Clone, Copy)]
struct Projector;

impl Handle<DepartmentCreated> for Projector {
    async fn handle(&self, received: &Received<DepartmentCreated>, work: &mut UnitOfWork) -> HandlerResult {
        let event = &received.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: true,
        };
        Ok(projections::put_department(work, &department).await?)
    }
}

impl Handle<DepartmentUpdated> for Projector {
    async fn handle(&self, received: &Received<DepartmentUpdated>, work: &mut UnitOfWork) -> HandlerResult {
        let event = &received.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: event.is_active,
        };
        Ok(projections::put_department(work, &department).await?)
    }
}

impl Handle<UserCreated> for Projector {
    async fn handle(&self, received: &Received<UserCreated>, work: &mut UnitOfWork) -> HandlerResult {
        let event = &received.event;
        let employee = Employee {
            employee_id: event.employee_id,
            name: Some(full_name(&event.first_name, &event.last_name)),
            works_here: event.status != EmployeeStatus::Left,
        };
        Ok(projections::put_employee(work, &employee).await?)
    }
}

impl Handle<UserUpdated> for Projector {
    async fn handle(&self, received: &Received<UserUpdated>, work: &mut UnitOfWork) -> HandlerResult {
        let event = &received.event;
        let employee = Employee {
            employee_id: event.employee_id,
            name: Some(full_name(&event.first_name, &event.last_name)),
            works_here: event.status != EmployeeStatus::Left,
        };
        Ok(projections::put_employee(work, &employee).await?)
    }
}

impl Handle<UserDeleted> for Projector {
    async fn handle(&self, received: &Received<UserDeleted>, work: &mut UnitOfWork) -> HandlerResult {
        let employee = Employee { employee_id: received.event.employee_id, name: None, works_here: false };
        Ok(projections::put_employee(work, &employee).await?)
    }
}
