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

/// Checks that employees work here.
async fn check_employees(work: &mut UnitOfWork, field: &'static str, employee_ids: &[i64]) -> Result<(), EntityError> {
    let known = projections::employees(work, employee_ids).await?;
    for id in employee_ids {
        match known.get(id) {
            None => return Err(EntityError::NotYetKnown { field, id: *id }),
            Some(employee) if !employee.works_here => {
                return Err(EntityError::field(field, format!("employee {id} works here no more")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
