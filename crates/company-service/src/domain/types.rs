//! Types of departments and of positions: names to sort and group them by.

use chassis::Entity;
use chassis::rules::{many_lines, one_line};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CODE_CHARS_MAX, LINE_CHARS_MAX, NAME_CHARS_MAX, Record, TEXT_CHARS_MAX, trimmed, trimmed_option};

/// What a client may write of a type of departments or positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TypeFields {
    /// Its name, unique without regard to case.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, min = 1, max = NAME_CHARS_MAX), custom(one_line))]
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// A short name.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = CODE_CHARS_MAX), inner(custom(one_line)))]
    #[schema(min_length = 1, max_length = 32)]
    pub(crate) code: Option<String>,
    /// What types are grouped by.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = LINE_CHARS_MAX), inner(custom(one_line)))]
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) category: Option<String>,
    /// Where it stands in lists; the lowest comes first.
    #[serde(default)]
    #[garde(range(min = 0, max = 1_000_000))]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub(crate) sort_order: i64,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A type of departments.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DepartmentType {
    /// Its number.
    pub(crate) department_type_id: i64,
    #[serde(flatten)]
    pub(crate) fields: TypeFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Entity for DepartmentType {
    type Fields = TypeFields;
    const NAME: &'static str = "department type";
    const KEY: &'static str = "department-type";

    fn id(&self) -> i64 {
        self.department_type_id
    }

    fn fields(&self) -> &TypeFields {
        &self.fields
    }

    fn version(&self) -> i64 {
        self.record.version
    }
}

/// A type of positions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PositionType {
    /// Its number.
    pub(crate) position_type_id: i64,
    #[serde(flatten)]
    pub(crate) fields: TypeFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Entity for PositionType {
    type Fields = TypeFields;
    const NAME: &'static str = "position type";
    const KEY: &'static str = "position-type";

    fn id(&self) -> i64 {
        self.position_type_id
    }

    fn fields(&self) -> &TypeFields {
        &self.fields
    }

    fn version(&self) -> i64 {
        self.record.version
    }
}
