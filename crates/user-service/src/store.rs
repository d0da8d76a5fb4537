//! The database: the only place that knows the tables.

pub(crate) mod departments;
pub(crate) mod employees;
pub(crate) mod invitations;
pub(crate) mod keys;
pub(crate) mod roles;
pub(crate) mod sessions;

use chassis::EntityError;
use db::Row;
use jiff::Timestamp;

/// A time as it is stored: milliseconds since 1970.
fn time(row: &Row, column: &str, entity: &'static str, id: i64) -> Result<Timestamp, EntityError> {
    let corrupt = |_| EntityError::Corrupt { entity, id, reason: "a time is out of range" };
    Timestamp::from_millisecond(row.get(column)?).map_err(corrupt)
}
