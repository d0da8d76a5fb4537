//! Positions.

use chassis::store::{Table, change, create as store_new, referred, remove};
use contracts::audit::Actor;
use eventkit::UnitOfWork;

use super::refuse_while_needed;
use crate::domain::{Position, PositionFields, PositionType};
use crate::error::Error;
use crate::store;

/// Makes a position.
pub(crate) async fn create(work: &mut UnitOfWork, actor: Actor, fields: &PositionFields) -> Result<Position, Error> {
    check_type(work, fields.position_type_id).await?;
    store_new(work, actor, Position::columns(fields)).await
}

/// Changes a position that is locked.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    actor: Actor,
    before: Position,
    fields: &PositionFields,
) -> Result<Position, Error> {
    if before.fields.position_type_id != fields.position_type_id {
        check_type(work, fields.position_type_id).await?;
    }
    change(work, actor, before, fields).await
}

/// Removes a position that is locked and that nobody holds.
pub(crate) async fn delete(work: &mut UnitOfWork, actor: Actor, position: Position) -> Result<(), Error> {
    let found = store::employees_on(work, position.position_id).await?;
    refuse_while_needed(&position, found, "employees")?;
    remove(work, actor, &position).await
}

async fn check_type(work: &mut UnitOfWork, position_type_id: Option<i64>) -> Result<(), Error> {
    if let Some(id) = position_type_id {
        referred::<PositionType>(work, "positionTypeId", id).await?;
    }
    Ok(())
}
