//! Departments, and who leads them.

use chassis::Entity;
use chassis::store::{Table, change, create as store_new, find, referred, remove};
use contracts::audit::Actor;
use contracts::company::{DepartmentCreated, DepartmentUpdated};
use contracts::topics::COMPANY_EVENTS;
use eventkit::{UnitOfWork, publish_event};

use super::refuse_while_needed;
use crate::domain::{Change, Department, DepartmentFields, DepartmentType, Headquarters, Record, employee_key};
use crate::error::Error;
use crate::store::{self, Standing};

/// Makes a department.
#[publish_event(DepartmentCreated)]
pub(crate) async fn create(work: &mut UnitOfWork, actor: Actor, fields: DepartmentFields) -> Result<Department, Error> {
    lock_leader(work, fields.leader_id).await?;
    check_references(work, None, &fields).await?;
    store_new(work, actor, Department::columns(&fields)).await
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
    before: Department,
) -> Result<Change<Department>, Error> {
    let found = store::employees_in(work, before.department_id).await?;
    refuse_while_needed(&before, found, "employees")?;
    remove(work, actor, &before).await?;
    let after = Department { record: Record { is_active: false, ..before.record.clone() }, ..before.clone() };
    Ok(Change { before, after })
}

/// Takes the lead from an employee who works here no more; the caller holds the employee's lock.
pub(crate) async fn release_leader(work: &mut UnitOfWork, employee_id: i64) -> Result<(), Error> {
    for department_id in store::departments_led_by(work, employee_id).await? {
        work.lock_entity(&Department::key_of(department_id)).await?;
        // It may have been changed or removed before the lock was had.
        let before: Department = match find(&mut *work, department_id).await {
            Err(Error::NotFound { .. }) => continue,
            found => found?,
        };
        if before.fields.leader_id != Some(employee_id) {
            continue;
        }
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
    let after = change(work, actor, before.clone(), &fields).await?;
    Ok(Change { before, after })
}

/// With the lock, a leader who leaves meanwhile is seen here, or this department is seen by whoever handles that.
pub(crate) async fn lock_leader(work: &mut UnitOfWork, leader_id: Option<i64>) -> Result<(), Error> {
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
