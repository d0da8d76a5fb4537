//! Headquarters: where a company is; one of them is the main one.

use chassis::Entity;
use chassis::rules::{many_lines, one_line, telephone};
use contracts::access::Place;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ADDRESS_CHARS_MAX, CODE_CHARS_MAX, EMAIL_CHARS_MAX, LINE_CHARS_MAX, NAME_CHARS_MAX, Record, TEXT_CHARS_MAX,
    trimmed, trimmed_option,
};

/// What a client may write of a headquarters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HeadquartersFields {
    /// The company that it belongs to; never changes.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) company_id: i64,
    /// Its name, unique in the company without regard to case.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, min = 1, max = NAME_CHARS_MAX), custom(one_line))]
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// Street and number.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, min = 1, max = ADDRESS_CHARS_MAX), custom(many_lines))]
    #[schema(min_length = 1, max_length = 500)]
    pub(crate) address: String,
    /// A telephone number.
    #[serde(deserialize_with = "trimmed")]
    #[garde(custom(telephone))]
    #[schema(min_length = 3, max_length = 32)]
    pub(crate) phone: String,
    /// An address for mail.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, max = EMAIL_CHARS_MAX), email, custom(one_line))]
    #[schema(max_length = 254, format = Email)]
    pub(crate) email: String,
    /// The city.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, min = 1, max = LINE_CHARS_MAX), custom(one_line))]
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) city: String,
    /// The postal code.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = CODE_CHARS_MAX), inner(custom(one_line)))]
    #[schema(min_length = 1, max_length = 32)]
    pub(crate) postal_code: Option<String>,
    /// What there is to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) description: Option<String>,
    /// Whether it is the company's main one. The first of a company always is; making another one main takes it from
    /// the one before.
    #[serde(default)]
    #[garde(skip)]
    pub(crate) is_main: bool,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A headquarters.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Headquarters {
    /// Its number.
    pub(crate) headquarter_id: i64,
    #[serde(flatten)]
    pub(crate) fields: HeadquartersFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Headquarters {
    /// Where it is, for comparison with scopes.
    pub(crate) fn place(&self) -> Place {
        Place { headquarter_id: Some(self.headquarter_id), department_id: None }
    }
}

impl Entity for Headquarters {
    type Fields = HeadquartersFields;
    const NAME: &'static str = "headquarters";
    const KEY: &'static str = "headquarter";

    fn id(&self) -> i64 {
        self.headquarter_id
    }

    fn fields(&self) -> &HeadquartersFields {
        &self.fields
    }

    fn version(&self) -> i64 {
        self.record.version
    }
}
