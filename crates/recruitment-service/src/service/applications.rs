//! What can be done with applications.

use chassis::{EntityError, Filter, IfMatch, Listing, Page, Patch, Principal};
use contracts::RECRUITMENT_EVENTS;
use contracts::access::{Action, Permission, Resource};
use contracts::recruitment::{ApplicationReviewed, ApplicationStatus, ApplicationSubmitted, JobStatus};
use eventkit::{UnitOfWork, publish_event};

use super::{Recruitment, allow, audit};
use crate::domain::application::{self, Application, NewApplication, Review, Reviewed};
use crate::domain::words::word;
use crate::domain::{candidate, posting};
use crate::error::Error;
use crate::store::applications::{self, ENTITY};
use crate::store::{candidates, postings};

const CREATE: Permission = Permission::new(Resource::Applications, Action::Create);
const READ: Permission = Permission::new(Resource::Applications, Action::Read);
const UPDATE: Permission = Permission::new(Resource::Applications, Action::Update);

/// Which applications a list shows.
#[derive(Debug, Default)]
pub(crate) struct ApplicationFilter {
    pub(crate) job_posting_id: Option<i64>,
    pub(crate) candidate_id: Option<i64>,
    pub(crate) status: Option<ApplicationStatus>,
}

impl Recruitment {
    /// Takes an application in.
    #[publish_event(
        topic = RECRUITMENT_EVENTS,
        event_type = ApplicationSubmitted,
        key_extractor = |application| application::key(application.id()),
        data_extractor = |application| ApplicationSubmitted::from(application),
    )]
    pub(crate) async fn submit_application(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        new: NewApplication,
    ) -> Result<Application, Error> {
        let NewApplication { job_posting_id, candidate_id, .. } = new;
        work.lock_entity(&posting::key(job_posting_id)).await?;
        let posting = postings::find(&mut *work, job_posting_id).await.map_err(|error| gone(error, "jobPostingId"))?;
        allow(principal, CREATE, posting.place())?;
        work.lock_entity(&candidate::key(candidate_id)).await?;
        candidates::find(&mut *work, candidate_id).await.map_err(|error| gone(error, "candidateId"))?;
        if applications::exists(work, job_posting_id, candidate_id).await? {
            return Err(Error::AppliedBefore { candidate_id, job_posting_id });
        }
        let now = self.now();
        if posting.state.status != JobStatus::Published {
            let status = word(&posting.state.status);
            return Err(Error::conflict(format!("the posting is {status}: nobody can apply for it")));
        }
        if posting.state.fields.application_deadline <= now {
            return Err(Error::conflict("the application deadline of the posting has passed"));
        }
        let id = applications::add(work, &new, now).await?;
        let id = id.ok_or(Error::AppliedBefore { candidate_id, job_posting_id })?;
        let application = applications::find(&mut *work, id).await?;
        audit(work, principal, application::key(id), None, Some(&application.state)).await?;
        self.follow_applications(work, principal, candidate_id).await?;
        Ok(application)
    }

    /// One application.
    pub(crate) async fn application(&self, principal: &Principal, id: i64) -> Result<Application, Error> {
        let application = applications::find(&self.db, id).await?;
        allow(principal, READ, application.place())?;
        Ok(application.seen_at(self.now()))
    }

    /// A page of the applications that the principal may see.
    pub(crate) async fn applications(
        &self,
        principal: &Principal,
        listing: &Listing,
        wanted: ApplicationFilter,
    ) -> Result<Page<Application>, Error> {
        let filter = Filter::default()
            .covered_by(&principal.scopes(READ), Some("headquarter_id"), Some("department_id"))
            .equals("job_posting_id", wanted.job_posting_id)
            .equals("candidate_id", wanted.candidate_id)
            .equals("status", wanted.status.as_ref().map(word));
        let Page { items, next_cursor } = applications::list(&self.db, listing, filter).await?;
        let now = self.now();
        Ok(Page { items: items.into_iter().map(|item| item.seen_at(now)).collect(), next_cursor })
    }

    /// Changes what reviewers wrote, and the offer.
    pub(crate) async fn update_application(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        patch: Patch,
    ) -> Result<Application, Error> {
        work.lock_entity(&application::key(id)).await?;
        let before = read_for_update(work, principal, id, if_match).await?;
        let fields = patch.apply(&before.state.fields)?;
        before.state.check_patch(&fields)?;
        if fields == before.state.fields {
            return Ok(before.seen_at(self.now()));
        }
        let mut state = before.state.clone();
        state.fields = fields;
        applications::write(work, &state).await?;
        let after = applications::find(&mut *work, id).await?;
        audit(work, principal, application::key(id), Some(&before.state), Some(&after.state)).await?;
        Ok(after.seen_at(self.now()))
    }

    /// Moves an application on its way.
    pub(crate) async fn review_application(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        review: Review,
    ) -> Result<Application, Error> {
        let reviewed = self.review(work, principal, id, if_match, review).await?;
        Ok(reviewed.application.seen_at(self.now()))
    }

    #[publish_event(
        event_type = ApplicationReviewed,
        key_extractor = |reviewed| application::key(reviewed.application.id()),
        data_extractor = |reviewed| ApplicationReviewed::from(reviewed),
    )]
    async fn review(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        review: Review,
    ) -> Result<Reviewed, Error> {
        // Which posting and which candidate it is about never changes, so it can be read before the locks are taken.
        let seen = applications::find(&mut *work, id).await?.state;
        work.lock_entity(&posting::key(seen.job_posting_id)).await?;
        work.lock_entity(&application::key(id)).await?;
        work.lock_entity(&candidate::key(seen.candidate_id)).await?;
        let before = read_for_update(work, principal, id, if_match).await?;
        let to = review.to;
        let state = before.state.reviewed(review, principal.employee_id(), self.now())?;
        let is_forward = !matches!(to, ApplicationStatus::Rejected | ApplicationStatus::Withdrawn);
        if is_forward && before.job_status == JobStatus::Cancelled {
            return Err(Error::conflict(
                "the posting was cancelled: the application can only be rejected or withdrawn",
            ));
        }
        if to == ApplicationStatus::Hired {
            let posting = postings::find(&mut *work, seen.job_posting_id).await?;
            self.fill_vacancy(work, principal, posting).await?;
        }
        applications::write(work, &state).await?;
        let application = applications::find(&mut *work, id).await?;
        audit(work, principal, application::key(id), Some(&before.state), Some(&application.state)).await?;
        self.follow_applications(work, principal, seen.candidate_id).await?;
        if application::is_final(to) {
            self.cancel_interviews(work, principal, id).await?;
        }
        Ok(Reviewed { from: before.state.status, application })
    }
}

/// Reads a locked application, and checks who changes which version of it.
async fn read_for_update(
    work: &mut UnitOfWork,
    principal: &Principal,
    id: i64,
    if_match: IfMatch,
) -> Result<Application, Error> {
    let application = applications::find(work, id).await?;
    allow(principal, UPDATE, application.place())?;
    if_match.check(ENTITY, id, application.state.record.version)?;
    Ok(application)
}

/// What a field refers to is not there: that is the request's mistake, not the path's.
fn gone(error: EntityError, field: &'static str) -> EntityError {
    match error {
        EntityError::NotFound { entity, id } => EntityError::field(field, format!("there is no {entity} {id}")),
        error => error,
    }
}
