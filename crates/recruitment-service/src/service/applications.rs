//! What can be done with applications.

use chassis::store::{change, create, find, no_such, referred, write};
use chassis::{Edit, Entity, EntityError, Patch, Principal};
use contracts::RECRUITMENT_EVENTS;
use contracts::access::{Action, Permission, Resource};
use contracts::recruitment::{ApplicationReviewed, ApplicationStatus, ApplicationSubmitted, JobStatus};
use eventkit::{UnitOfWork, publish_event};

use super::{Recruitment, allow_anywhere};
use crate::domain::application::{self, Application, NewApplication, Review, Reviewed};
use crate::domain::candidate::Candidate;
use crate::domain::posting::JobPosting;
use crate::domain::words::word;
use crate::error::Error;
use crate::store::{applications, candidates};

const READ_CANDIDATES: Permission = Permission::new(Resource::Candidates, Action::Read);
const CREATE: Permission = Permission::new(Resource::Applications, Action::Create);
const UPDATE: Permission = Permission::new(Resource::Applications, Action::Update);

impl Recruitment {
    /// Takes an application in.
    #[publish_event(
        topic = RECRUITMENT_EVENTS,
        event_type = ApplicationSubmitted,
        key_extractor = |application| application.key(),
        data_extractor = |application| ApplicationSubmitted::from(application),
    )]
    pub(crate) async fn submit_application(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        new: NewApplication,
    ) -> Result<Application, Error> {
        let NewApplication { job_posting_id, candidate_id, .. } = new;
        let posting: JobPosting = referred(work, "jobPostingId", job_posting_id).await?;
        principal.allow_at(CREATE, posting.place())?;
        referred::<Candidate>(work, "candidateId", candidate_id).await?;
        check_may_refer(work, principal, candidate_id).await?;
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
        let application = match create(work, principal.actor(), applications::new(&new, now)).await {
            Err(error) if applications::is_second(&error) => {
                return Err(Error::AppliedBefore { candidate_id, job_posting_id });
            }
            made => made?,
        };
        self.follow_applications(work, principal.actor(), candidate_id).await?;
        Ok(application)
    }

    /// Changes what reviewers wrote, and the offer.
    pub(crate) async fn update_application(&self, edit: &mut Edit, patch: Patch) -> Result<Application, Error> {
        let before: Application = edit.locked().await?;
        edit.principal.allow_at(UPDATE, before.place())?;
        let fields = edit.apply(&before, patch)?;
        before.state.check_patch(&fields)?;
        let after = change(&mut edit.work, edit.principal.actor(), before, &fields).await?;
        Ok(after.seen_at(self.now()))
    }

    /// Moves an application on its way.
    pub(crate) async fn review_application(&self, edit: &mut Edit, review: Review) -> Result<Application, Error> {
        // Which posting and which candidate it is about never changes, so it can be read before the locks are taken.
        let seen: Application = find(&mut *edit.work, edit.id).await?;
        edit.work.lock_entity(&JobPosting::key_of(seen.state.job_posting_id)).await?;
        let before: Application = edit.locked().await?;
        edit.work.lock_entity(&Candidate::key_of(seen.state.candidate_id)).await?;
        edit.principal.allow_at(UPDATE, before.place())?;
        edit.check(&before)?;
        let reviewed = self.review(&mut edit.work, &edit.principal, before, review).await?;
        Ok(reviewed.application.seen_at(self.now()))
    }

    #[publish_event(
        event_type = ApplicationReviewed,
        key_extractor = |reviewed| reviewed.application.key(),
        data_extractor = |reviewed| ApplicationReviewed::from(reviewed),
    )]
    async fn review(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        before: Application,
        review: Review,
    ) -> Result<Reviewed, Error> {
        let to = review.to;
        let state = before.state.reviewed(review, principal.employee_id(), self.now())?;
        let is_forward = !matches!(to, ApplicationStatus::Rejected | ApplicationStatus::Withdrawn);
        if is_forward && before.job_status == JobStatus::Cancelled {
            return Err(Error::conflict(
                "the posting was cancelled: the application can only be rejected or withdrawn",
            ));
        }
        if to == ApplicationStatus::Hired {
            let posting: JobPosting = find(&mut *work, state.job_posting_id).await?;
            self.fill_vacancy(work, principal.actor(), posting).await?;
        }
        let application = write(work, principal.actor(), &before, applications::reviewed(&state)).await?;
        self.follow_applications(work, principal.actor(), state.candidate_id).await?;
        if application::is_final(to) {
            self.cancel_interviews(work, principal.actor(), state.application_id).await?;
        }
        Ok(Reviewed { from: before.state.status, application })
    }
}

/// A candidate whom others know is there only for those who may see them: with the application the department would
/// come to see the record. One who has not applied for anything is anybody's.
async fn check_may_refer(work: &mut UnitOfWork, principal: &Principal, candidate_id: i64) -> Result<(), EntityError> {
    let places = candidates::places(&mut *work, candidate_id).await?;
    match places.is_empty() || allow_anywhere(principal, READ_CANDIDATES, &places).is_ok() {
        true => Ok(()),
        false => Err(no_such::<Candidate>("candidateId", candidate_id)),
    }
}
