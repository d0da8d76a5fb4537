//! Events about employees, on `user-events`, under the key `user-{employeeId}`.

use eventkit::Event;
use serde::{Deserialize, Serialize};

use crate::topics::USER_EVENTS;

/// Somebody works here now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
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
}
