//! What can be done with job postings.

use chassis::{EntityError, Filter, IfMatch, Listing, Page, Patch, Principal};
use contracts::access::{Action, Permission, Place, Resource};
use contracts::recruitment::{EmploymentType, ExperienceLevel, JobPosted, JobStatus, JobUpdated};
use eventkit::{UnitOfWork, publish_event};

use super::{Recruitment, allow, audit, employee_name};
use crate::domain::posting::{self, JobPosting, JobPostingChange, JobPostingFields};
use crate::domain::words::word;
use crate::error::Error;
use crate::store::postings::{self, ENTITY};
use crate::store::projections;

const CREATE: Permission = Permission::new(Resource::JobPostings, Action::Create);
const READ: Permission = Permission::new(Resource::JobPostings, Action::Read);
const UPDATE: Permission = Permission::new(Resource::JobPostings, Action::Update);
const DELETE: Permission = Permission::new(Resource::JobPostings, Action::Delete);

/// Which postings a list shows.
#[derive(Debug, Default)]
pub(crate) struct JobPostingFilter {
    pub(crate) status: Option<JobStatus>,
    pub(crate) department_id: Option<i64>,
    pub(crate) position_id: Option<i64>,
    pub(crate) hiring_manager_id: Option<i64>,
    pub(crate) employment_type: Option<EmploymentType>,
    pub(crate) experience_level: Option<ExperienceLevel>,
    pub(crate) q: Option<String>,
}

impl Recruitment {
    /// Writes a draft.
    pub(crate) async fn create_posting(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: JobPostingFields,
    ) -> Result<JobPosting, Error> {
        let place = check_department(work, fields.department_id).await?;
        allow(principal, CREATE, place)?;
        employee_name(work, "hiringManagerId", fields.hiring_manager_id).await?;
        let id = postings::add(work, &fields).await?;
        let posting = postings::find(&mut *work, id).await?;
        audit(work, principal, posting::key(id), None, Some(&posting.state)).await?;
        Ok(posting)
    }

    /// One posting.
    pub(crate) async fn posting(&self, principal: &Principal, id: i64) -> Result<JobPosting, Error> {
        let posting = postings::find(&self.db, id).await?;
        allow(principal, READ, posting.place())?;
        Ok(posting)
    }

    /// A page of the postings that the principal may see.
    pub(crate) async fn postings(
        &self,
        principal: &Principal,
        listing: &Listing,
        wanted: JobPostingFilter,
    ) -> Result<Page<JobPosting>, Error> {
        let filter = Filter::default()
            .covered_by(&principal.scopes(READ), Some("headquarter_id"), Some("department_id"))
            .equals("status", wanted.status.as_ref().map(word))
            .equals("department_id", wanted.department_id)
            .equals("position_id", wanted.position_id)
            .equals("hiring_manager_id", wanted.hiring_manager_id)
            .equals("employment_type", wanted.employment_type.as_ref().map(word))
            .equals("experience_level", wanted.experience_level.as_ref().map(word))
            .contains("q", &["title_folded"], wanted.q.as_deref())?;
        Ok(postings::list(&self.db, listing, filter).await?)
    }

    /// Changes what a posting says.
    pub(crate) async fn update_posting(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        patch: Patch,
    ) -> Result<JobPosting, Error> {
        let before = lock_for_update(work, principal, id, if_match).await?;
        if posting::is_final(before.state.status) {
            let status = word(&before.state.status);
            return Err(Error::conflict(format!("a posting that is {status} does not change any more")));
        }
        let fields = patch.apply(&before.state.fields)?;
        if fields == before.state.fields {
            return Ok(before);
        }
        self.check_update(work, principal, &before, &fields).await?;
        postings::write(work, id, &fields).await?;
        self.tell(work, principal, before).await
    }

    /// Publishes a draft.
    #[publish_event(JobPosted)]
    pub(crate) async fn publish_posting(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
    ) -> Result<JobPosting, Error> {
        let before = lock_for_update(work, principal, id, if_match).await?;
        check_step(&before, JobStatus::Published)?;
        let fields = &before.state.fields;
        if fields.application_deadline <= self.now() {
            return Err(EntityError::field("applicationDeadline", "must be in the future to publish").into());
        }
        // The draft may be old: whom it names may have gone since.
        check_department(work, fields.department_id).await?;
        employee_name(work, "hiringManagerId", fields.hiring_manager_id).await?;
        postings::publish(work, id, self.now()).await?;
        let after = postings::find(&mut *work, id).await?;
        audit(work, principal, posting::key(id), Some(&before.state), Some(&after.state)).await?;
        Ok(after)
    }

    /// Closes or cancels a posting.
    pub(crate) async fn end_posting(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
        to: JobStatus,
    ) -> Result<JobPosting, Error> {
        let before = lock_for_update(work, principal, id, if_match).await?;
        check_step(&before, to)?;
        postings::set_status(work, id, to).await?;
        self.tell(work, principal, before).await
    }

    /// Removes a draft.
    pub(crate) async fn delete_posting(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        id: i64,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        work.lock_entity(&posting::key(id)).await?;
        let posting = postings::find(&mut *work, id).await?;
        allow(principal, DELETE, posting.place())?;
        if_match.check(ENTITY, id, posting.state.record.version)?;
        if posting.state.status != JobStatus::Draft {
            return Err(Error::conflict("only a draft can be removed: close or cancel the posting instead"));
        }
        postings::remove(work, id, self.now()).await?;
        audit(work, principal, posting::key(id), Some(&posting.state), None).await
    }

    /// Takes one vacancy of a locked posting away; the last one closes it.
    pub(super) async fn fill_vacancy(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        before: JobPosting,
    ) -> Result<(), Error> {
        if before.state.open_vacancies < 1 {
            return Err(Error::conflict("no vacancy of the posting is left"));
        }
        let status = match (before.state.status, before.state.open_vacancies) {
            (JobStatus::Published, 1) => JobStatus::Closed,
            (status, _) => status,
        };
        postings::fill(work, before.id(), before.filled() + 1, status).await?;
        self.tell(work, principal, before).await?;
        Ok(())
    }

    /// Records a change of a posting, and tells the public of it unless it was never told of the posting.
    async fn tell(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        before: JobPosting,
    ) -> Result<JobPosting, Error> {
        let id = before.id();
        let after = postings::find(&mut *work, id).await?;
        audit(work, principal, posting::key(id), Some(&before.state), Some(&after.state)).await?;
        if before.state.published_date.is_none() {
            return Ok(after);
        }
        Ok(self.tell_public(work, JobPostingChange { before, after }).await?.after)
    }

    #[publish_event(
        event_type = JobUpdated,
        key_extractor = |change| posting::key(change.after.id()),
        data_extractor = |change| JobUpdated::from(change),
    )]
    async fn tell_public(&self, work: &mut UnitOfWork, change: JobPostingChange) -> Result<JobPostingChange, Error> {
        Ok(change)
    }

    /// Checks what a patch has made of a posting.
    async fn check_update(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        before: &JobPosting,
        fields: &JobPostingFields,
    ) -> Result<(), Error> {
        let old = &before.state.fields;
        if fields.department_id != old.department_id {
            let place = check_department(work, fields.department_id).await?;
            allow(principal, UPDATE, place)?;
        }
        if fields.hiring_manager_id != old.hiring_manager_id {
            employee_name(work, "hiringManagerId", fields.hiring_manager_id).await?;
        }
        let is_published = before.state.status == JobStatus::Published;
        let deadline = fields.application_deadline;
        if is_published && deadline != old.application_deadline && deadline <= self.now() {
            return Err(EntityError::field("applicationDeadline", "must be in the future").into());
        }
        let filled = before.filled();
        if is_published && fields.vacancies <= filled {
            let message = format!("must be more than the {filled} who were hired; or close the posting");
            return Err(EntityError::field("vacancies", message).into());
        }
        Ok(())
    }
}

/// Locks a posting, and checks who changes which version of it.
async fn lock_for_update(
    work: &mut UnitOfWork,
    principal: &Principal,
    id: i64,
    if_match: IfMatch,
) -> Result<JobPosting, Error> {
    work.lock_entity(&posting::key(id)).await?;
    let posting = postings::find(&mut *work, id).await?;
    allow(principal, UPDATE, posting.place())?;
    if_match.check(ENTITY, id, posting.state.record.version)?;
    Ok(posting)
}

fn check_step(posting: &JobPosting, to: JobStatus) -> Result<(), Error> {
    let from = posting.state.status;
    match posting::may_become(from, to) {
        true => Ok(()),
        false => Err(Error::conflict(format!("a posting that is {} cannot become {}", word(&from), word(&to)))),
    }
}

/// Checks that a department exists; answers where it is.
async fn check_department(work: &mut UnitOfWork, department_id: i64) -> Result<Place, EntityError> {
    const FIELD: &str = "departmentId";
    match projections::department(work, department_id).await? {
        None => Err(EntityError::NotYetKnown { field: FIELD, id: department_id }),
        Some(department) if !department.is_active => {
            Err(EntityError::field(FIELD, format!("department {department_id} exists no more")))
        }
        Some(department) => {
            Ok(Place { headquarter_id: Some(department.headquarter_id), department_id: Some(department_id) })
        }
    }
}
