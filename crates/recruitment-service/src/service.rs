//! What can be done: each method is one unit of work, with its events and its audit records.
//!
//! Entities are locked in one order, so that units never wait for each other in a circle: job posting, application,
//! candidate, interview, and last the people who are told, by their numbers.

mod applications;
mod candidates;
mod interviews;
mod notices;
mod postings;

pub(crate) use applications::ApplicationFilter;
pub(crate) use candidates::CandidateFilter;
pub(crate) use interviews::InterviewFilter;
pub(crate) use postings::JobPostingFilter;

use chassis::{EntityError, Principal};
use contracts::access::{Permission, Place};
use contracts::audit::{Action, AuditData, digest};
use db::Db;
use eventkit::{Clock, EventPublisher, UnitOfWork};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::Error;
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

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Refuses what the principal may not do at a place.
fn allow(principal: &Principal, permission: Permission, place: Place) -> Result<(), EntityError> {
    match principal.may_at(permission, place) {
        true => Ok(()),
        false => Err(EntityError::Forbidden(format!("this needs the permission {permission} there"))),
    }
}

/// Records who did what to the entity of this key.
async fn audit<T: Serialize>(
    work: &mut UnitOfWork,
    principal: &Principal,
    entity: String,
    before: Option<&T>,
    after: Option<&T>,
) -> Result<(), Error> {
    let action = match (before, after) {
        (None, _) => Action::Create,
        (Some(_), Some(_)) => Action::Update,
        (Some(_), None) => Action::Delete,
    };
    let (before, after) = (before.map(digest), after.map(digest));
    work.publish(&AuditData { actor: principal.actor(), action, entity, before, after }).await?;
    Ok(())
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
