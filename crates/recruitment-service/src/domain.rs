//! What hiring is: parsed types, rules and state machines, without I/O.

pub(crate) mod application;
pub(crate) mod candidate;
pub(crate) mod interview;
pub(crate) mod posting;
pub(crate) mod rules;
pub(crate) mod words;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What every entity has beside its own fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Whether it counts; false once it was removed.
    pub(crate) is_active: bool,
    /// Grows with each change; the `ETag`.
    pub(crate) version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}
