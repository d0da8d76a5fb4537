//! Employees: taken on, changed, removed.

use chassis::store::audit;
use chassis::{Edit, EntityError, IfMatch, Listing, Page, Patch, Principal, entity};
use contracts::USER_EVENTS;
use contracts::access::Place;
use contracts::audit::Actor;
use contracts::user::{LogoutReason, UserCreated, UserDeleted, UserUpdated};
use eventkit::{UnitOfWork, publish_event};
use jiff::tz::TimeZone;

use super::{ADMIN_GATE, CREATE, DELETE, READ, Service, UPDATE};
use crate::answers::Whose;
use crate::domain::employee::{Changed, EMPLOYEE, key};
use crate::domain::role::BEGINNER;
use crate::domain::{Employee, EmployeeFields, Status, fold};
use crate::error::Error;
use crate::store;
use crate::store::employees::Wanted;

impl Service {
    /// Takes somebody on, and invites them.
    pub(crate) async fn create_employee(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        fields: EmployeeFields,
    ) -> Result<Employee, Error> {
        self.check_fields(&fields)?;
        if fields.status.is_some_and(|status| status != Status::Invited) {
            return Err(EntityError::field("status", "of a new employee is invited").into());
        }
        let place = place_of(work, fields.department_id).await?;
        principal.allow_at(CREATE, place)?;
        let employee = self.add(work, principal.actor(), &fields, Status::Invited, None).await?;
        self.invite(work, &employee).await?;
        Ok(employee)
    }

    /// Adds an employee with the role that everybody begins with.
    #[publish_event(UserCreated)]
    pub(super) async fn add(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        fields: &EmployeeFields,
        status: Status,
        password_hash: Option<&str>,
    ) -> Result<Employee, Error> {
        let employee = store::employees::insert(work, fields, status, password_hash).await?;
        store::roles::assign_first(work, employee.employee_id, BEGINNER).await?;
        audit(work, actor, employee.key(), None, Some(employee.digest())).await?;
        Ok(employee)
    }

    /// Changes an employee's record.
    pub(crate) async fn update_employee(&self, edit: &mut Edit, patch: Patch) -> Result<Employee, Error> {
        let Edit { principal, id: employee_id, if_match, work } = edit;
        let employee_id = *employee_id;
        let may_end_sessions = patch.get("status").is_some();
        if may_end_sessions {
            self.answers.before_change(Whose::Employee(employee_id)).await?;
        }
        work.lock_entity(&key(employee_id)).await?;
        let before = store::employees::find(&mut **work, employee_id).await?;
        principal.allow_at(UPDATE, before.place())?;
        if_match.check(EMPLOYEE, employee_id, before.version)?;
        let fields: EmployeeFields = patch.apply(&before.fields())?;
        self.check_fields(&fields)?;
        let status = fields.status.ok_or_else(|| EntityError::field("status", "is required"))?;
        before.check_status(status)?;
        if fields.department_id != before.department_id {
            let place = place_of(work, fields.department_id).await?;
            principal.allow_at(UPDATE, place)?;
        }
        let is_invited_again = before.status == Status::Left && status == Status::Invited;
        let has_other_mail = fold(&fields.email) != fold(&before.email);
        if is_invited_again || has_other_mail {
            // Whoever gets the mail of an account can take it over.
            self.require_not_above(work, principal, employee_id).await?;
        }
        if has_other_mail {
            store::invitations::remove_of(work, employee_id).await?;
        }
        if entity::changed(&before.fields(), &fields).is_empty() {
            return Ok(before);
        }
        if before.status == Status::Active && status != Status::Active {
            self.require_another_admin(work, employee_id).await?;
        }
        let actor = principal.actor();
        let after = self.change(work, actor.clone(), &before, &fields, status).await?.employee;
        if may_end_sessions && after.status != Status::Active {
            self.end_sessions(work, employee_id, LogoutReason::Revoked, &actor).await?;
        }
        if !matches!(after.status, Status::Active | Status::Invited) {
            store::invitations::remove_of(work, employee_id).await?;
        }
        if is_invited_again {
            self.invite(work, &after).await?;
        }
        Ok(after)
    }

    /// Writes fields that differ, in a unit that has locked the employee.
    #[publish_event(UserUpdated)]
    pub(super) async fn change(
        &self,
        work: &mut UnitOfWork,
        actor: Actor,
        before: &Employee,
        fields: &EmployeeFields,
        status: Status,
    ) -> Result<Changed, Error> {
        let employee = store::employees::update(work, before.employee_id, fields, status).await?;
        let (old, new) = (Some(before.digest()), Some(employee.digest()));
        audit(work, actor, employee.key(), old, new).await?;
        let fields = entity::changed(&before.fields(), &employee.fields());
        Ok(Changed { employee, fields })
    }

    /// Removes an employee: the record stays, out of everybody's sight.
    #[publish_event(
        topic = USER_EVENTS,
        event_type = UserDeleted,
        key_extractor = |employee| employee.key(),
        data_extractor = |employee| UserDeleted::from(employee),
    )]
    pub(crate) async fn delete_employee(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        employee_id: i64,
        if_match: IfMatch,
    ) -> Result<Employee, Error> {
        self.answers.before_change(Whose::Employee(employee_id)).await?;
        work.lock_entity(&key(employee_id)).await?;
        let employee = store::employees::find(&mut *work, employee_id).await?;
        principal.allow_at(DELETE, employee.place())?;
        if_match.check(EMPLOYEE, employee_id, employee.version)?;
        self.require_another_admin(work, employee_id).await?;
        let actor = principal.actor();
        self.end_sessions(work, employee_id, LogoutReason::Revoked, &actor).await?;
        store::invitations::remove_of(work, employee_id).await?;
        store::roles::assign(work, employee_id, &[]).await?;
        store::employees::remove(work, employee_id).await?;
        audit(work, actor, employee.key(), Some(employee.digest()), None).await?;
        Ok(employee)
    }

    /// The record of an employee, as far as `principal` may see it.
    pub(crate) async fn find_employee(&self, principal: &Principal, employee_id: i64) -> Result<Employee, Error> {
        let is_own = principal.employee_id() == Some(employee_id);
        if !is_own && !principal.may(READ) {
            // Whether there is such a number is not told to whoever may see none.
            principal.allow_at(READ, Place::default())?;
        }
        let employee = store::employees::find(&self.db, employee_id).await?;
        if !is_own {
            principal.allow_at(READ, employee.place())?;
        }
        Ok(employee)
    }

    /// One page of the employees that `principal` may see.
    pub(crate) async fn list_employees(
        &self,
        principal: &Principal,
        listing: &Listing,
        wanted: &Wanted<'_>,
    ) -> Result<Page<Employee>, Error> {
        let scopes = principal.scopes(READ);
        Ok(store::employees::list(&self.db, listing, wanted, &scopes).await?)
    }

    fn check_fields(&self, fields: &EmployeeFields) -> Result<(), EntityError> {
        fields.check_dates(TimeZone::UTC.to_datetime(self.clock.now()).date())
    }

    /// Refuses to take away whoever alone runs the installation.
    pub(super) async fn require_another_admin(&self, work: &mut UnitOfWork, employee_id: i64) -> Result<(), Error> {
        work.lock_entity(ADMIN_GATE).await?;
        if store::roles::is_admin(work, employee_id).await? && !store::roles::has_other_admin(work, employee_id).await?
        {
            return Err(EntityError::Conflict("the last administrator cannot be taken away".to_owned()).into());
        }
        Ok(())
    }
}

/// Where a department is; it must be known and still exist.
pub(super) async fn place_of(work: &mut UnitOfWork, department_id: Option<i64>) -> Result<Place, EntityError> {
    let Some(id) = department_id else { return Ok(Place::default()) };
    let Some(department) = store::departments::find(work, id).await? else {
        return Err(EntityError::NotYetKnown { field: "departmentId", id });
    };
    match department.is_active {
        true => Ok(Place { headquarter_id: Some(department.headquarter_id), department_id }),
        false => Err(EntityError::field("departmentId", "does not exist any more")),
    }
}
