//! Events about employees, on `user-events`, under the key `user-{employeeId}`.
//!
//! `user.created` and `user.updated` carry the whole public state, so that a reader that saw only the last one knows
//! as much as one that saw all. Private fields (salary, birth date, address) are never in them.

use eventkit::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::topics::USER_EVENTS;

/// Where an employee stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmployeeStatus {
    /// Asked to log in for the first time; what an event without the field means.
    #[default]
    Invited,
    /// Works here.
    Active,
    /// May not log in for now.
    Suspended,
    /// Works here no more.
    Left,
}

/// Somebody works here now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "user.created", topic = USER_EVENTS, key = "user-{employee_id}")]
pub struct UserCreated {
    /// The employee's number.
    pub employee_id: i64,
    /// The address for mail and login.
    pub email: String,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// The number that the company itself uses for the employee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_code: Option<String>,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The department that the employee belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department_id: Option<i64>,
    /// The position that the employee holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_id: Option<i64>,
    /// Where the employee stands.
    #[serde(default)]
    pub status: EmployeeStatus,
}

/// Something about an employee changed; the state after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "user.updated", topic = USER_EVENTS, key = "user-{employee_id}")]
pub struct UserUpdated {
    /// The employee's number.
    pub employee_id: i64,
    /// The address for mail and login.
    pub email: String,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// The number that the company itself uses for the employee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_code: Option<String>,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The department that the employee belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department_id: Option<i64>,
    /// The position that the employee holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_id: Option<i64>,
    /// Where the employee stands.
    #[serde(default)]
    pub status: EmployeeStatus,
    /// The fields that changed, by their names in the API; private ones are named, their values are not told.
    #[serde(default)]
    pub changed: Vec<String>,
}

/// An employee's record was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "user.deleted", topic = USER_EVENTS, key = "user-{employee_id}")]
pub struct UserDeleted {
    /// The employee's number.
    pub employee_id: i64,
    /// The department that the employee belonged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department_id: Option<i64>,
}

/// Somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "user.login", topic = USER_EVENTS, key = "user-{employee_id}")]
pub struct UserLogin {
    /// The employee's number.
    pub employee_id: i64,
    /// The session that began.
    pub session_id: String,
    /// Whether no session of this employee came from such a device before.
    #[serde(default)]
    pub new_device: bool,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// What the client says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogoutReason {
    /// The employee asked for it.
    #[default]
    Requested,
    /// An administrator ended it, or the employee was suspended, left or removed.
    Revoked,
    /// A refresh token was used twice: somebody else may hold it.
    TokenReused,
}

/// A session ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "user.logout", topic = USER_EVENTS, key = "user-{employee_id}")]
pub struct UserLogout {
    /// The employee's number.
    pub employee_id: i64,
    /// The session that ended.
    pub session_id: String,
    /// Why it ended.
    #[serde(default)]
    pub reason: LogoutReason,
}
