//! Events about companies and their departments, on `company-events`.
//!
//! A department that is removed is told by `department.updated` with `isActive` false.

use eventkit::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::topics::COMPANY_EVENTS;

/// A company exists now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "company.created", topic = COMPANY_EVENTS, key = "company-{company_id}")]
pub struct CompanyCreated {
    /// The company's number.
    pub company_id: i64,
    /// Its name.
    pub name: String,
    /// The number that the tax office uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<String>,
    /// What it lives on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry: Option<String>,
    /// Its page on the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
}

/// A department exists now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "department.created", topic = COMPANY_EVENTS, key = "department-{department_id}")]
pub struct DepartmentCreated {
    /// The department's number.
    pub department_id: i64,
    /// The company that it belongs to.
    pub company_id: i64,
    /// The headquarters that it belongs to.
    pub headquarter_id: i64,
    /// Its name.
    pub name: String,
    /// A short name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The employee who leads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_id: Option<i64>,
}

/// Something about a department changed; the state after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "department.updated", topic = COMPANY_EVENTS, key = "department-{department_id}")]
pub struct DepartmentUpdated {
    /// The department's number.
    pub department_id: i64,
    /// The company that it belongs to.
    pub company_id: i64,
    /// The headquarters that it belongs to.
    pub headquarter_id: i64,
    /// Its name.
    pub name: String,
    /// A short name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The employee who leads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_id: Option<i64>,
    /// Whether it still exists.
    #[serde(default = "active")]
    pub is_active: bool,
    /// The fields that changed, by their names in the API.
    #[serde(default)]
    pub changed: Vec<String>,
}

fn active() -> bool {
    true
}
