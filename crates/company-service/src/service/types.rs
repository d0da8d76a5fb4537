//! Types of departments and of positions.

use contracts::audit::Actor;
use eventkit::UnitOfWork;

use super::{change, insert, refuse_while_needed, remove};
use crate::domain::{DepartmentType, PositionType, TypeFields};
use crate::error::Error;
use crate::store::{self, Table};

/// Makes a type.
pub(crate) async fn create<T: Table<Fields = TypeFields>>(
    work: &mut UnitOfWork,
    actor: Actor,
    fields: &TypeFields,
) -> Result<T, Error> {
    insert(work, actor, fields).await
}

/// Changes a type that is locked.
pub(crate) async fn update<T: Table<Fields = TypeFields>>(
    work: &mut UnitOfWork,
    actor: Actor,
    before: T,
    fields: &TypeFields,
) -> Result<T, Error> {
    if before.fields() == fields {
        return Ok(before);
    }
    Ok(change(work, actor, before, fields).await?.after)
}

/// Removes a type of departments that is locked and that none is of.
pub(crate) async fn delete_department_type(
    work: &mut UnitOfWork,
    actor: Actor,
    department_type: DepartmentType,
) -> Result<(), Error> {
    let found = store::departments_of_type(work, department_type.department_type_id).await?;
    refuse_while_needed(&department_type, found, "departments")?;
    remove(work, actor, department_type).await?;
    Ok(())
}

/// Removes a type of positions that is locked and that none is of.
pub(crate) async fn delete_position_type(
    work: &mut UnitOfWork,
    actor: Actor,
    position_type: PositionType,
) -> Result<(), Error> {
    let found = store::positions_of_type(work, position_type.position_type_id).await?;
    refuse_while_needed(&position_type, found, "positions")?;
    remove(work, actor, position_type).await?;
    Ok(())
}
