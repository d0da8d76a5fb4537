//! What can be done with companies: every function is part of one unit of work, which its caller commits.
//!
//! Locks are taken in one order, so that units never wait for each other in a circle: an employee, departments from
//! the lowest number, positions, a company, headquarters, types.

pub(crate) mod companies;
pub(crate) mod departments;
pub(crate) mod employees;
pub(crate) mod headquarters;
pub(crate) mod positions;
pub(crate) mod types;

use contracts::audit::{Action, Actor, AuditData, digest};
use eventkit::UnitOfWork;

use crate::domain::{Change, Entity};
use crate::error::Error;
use crate::store::{self, Table};

/// The entity of this number, which nobody else changes until the unit ends.
pub(crate) async fn locked<T: Table>(work: &mut UnitOfWork, id: i64) -> Result<T, Error> {
    work.lock_entity(&T::key_of(id)).await?;
    store::find_in(work, id).await?.ok_or(Error::NotFound { entity: T::NAME, id })
}

/// As [`locked`], for what `field` of a request refers to.
async fn referred<T: Table>(work: &mut UnitOfWork, field: &'static str, id: i64) -> Result<T, Error> {
    work.lock_entity(&T::key_of(id)).await?;
    let found = store::find_in(work, id).await?;
    found.ok_or_else(|| Error::field(field, format!("there is no {} {id}", T::NAME)))
}

/// Makes an entity, and records that.
async fn insert<T: Table>(work: &mut UnitOfWork, actor: Actor, fields: &T::Fields) -> Result<T, Error> {
    let id = store::insert::<T>(work, fields).await?;
    let entity = find_stored::<T>(work, id).await?;
    audit(work, actor, Action::Create, None, Some(&entity)).await?;
    Ok(entity)
}

/// Stores other fields of an entity, and records that.
async fn change<T: Table>(
    work: &mut UnitOfWork,
    actor: Actor,
    before: T,
    fields: &T::Fields,
) -> Result<Change<T>, Error> {
    store::update::<T>(work, before.id(), fields).await?;
    let after = find_stored::<T>(work, before.id()).await?;
    audit(work, actor, Action::Update, Some(&before), Some(&after)).await?;
    Ok(Change { before, after })
}

/// Removes an entity, and records that.
async fn remove<T: Table>(work: &mut UnitOfWork, actor: Actor, before: T) -> Result<Change<T>, Error> {
    let after = store::remove::<T>(work, before.id()).await?;
    audit(work, actor, Action::Delete, Some(&before), None).await?;
    Ok(Change { before, after })
}

async fn find_stored<T: Table>(work: &mut UnitOfWork, id: i64) -> Result<T, Error> {
    let found = store::find_in(work, id).await?;
    found.ok_or(Error::Corrupt { entity: T::NAME, id, reason: "it is gone right after it was stored" })
}

/// States are told as digests of what clients can write: what follows from other rows is no part of them.
async fn audit<T: Entity>(
    work: &mut UnitOfWork,
    actor: Actor,
    action: Action,
    before: Option<&T>,
    after: Option<&T>,
) -> Result<(), Error> {
    let Some(entity) = before.or(after) else { return Ok(()) };
    let digest_of = |entity: &T| digest(entity.fields());
    let (before, after) = (before.map(digest_of), after.map(digest_of));
    work.publish(&AuditData { actor, action, entity: entity.key(), before, after }).await?;
    Ok(())
}

/// Refuses to remove what others still need.
fn refuse_while_needed<T: Table>(entity: &T, found: i64, what: &str) -> Result<(), Error> {
    match found {
        0 => Ok(()),
        found => Err(Error::Conflict(format!(
            "{} {} still has {what}: {found}; remove or move what is in the way first",
            T::NAME,
            entity.id()
        ))),
    }
}
