//! Departments, and who leads them.

use contracts::audit::Actor;
use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::topics::COMPANY_EVENTS;
use eventkit::{UnitOfWork, publish_event};

use super::{change, insert, locked, referred, refuse_while_needed, remove};
use crate::domain::{Change, Department, DepartmentFields, DepartmentType, Entity, Headquarters, employee_key};
use crate::error::Error;
use crate::store::{self, Standing};

/// Makes a department.
#[publish_event(DepartmentCreated)]
pub(crate) async fn create(work: &mut UnitOfWork, actor: Actor, fields: DepartmentFields) -> Result<Department, Error> {
    lock_leader(work, fields.leader_id).await?;
    check_references(work, None, &fields).await?;
    insert(work, actor, &fields).await
}

/// The department of this number, locked, for a change that may name `leader_id`.
pub(crate) async fn locked_for(
    work: &mut UnitOfWork,
    department_id: i64,
    leader_id: Option<i64>,
) -> Result<Department, Error> {
    lock_leader(work, leader_id).await?;
    locked(work, department_id).await
}

/// Changes a department that is locked together with the leader that the change names.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    actor: Actor,
    before: Department,
    fields: DepartmentFields,
) -> Result<Department, Error> {
    if before.fields == fields {
        return Ok(before);
    }
    check_references(work, Some(&before.fields), &fields).await?;
    Ok(store_change(work, actor, before, fields).await?.after)
}

/// Removes a department that is locked and where nobody works.
#[publish_event(
    topic = COMPANY_EVENTS,
    event_type = DepartmentUpdated,
    key_extractor = |change| change.after.key(),
    data_extractor = |change| DepartmentUpdated::from(change),
)]
pub(crate) async fn delete(
    work: &mut UnitOfWork,
    actor: Actor,
    department: Department,
) -> Result<Change<Department>, Error> {
    let found = store::employees_in(work, department.department_id).await?;
    refuse_while_needed(&department, found, "employees")?;
    remove(work, actor, department).await
}

/// Takes the lead from an employee who works here no more; the caller holds the employee's lock.
pub(crate) async fn release_leader(work: &mut UnitOfWork, employee_id: i64) -> Result<(), Error> {
    for department_id in store::departments_led_by(work, employee_id).await? {
        work.lock_entity(&Department::key_of(department_id)).await?;
        // It may have been changed or removed before the lock was had.
        let found: Option<Department> = store::find_in(work, department_id).await?;
        let Some(before) = found.filter(|department| department.fields.leader_id == Some(employee_id)) else {
            continue;
        };
        let fields = DepartmentFields { leader_id: None, ..before.fields.clone() };
        let actor = Actor::Service { name: crate::NAME.to_owned() };
        store_change(work, actor, before, fields).await?;
    }
    Ok(())
}

#[publish_event(DepartmentUpdated)]
async fn store_change(
    work: &mut UnitOfWork,
    actor: Actor,
    before: Department,
    fields: DepartmentFields,
) -> Result<Change<Department>, Error> {
    change(work, actor, before, &fields).await
}

/// With the lock, a leader who leaves meanwhile is seen here, or this department is seen by whoever handles that.
async fn lock_leader(work: &mut UnitOfWork, leader_id: Option<i64>) -> Result<(), Error> {
    if let Some(leader_id) = leader_id {
        work.lock_entity(&employee_key(leader_id)).await?;
    }
    Ok(())
}

/// Checks what `fields` refer to, as far as it is not what was referred to `before`.
async fn check_references(
    work: &mut UnitOfWork,
    before: Option<&DepartmentFields>,
    fields: &DepartmentFields,
) -> Result<(), Error> {
    if before.is_none_or(|before| before.headquarter_id != fields.headquarter_id) {
        referred::<Headquarters>(work, "headquarterId", fields.headquarter_id).await?;
    }
    if let Some(id) = fields.department_type_id
        && before.is_none_or(|before| before.department_type_id != fields.department_type_id)
    {
        referred::<DepartmentType>(work, "departmentTypeId", id).await?;
    }
    if let Some(id) = fields.leader_id
        && before.is_none_or(|before| before.leader_id != fields.leader_id)
    {
        match store::standing(work, id).await? {
            Standing::WorksHere => {}
            Standing::Unknown => return Err(Error::NotYetKnown { field: "leaderId", id }),
            Standing::Gone => return Err(Error::field("leaderId", format!("employee {id} works here no more"))),
        }
    }
    Ok(())
}
