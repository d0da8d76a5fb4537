//! Positions.

use contracts::audit::Actor;
use eventkit::UnitOfWork;

use super::{change, insert, referred, refuse_while_needed, remove};
use crate::domain::{Position, PositionFields, PositionType};
use crate::error::Error;
use crate::store;

/// Makes a position.
pub(crate) async fn create(work: &mut UnitOfWork, actor: Actor, fields: &PositionFields) -> Result<Position, Error> {
    check_type(work, fields.position_type_id).await?;
    insert(work, actor, fields).await
}

/// Changes a position.
pub(crate) async fn update(
    work: &mut UnitOfWork,
    actor: Actor,
    before: Position,
    fields: &PositionFields,
) -> Result<Position, Error> {
    if before.fields == *fields {
        return Ok(before);
    }
    if before.fields.position_type_id != fields.position_type_id {
        check_type(work, fields.position_type_id).await?;
    }
    Ok(change(work, actor, before, fields).await?.after)
}

/// Removes a position that nobody holds.
pub(crate) async fn delete(work: &mut UnitOfWork, actor: Actor, position: Position) -> Result<(), Error> {
    let found = store::employees_on(work, position.position_id).await?;
    refuse_while_needed(&position, found, "employees")?;
    remove(work, actor, position).await?;
    Ok(())
}

async fn check_type(work: &mut UnitOfWork, position_type_id: Option<i64>) -> Result<(), Error> {
    if let Some(id) = position_type_id {
        referred::<PositionType>(work, "positionTypeId", id).await?;
    }
    Ok(())
}
