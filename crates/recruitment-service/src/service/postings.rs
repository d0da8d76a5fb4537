//! What can be done with job postings.

use chassis::store::{Columns, Table, create, remove, write};
use chassis::{Edit, Entity, EntityError, Patch, Principal};
use contracts::access::{Action, Permission, Place, Resource};
use contracts::audit::Actor;
use contracts::recruitment::{JobPosted, JobStatus, JobUpdated};
use eventkit::{UnitOfWork, publish_event};

use super::{Recruitment, check_employees};
use crate::domain::posting::{self, JobPosting, JobPostingChange, JobPostingFields};
use crate::domain::words::word;
use crate::error::Error;
use crate::store::{postings, projections};

const CREATE: Permission = Permission::new(Resource::JobPostings, Action::Create);
const UPDATE: Permission = Permission::new(Resource::JobPostings, Action::Update);
const DELETE: Permission = Permission::new(Resource::JobPostings, Action::Delete);

const HIRING_MANAGER: &str = "hiringManagerId";

impl Recruitment {
    /// Writes a draft.
    pub(crate) async fn create_posting(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: JobPostingFields,
    ) -> Result<JobPosting, Error> {
        let place = check_department(work, fields.department_id).await?;
        principal.allow_at(CREATE, place)?;
        check_employees(work, HIRING_MANAGER, &[fields.hiring_manager_id]).await?;
        Ok(create(work, principal.actor(), postings::draft(&fields)).await?)
    }

    /// Changes what a posting says.
    pub(crate) async fn update_posting(&self, edit: &mut Edit, patch: Patch) -> Result<JobPosting, Error> {
        let before = lock_for_update(edit).await?;
        if posting::is_final(before.state.status) {
            let status = word(&before.state.status);
            return Err(Error::conflict(format!("a posting that is {status} does not change any more")));
        }
        let fields = patch.apply(&before.state.fields)?;
        if fields == before.state.fields {
            return Ok(before);
        }
        self.check_update(edit, &before, &fields).await?;
        self.write_and_tell(&mut edit.work, edit.principal.actor(), before, JobPosting::columns(&fields)).await
    }

    /// Publishes a draft.
    pub(crate) async fn publish_posting(&self, edit: &mut Edit) -> Result<JobPosting, Error> {
        let before = lock_for_update(edit).await?;
        check_step(&before, JobStatus::Published)?;
        let fields = &before.state.fields;
        if fields.application_deadline <= self.now() {
            return Err(EntityError::field("applicationDeadline", "must be in the future to publish").into());
        }
        // The draft may be old: whom it names may have gone since.
        check_department(&mut edit.work, fields.department_id).await?;
        check_employees(&mut edit.work, HIRING_MANAGER, &[fields.hiring_manager_id]).await?;
        self.write_published(&mut edit.work, edit.principal.actor(), before).await
    }

    #[publish_event(JobPosted)]
    async fn write_published(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        before: JobPosting,
    ) -> Result<JobPosting, Error> {
        Ok(write(work, actor, &before, postings::published(self.now())).await?)
    }

    /// Closes or cancels a posting.
    pub(crate) async fn end_posting(&self, edit: &mut Edit, to: JobStatus) -> Result<JobPosting, Error> {
        let before = lock_for_update(edit).await?;
        check_step(&before, to)?;
        self.write_and_tell(&mut edit.work, edit.principal.actor(), before, postings::status(to)).await
    }

    /// Removes a draft.
    pub(crate) async fn delete_posting(&self, edit: &mut Edit) -> Result<(), Error> {
        let posting: JobPosting = edit.locked().await?;
        edit.principal.allow_at(DELETE, posting.place())?;
        edit.check(&posting)?;
        if posting.state.status != JobStatus::Draft {
            return Err(Error::conflict("only a draft can be removed: close or cancel the posting instead"));
        }
        Ok(remove(&mut edit.work, edit.principal.actor(), &posting).await?)
    }

    /// Takes one vacancy of a locked posting away; the last one closes it.
    pub(super) async fn fill_vacancy(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        before: JobPosting,
    ) -> Result<(), Error> {
        if before.state.open_vacancies < 1 {
            return Err(Error::conflict("no vacancy of the posting is left"));
        }
        let status = match (before.state.status, before.state.open_vacancies) {
            (JobStatus::Published, 1) => JobStatus::Closed,
            (status, _) => status,
        };
        let columns = postings::filled(before.filled() + 1, status);
        self.write_and_tell(work, actor, before, columns).await?;
        Ok(())
    }

    /// Stores a change of a posting, and tells the public of it unless it was never told of the posting.
    async fn write_and_tell(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        before: JobPosting,
        columns: Columns,
    ) -> Result<JobPosting, Error> {
        let after = write(work, actor, &before, columns).await?;
        if before.state.published_date.is_none() {
            return Ok(after);
        }
        Ok(self.tell_public(work, JobPostingChange { before, after }).await?.after)
    }

    #[publish_event(
        event_type = JobUpdated,
        key_extractor = |change| change.after.key(),
        data_extractor = |change| JobUpdated::from(change),
    )]
    async fn tell_public(&self, work: &mut UnitOfWork, change: JobPostingChange) -> Result<JobPostingChange, Error> {
        Ok(change)
    }

    /// Checks what a patch has made of a posting.
    async fn check_update(&self, edit: &mut Edit, before: &JobPosting, fields: &JobPostingFields) -> Result<(), Error> {
        let old = &before.state.fields;
        if fields.department_id != old.department_id {
            let place = check_department(&mut edit.work, fields.department_id).await?;
            edit.principal.allow_at(UPDATE, place)?;
        }
        if fields.hiring_manager_id != old.hiring_manager_id {
            check_employees(&mut edit.work, HIRING_MANAGER, &[fields.hiring_manager_id]).await?;
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
async fn lock_for_update(edit: &mut Edit) -> Result<JobPosting, Error> {
    let posting: JobPosting = edit.locked().await?;
    edit.principal.allow_at(UPDATE, posting.place())?;
    edit.check(&posting)?;
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
