//! Departments, and what is told of them.

use chassis::Entity;
use chassis::entity::changed;
use chassis::rules::{many_lines, one_line};
use contracts::Money;
use contracts::access::Place;
use contracts::audit::digest;
use contracts::company::{DepartmentCreated, DepartmentUpdated};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CODE_CHARS_MAX, Change, NAME_CHARS_MAX, Record, TEXT_CHARS_MAX, trimmed, trimmed_option};

/// What a client may write of a department.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DepartmentFields {
    /// The headquarters that it belongs to.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) headquarter_id: i64,
    /// What type it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) department_type_id: Option<i64>,
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
    /// What it is there for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) description: Option<String>,
    /// What it may spend in a year, in đồng; private: only for those who may update the department, and its leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "15000000")]
    pub(crate) budget: Option<Money>,
    /// The employee who leads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) leader_id: Option<i64>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(length(chars, max = TEXT_CHARS_MAX), inner(custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A department.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Department {
    /// Its number.
    pub(crate) department_id: i64,
    /// The company of its headquarters.
    pub(crate) company_id: i64,
    /// How many work in it, as far as user-events have told.
    pub(crate) head_count: i64,
    /// The name of the employee who leads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leader_name: Option<String>,
    #[serde(flatten)]
    pub(crate) fields: DepartmentFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Department {
    /// Where it is, for comparison with scopes.
    pub(crate) fn place(&self) -> Place {
        Place { headquarter_id: Some(self.fields.headquarter_id), department_id: Some(self.department_id) }
    }

    /// The department without what only few may see.
    pub(crate) fn without_private_fields(mut self) -> Self {
        self.fields.budget = None;
        self
    }
}

impl Entity for Department {
    type Fields = DepartmentFields;
    const NAME: &'static str = "department";
    const KEY: &'static str = "department";

    fn id(&self) -> i64 {
        self.department_id
    }

    fn fields(&self) -> &DepartmentFields {
        &self.fields
    }

    fn version(&self) -> i64 {
        self.record.version
    }

    fn digest(&self) -> String {
        let told = DepartmentFields { budget: None, ..self.fields.clone() };
        digest(&(told, self.record.version))
    }
}

impl From<&Department> for DepartmentCreated {
    fn from(department: &Department) -> Self {
        let fields = &department.fields;
        Self {
            department_id: department.department_id,
            company_id: department.company_id,
            headquarter_id: fields.headquarter_id,
            name: fields.name.clone(),
            code: fields.code.clone(),
            leader_id: fields.leader_id,
        }
    }
}

impl From<&Change<Department>> for DepartmentUpdated {
    fn from(Change { before, after }: &Change<Department>) -> Self {
        let mut changed = changed(&before.fields, &after.fields);
        if before.record.is_active != after.record.is_active {
            changed.push("isActive".to_owned());
        }
        let fields = &after.fields;
        Self {
            department_id: after.department_id,
            company_id: after.company_id,
            headquarter_id: fields.headquarter_id,
            name: fields.name.clone(),
            code: fields.code.clone(),
            leader_id: fields.leader_id,
            is_active: after.record.is_active,
            changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_tells_nothing_of_the_budget_but_that_something_changed() {
        let department = |budget: &str, version| Department {
            department_id: 1,
            company_id: 1,
            head_count: 0,
            leader_name: None,
            fields: serde_json::from_value(json!({"headquarterId": 1, "name": "Kitchen", "budget": budget})).unwrap(),
            record: Record {
                is_active: true,
                version,
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
            },
        };
        assert_eq!(department("1", 1).digest(), department("2", 1).digest());
        assert_ne!(department("1", 1).digest(), department("1", 2).digest());
    }
}
