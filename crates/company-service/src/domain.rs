//! What companies are made of, and which requests make sense: plain types and rules without I/O.

mod company;
mod department;
mod employee;
mod headquarters;
mod position;
mod types;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

pub(crate) use company::{Company, CompanyFields};
pub(crate) use department::{Department, DepartmentFields};
pub(crate) use employee::{Employee, employee_key};
pub(crate) use headquarters::{Headquarters, HeadquartersFields};
pub(crate) use position::{Position, PositionFields};
pub(crate) use types::{DepartmentType, PositionType, TypeFields};

/// The longest name of anything, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 200;
/// The longest short name or tax number, in characters.
pub(crate) const CODE_CHARS_MAX: usize = 32;
/// The longest line of text that is neither a name nor an address, in characters.
pub(crate) const LINE_CHARS_MAX: usize = 100;
/// The longest address of a place or of a page on the web, in characters.
pub(crate) const ADDRESS_CHARS_MAX: usize = 500;
/// The longest mail address that RFC 5321 lets a path hold, in characters.
pub(crate) const EMAIL_CHARS_MAX: usize = 254;
/// The longest free text, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 4_000;

/// What every entity has besides its own fields.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Whether it still exists.
    pub(crate) is_active: bool,
    /// How often it was changed, from 1; also the `ETag`.
    pub(crate) version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

/// An entity before and after a change.
#[derive(Debug)]
pub(crate) struct Change<T> {
    pub(crate) before: T,
    pub(crate) after: T,
}

/// Text without the white space around it.
pub(crate) fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(String::deserialize(deserializer)?.trim().to_owned())
}

/// As [`trimmed`], for text that may be absent.
pub(crate) fn trimmed_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(|text| text.trim().to_owned()))
}
