//! What can be done: each method is one unit of work, with its events and its audit records.
//!
//! Entities are locked in one order, so that units never wait for each other in a circle: job posting, application,
//! candidate, interview, and last the people who are told, by their numbers.

mod applications;
mod candidates;
mod interviews;
mod notices;
mod postings;

pub(crate) use candidates::allow_anywhere;

use chassis::EntityError;
use db::Db;
use eventkit::{Clock, EventPublisher, UnitOfWork};
use jiff::Timestamp;

use crate::store::projections;

/// Hiring, over the service's database; a cheap handle to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recruitment {
    db: Db,
    clock: Clock,
}

impl Recruitment {
    pub(crate) fn new(publisher: &EventPublisher) -> Self {
        Self { db: publisher.db().clone(), clock: publisher.clock().clone() }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Checks that an employee works here; answers the name.
async fn employee_name(
    work: &mut UnitOfWork,
    field: &'static str,
    employee_id: i64,
) -> Result<Option<String>, EntityError> {
    match projections::employee(work, employee_id).await? {
        None => Err(EntityError::NotYetKnown { field, id: employee_id }),
        Some(employee) if !employee.works_here => {
            Err(EntityError::field(field, format!("employee {employee_id} works here no more")))
        }
        Some(employee) => Ok(employee.name),
    }
}
