//! Companies.

use chassis::Entity;
use chassis::rules::{many_lines, one_line, web_address};
use contracts::company::CompanyCreated;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ADDRESS_CHARS_MAX, CODE_CHARS_MAX, LINE_CHARS_MAX, NAME_CHARS_MAX, Record, TEXT_CHARS_MAX, trimmed, trimmed_option,
};

/// What a client may write of a company.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CompanyFields {
    /// Its name.
    #[serde(deserialize_with = "trimmed")]
    #[garde(length(chars, min = 1, max = NAME_CHARS_MAX), custom(one_line))]
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// The number that the tax office uses.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = CODE_CHARS_MAX), inner(custom(one_line)))]
    #[schema(min_length = 1, max_length = 32)]
    pub(crate) tax_code: Option<String>,
    /// What it lives on.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, min = 1, max = LINE_CHARS_MAX), inner(custom(one_line)))]
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) industry: Option<String>,
    /// Its page on the web, beginning with http:// or https://.
    #[serde(default, deserialize_with = "trimmed_option", skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = ADDRESS_CHARS_MAX), inner(custom(web_address)))]
    #[schema(max_length = 500, format = "uri")]
    pub(crate) website: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A company.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Company {
    /// Its number.
    pub(crate) company_id: i64,
    #[serde(flatten)]
    pub(crate) fields: CompanyFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Entity for Company {
    type Fields = CompanyFields;
    const NAME: &'static str = "company";
    const KEY: &'static str = "company";

    fn id(&self) -> i64 {
        self.company_id
    }

    fn fields(&self) -> &CompanyFields {
        &self.fields
    }

    fn version(&self) -> i64 {
        self.record.version
    }
}

impl From<&Company> for CompanyCreated {
    fn from(company: &Company) -> Self {
        let CompanyFields { name, tax_code, industry, website, notes: _ } = company.fields.clone();
        Self { company_id: company.company_id, name, tax_code, industry, website }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let fields = json!({"name": "  ", "taxCode": "", "industry": "x".repeat(101), "website": "javascript:x",
            "notes": "a\u{1b}b"});
        let fields: CompanyFields = serde_json::from_value(fields).unwrap();
        let report = fields.validate().unwrap_err();
        let named: Vec<String> = report.iter().map(|(path, _)| path.to_string()).collect();
        for field in ["name", "tax_code", "industry", "website", "notes"] {
            assert!(named.iter().any(|path| path.starts_with(field)), "{field} is not among {named:?}");
        }
    }
}
