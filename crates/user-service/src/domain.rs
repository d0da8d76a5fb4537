//! What employees, roles and passwords are, and which requests make sense: plain types and rules without I/O.

pub(crate) mod employee;
pub(crate) mod password;
pub(crate) mod role;

pub(crate) use employee::{Employee, EmployeeFields, Status};
pub(crate) use role::{Assignment, Role, RoleFields};

/// A text as it is compared and searched: in lower case.
pub(crate) fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}
