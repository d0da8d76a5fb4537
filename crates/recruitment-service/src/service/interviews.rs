//! What can be done with interviews, and who is told of them.

use chassis::store::{Table, create, find, locked, referred, write};
use chassis::{Edit, Entity, Patch, Principal};
use contracts::access::{Action, Permission, Resource};
use contracts::audit::Actor;
use eventkit::UnitOfWork;

use super::notices::Notices;
use super::{Recruitment, check_employees};
use crate::domain::application::{self, Application};
use crate::domain::interview::{Interview, InterviewFields, InterviewStatus, OPEN_MAX};
use crate::domain::words::word;
use crate::error::Error;
use crate::store::interviews;

const CREATE: Permission = Permission::new(Resource::Interviews, Action::Create);
const UPDATE: Permission = Permission::new(Resource::Interviews, Action::Update);

const INTERVIEWERS: &str = "interviewers";

impl Recruitment {
    /// Sets an interview up and tells everybody who takes part.
    pub(crate) async fn create_interview(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: InterviewFields,
    ) -> Result<Interview, Error> {
        let application: Application = referred(work, "applicationId", fields.application_id).await?;
        principal.allow_at(CREATE, application.place())?;
        if application::is_final(application.state.status) {
            return Err(Error::conflict(format!("the application is {}", word(&application.state.status))));
        }
        // Nobody else sets one up meanwhile: the application is locked.
        let open = interviews::open_of(work, fields.application_id).await?.len();
        if open >= OPEN_MAX {
            let detail = format!("the application has {open} interviews that are not over: hold or cancel one first");
            return Err(Error::conflict(detail));
        }
        fields.check_new(self.now())?;
        check_employees(work, INTERVIEWERS, &fields.interviewers).await?;
        let interview = create(work, principal.actor(), interviews::new(&fields)).await?;
        let mut notices = Notices::default();
        notices.scheduled(&interview, false);
        notices.send(work).await?;
        Ok(interview)
    }

    /// Moves an interview, takes it further on its way, or writes down what came of it.
    pub(crate) async fn update_interview(&self, edit: &mut Edit, patch: Patch) -> Result<Interview, Error> {
        // Which application it is about never changes, so it can be read before the locks are taken.
        let seen: Interview = find(&mut *edit.work, edit.id).await?;
        edit.work.lock_entity(&Application::key_of(seen.state.fields.application_id)).await?;
        let before: Interview = edit.locked().await?;
        edit.principal.allow_at(UPDATE, before.place())?;
        let fields = edit.apply(&before, patch)?;
        let old = &before.state.fields;
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
        check_employees(&mut edit.work, INTERVIEWERS, &newcomers).await?;
        let after = write(&mut edit.work, edit.principal.actor(), &before, Interview::columns(&fields)).await?;
        let mut notices = Notices::default();
        notices.changed(&before, &after);
        notices.send(&mut edit.work).await?;
        Ok(after)
    }

    /// Cancels the interviews that lie ahead of an application that was decided; the application is locked.
    pub(super) async fn cancel_interviews(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        application_id: i64,
    ) -> Result<(), Error> {
        let mut notices = Notices::default();
        for id in interviews::open_of(work, application_id).await? {
            let before: Interview = locked(work, id).await?;
            if !before.state.fields.status.is_ahead() {
                continue;
            }
            let fields = InterviewFields { status: InterviewStatus::Cancelled, ..before.state.fields.clone() };
            let after = write(work, actor.clone(), &before, Interview::columns(&fields)).await?;
            notices.cancelled(&after);
        }
        notices.send(work).await
    }
}
