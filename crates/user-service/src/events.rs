//! What the service consumes: departments from company-events, hired candidates from recruitment-events.

use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::recruitment::{ApplicationReviewed, ApplicationStatus};
use eventkit::{Consumer, Envelope, Handle, HandlerError, HandlerResult, Received, UnitOfWork};

use crate::error::Error;
use crate::service::Service;
use crate::store::departments::{Department, remember};

/// The consumer with everything that the service wants to know.
pub(crate) fn with_handlers(consumer: Consumer, service: Service) -> Consumer {
    consumer
        .share_units()
        .on::<DepartmentCreated>(OnDepartment)
        .on::<DepartmentUpdated>(OnDepartment)
        .on::<ApplicationReviewed>(OnApplicationReviewed(service))
}

struct OnDepartment;

impl Handle<DepartmentCreated> for OnDepartment {
    async fn handle(&self, received: &Received<DepartmentCreated>, work: &mut UnitOfWork) -> HandlerResult {
        let event = &received.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: true,
        };
        keep(work, &department, &received.envelope).await
    }
}

impl Handle<DepartmentUpdated> for OnDepartment {
    async fn handle(&self, received: &Received<DepartmentUpdated>, work: &mut UnitOfWork) -> HandlerResult {
        let event = &received.event;
        let department = Department {
            department_id: event.department_id,
            headquarter_id: event.headquarter_id,
            name: event.name.clone(),
            is_active: event.is_active,
        };
        keep(work, &department, &received.envelope).await
    }
}

async fn keep(work: &mut UnitOfWork, department: &Department, envelope: &Envelope) -> HandlerResult {
    // An envelope without a time is taken for the oldest.
    let told_at_ms = envelope.timestamp.map_or(0, |time| time.as_millisecond());
    remember(work, department, told_at_ms).await.map_err(|error| HandlerError::from(Error::from(error)))
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
