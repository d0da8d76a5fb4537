//! Types of departments and of positions.

use chassis::store::remove;
use contracts::audit::Actor;
use eventkit::UnitOfWork;

use super::refuse_while_needed;
use crate::domain::{DepartmentType, PositionType};
use crate::error::Error;
use crate::store;

/// Removes a type of departments that is locked and that none is of.
pub(crate) async fn delete_department_type(
    work: &mut UnitOfWork,
    actor: Actor,
    department_type: DepartmentType,
) -> Result<(), Error> {
    let found = store::departments_of_type(work, department_type.department_type_id).await?;
    refuse_while_needed(&department_type, found, "departments")?;
    remove(work, actor, &department_type).await
}

/// Removes a type of positions that is locked and that none is of.
pub(crate) async fn delete_position_type(
    work: &mut UnitOfWork,
    actor: Actor,
    position_type: PositionType,
) -> Result<(), Error> {
    let found = store::positions_of_type(work, position_type.position_type_id).await?;
    refuse_while_needed(&position_type, found, "positions")?;
    remove(work, actor, &position_type).await
}
