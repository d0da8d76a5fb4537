//! What can be done with interviews, and who is told of them.

use chassis::{EntityError, Filter, IfMatch, Listing, Page, Patch, Principal};
use contracts::access::{Action, Permission, Resource};
use eventkit::UnitOfWork;

use super::notices::Notices;
use super::{Recruitment, allow, audit, employee_name};
use crate::domain::application;
use crate::domain::interview::{self, Interview, InterviewFields, InterviewStatus};
use crate::domain::words::word;
use crate::error::Error;
use crate::store::applications;
use crate::store::interviews::{self, ENTITY};

const CREATE: Permission = Permission::new(Resource::Interviews, Action::Create);
const READ: Permission = Permission::new(Resource::Interviews, Action::Read);
const UPDATE: Permission = Permission::new(Resource::Interviews, Action::Update);

/// Which interviews a list shows.
#[derive(Debug, Default)]
pub(crate) struct InterviewFilter {
    pub(crate) application_id: Option<i64>,
    pub(crate) candidate_id: Option<i64>,
    pub(crate) interviewer_id: Option<i64>,
    pub(crate) status: Option<InterviewStatus>,
}

impl Recruitment {
    /// Sets an interview up and tells everybody who takes part.
    pub(crate) async fn create_interview(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: InterviewFields,
    ) -> Result<Interview, Error> {
        let application_id = fields.application_id;
        work.lock_entity(&application::key(application_id)).await?;
        let application = applications::find(&mut *work, application_id).await.map_err(|error| match error {
            EntityError::NotFound { id, .. } => {
                EntityError::field("applicationId", format!("there is no application {id}"))
            }
            error => error,
        })?;
        allow(principal, CREATE, application.place())?;
        if application::is_final(application.state.status) {
            return Err(Error::conflict(format!("the application is {}", word(&application.state.status))));
        }
        fields.check_new(self.now())?;
        check_interviewers(work, &fields.interviewers).await?;
        let id = interviews::add(work, &fields).await?;
        let interview = interviews::find(&mut *work, id).await?;
        audit(work, principal, interview::key(id), None, Some(&interview.state)).await?;
        let mut notices = Notices::default();
        notices.scheduled(&interview, false);
        notices.send(work).await?;
        Ok(interview)
    }

    /// One interview.
    pub(crate) async fn interview(&self, principal: &Principal, id: i64) -> Result<Interview, Error> {
        let interview = interviews::find(&self.db, id).await?;
        allow(principal, READ, interview.place())?;
        Ok(interview)
    }

    /// A page of the interviews that the principal may see.
    pub(crate) async fn interviews(
        &self,
        principal: &Principal,
        listing: &Listing,
        wanted: InterviewFilter,
    ) -> Result<Page<Interview>, Error> {
        let filter = Filter::default()
            .covered_by(&principal.scopes(READ), Some("headquarter_id"), Some("department_id"))
            .equals("application_id", wanted.application_id)
            .equals("candidate_id", wanted.candidate_id)
            .equals("status", wanted.status.as_ref().map(word));
        let filter = interviews::with_interviewer(filter, wanted.interviewer_id)?;
        Ok(interviews::list(&self.db, listing, filter).await?)
    }

    /// Moves an interview, takes it further on its way, or writes down what came of it.
    pub(crate) async fn update_interview(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        patch: Patch,
    ) -> Result<Interview, Error> {
        // Which application it is about never changes, so it can be read before the locks are taken.
        let application_id = interviews::find(&mut *work, id).await?.state.fields.application_id;
        work.lock_entity(&application::key(application_id)).await?;
        work.lock_entity(&interview::key(id)).await?;
        let before = interviews::find(&mut *work, id).await?;
        allow(principal, UPDATE, before.place())?;
        if_match.check(ENTITY, id, before.state.record.version)?;
        let old = &before.state.fields;
        let fields = patch.apply(old)?;
        if fields == *old {
            return Ok(before);
        }
        fields.check_patch(old, self.now())?;
        let is_moved = fields.differs_in_appointment(old);
        if is_moved && application::is_final(before.application_status) {
            return Err(Error::conflict(format!("the application is {}", word(&before.application_status))));
        }
        let newcomers: Vec<i64> =
            fields.interviewers.iter().filter(|id| !old.interviewers.contains(id)).copied().collect();
        check_interviewers(work, &newcomers).await?;
        interviews::write(work, id, &fields).await?;
        let after = interviews::find(&mut *work, id).await?;
        audit(work, principal, interview::key(id), Some(&before.state), Some(&after.state)).await?;
        let mut notices = Notices::default();
        notices.changed(&before, &after);
        notices.send(work).await?;
        Ok(after)
    }

    /// Cancels the interviews that lie ahead of an application that was decided; the application is locked.
    pub(super) async fn cancel_interviews(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        application_id: i64,
    ) -> Result<(), Error> {
        let mut notices = Notices::default();
        for id in interviews::of_application(work, application_id).await? {
            work.lock_entity(&interview::key(id)).await?;
            let before = interviews::find(&mut *work, id).await?;
            if !before.state.fields.status.is_ahead() {
                continue;
            }
            let fields = InterviewFields { status: InterviewStatus::Cancelled, ..before.state.fields.clone() };
            interviews::write(work, id, &fields).await?;
            let after = interviews::find(&mut *work, id).await?;
            audit(work, principal, interview::key(id), Some(&before.state), Some(&after.state)).await?;
            notices.cancelled(&after);
        }
        notices.send(work).await
    }
}

async fn check_interviewers(work: &mut UnitOfWork, employee_ids: &[i64]) -> Result<(), EntityError> {
    for employee_id in employee_ids {
        employee_name(work, "interviewers", *employee_id).await?;
    }
    Ok(())
}
