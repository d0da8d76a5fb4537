//! What the service learns from the events of others: departments and employees, kept in projections.

use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::services::{COMPANY_SERVICE, USER_SERVICE};
use contracts::user::{EmployeeStatus, UserCreated, UserDeleted, UserUpdated};
use eventkit::projection::{Project, Projecting, Projection, Told};
use eventkit::{Consumer, HandlerResult};

use crate::domain::candidate::full_name;
use crate::store::projections::{self, Department, Employee};

/// Has a consumer keep the projections.
pub(crate) fn handlers(consumer: Consumer) -> Consumer {
    consumer.share_units().project(&departments()).project(&employees())
}

fn departments() -> Projection {
    Projection::new("departments")
        .table(projections::DEPARTMENTS, &["department_id"])
        .made_from::<DepartmentCreated>(COMPANY_SERVICE, Projector)
        .made_from::<DepartmentUpdated>(COMPANY_SERVICE, Projector)
}

fn employees() -> Projection {
    Projection::new("employees")
        .table(projections::EMPLOYEES, &["employee_id"])
        .made_from::<UserCreated>(USER_SERVICE, Projector)
        .made_from::<UserUpdated>(USER_SERVICE, Projector)
        .made_from::<UserDeleted>(USER_SERVICE, Projector)
}

/// Writes what an event tells into its projection.
#[derive(Debug, Clone, Copy)]
struct Projector;

impl Project<DepartmentCreated> for Projector {
    async fn project(&self, told: Told<'_, DepartmentCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = told.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: true,
        };
        Ok(projections::add_department(tables, &department).await?)
    }
}

impl Project<DepartmentUpdated> for Projector {
    async fn project(&self, told: Told<'_, DepartmentUpdated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = told.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: event.is_active,
        };
        Ok(projections::put_department(tables, &department).await?)
    }
}

impl Project<UserCreated> for Projector {
    async fn project(&self, told: Told<'_, UserCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = told.event;
        let employee = employee(event.employee_id, &event.first_name, &event.last_name, event.status);
        Ok(projections::add_employee(tables, &employee).await?)
    }
}

impl Project<UserUpdated> for Projector {
    async fn project(&self, told: Told<'_, UserUpdated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = told.event;
        let employee = employee(event.employee_id, &event.first_name, &event.last_name, event.status);
        Ok(projections::put_employee(tables, &employee).await?)
    }
}

impl Project<UserDeleted> for Projector {
    async fn project(&self, told: Told<'_, UserDeleted>, tables: &mut Projecting<'_>) -> HandlerResult {
        Ok(projections::remove_employee(tables, told.event.employee_id).await?)
    }
}

fn employee(employee_id: i64, first_name: &str, last_name: &str, status: EmployeeStatus) -> Employee {
    let name = Some(full_name(first_name, last_name));
    Employee { employee_id, name, works_here: status != EmployeeStatus::Left }
}
