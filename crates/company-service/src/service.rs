//! What can be done with companies beyond storing fields: every function is part of one unit of work, which its caller
//! commits.
//!
//! Locks are taken in one order, so that units never wait for each other in a circle: an employee, departments from
//! the lowest number, positions, a company, headquarters, types.

pub(crate) mod companies;
pub(crate) mod departments;
pub(crate) mod employees;
pub(crate) mod headquarters;
pub(crate) mod positions;
pub(crate) mod types;

use chassis::Entity;

use crate::error::Error;

/// Refuses to remove what others still need.
fn refuse_while_needed<T: Entity>(entity: &T, found: i64, what: &str) -> Result<(), Error> {
    match found {
        0 => Ok(()),
        found => Err(Error::Conflict(format!(
            "{} {} still has {what}: {found}; remove or move what is in the way first",
            T::NAME,
            entity.id()
        ))),
    }
}
