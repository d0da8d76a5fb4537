//! What the service consumes: departments from company-events, hired candidates from recruitment-events.

use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::recruitment::{ApplicationReviewed, ApplicationStatus};
use contracts::services::COMPANY_SERVICE;
use eventkit::projection::{Project, Projecting, Projection, Told};
use eventkit::{Consumer, Handle, HandlerResult, Received, UnitOfWork};

use crate::service::Service;
use crate::store::departments::{self, Department};

/// The consumer with everything that the service wants to know.
pub(crate) fn with_handlers(consumer: Consumer, service: Service) -> Consumer {
    consumer.share_units().project(&departments()).on::<ApplicationReviewed>(OnApplicationReviewed(service))
}

/// What is known of departments.
fn departments() -> Projection {
    Projection::new("departments")
        .table(departments::TABLE, departments::KEY)
        .made_from::<DepartmentCreated>(COMPANY_SERVICE, Departments)
        .made_from::<DepartmentUpdated>(COMPANY_SERVICE, Departments)
}

struct Departments;

impl Project<DepartmentCreated> for Departments {
    async fn project(&self, told: Told<'_, DepartmentCreated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = told.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: true,
        };
        Ok(departments::add(tables, &department).await?)
    }
}

impl Project<DepartmentUpdated> for Departments {
    async fn project(&self, told: Told<'_, DepartmentUpdated>, tables: &mut Projecting<'_>) -> HandlerResult {
        let event = told.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: event.is_active,
        };
        Ok(departments::put(tables, &department).await?)
    }
}

struct OnApplicationReviewed(Service);

impl Handle<ApplicationReviewed> for OnApplicationReviewed {
    async fn handle(&self, received: &Received<ApplicationReviewed>, work: &mut UnitOfWork) -> HandlerResult {
        match received.event.to {
            ApplicationStatus::Hired => Ok(self.0.prepare_hired(work, &received.event).await?),
            _ => Ok(()),
        }
    }
}
