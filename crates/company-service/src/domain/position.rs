//! Positions: what people are taken on as.

use chassis::Entity;
use chassis::rules::{many_lines, not_below, one_line};
use contracts::Money;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CODE_CHARS_MAX, NAME_CHARS_MAX, Record, TEXT_CHARS_MAX, trimmed, trimmed_option};

/// What a client may write of a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PositionFields {
    /// What type it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) position_type_id: Option<i64>,
    /// Its name.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, min = 1, max = NAME_CHARS_MAX), custom(one_line))]
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// A short name.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = CODE_CHARS_MAX), inner(custom(one_line)))]
    #[schema(min_length = 1, max_length = 32)]
    pub(crate) code: Option<String>,
    /// From 1, entry, to 5, manager.
    #[garde(range(min = 1, max = 5))]
    #[schema(minimum = 1, maximum = 5)]
    pub(crate) level: i64,
    /// The least that it is paid, in đồng.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "15000000")]
    pub(crate) min_salary: Option<Money>,
    /// The most that it is paid, in đồng; not less than the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(not_below(self.min_salary, "minSalary")))]
    #[schema(value_type = Option<String>, example = "30000000")]
    pub(crate) max_salary: Option<Money>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) requirements: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A position.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Position {
    /// Its number.
    pub(crate) position_id: i64,
    #[serde(flatten)]
    pub(crate) fields: PositionFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Entity for Position {
    type Fields = PositionFields;
    const NAME: &'static str = "position";
    const KEY: &'static str = "position";

    fn id(&self) -> i64 {
        self.position_id
    }

    fn fields(&self) -> &PositionFields {
        &self.fields
    }

    fn version(&self) -> i64 {
        self.record.version
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_valid(min: Option<&str>, max: Option<&str>, level: i64) -> bool {
        let fields = json!({"name": "Cook", "level": level, "minSalary": min, "maxSalary": max});
        serde_json::from_value::<PositionFields>(fields).unwrap().validate().is_ok()
    }

    #[test]
    fn the_most_is_not_below_the_least() {
        assert!(is_valid(None, None, 1));
        assert!(is_valid(Some("9"), None, 1) && is_valid(None, Some("9"), 1));
        assert!(is_valid(Some("9"), Some("9.0"), 1) && is_valid(Some("9"), Some("10"), 1));
        assert!(!is_valid(Some("9"), Some("8.99"), 1));
        assert!(!is_valid(Some("10"), Some("9"), 1), "amounts are not compared as text");
    }

    #[test]
    fn levels_go_from_one_to_five() {
        assert!(is_valid(None, None, 5));
        assert!(!is_valid(None, None, 0) && !is_valid(None, None, 6));
    }
}
