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

/// A rule for texts of one line: no control characters, which includes the zero that PostgreSQL cannot store.
pub(crate) fn one_line(text: &str, (): &()) -> garde::Result {
    match text.chars().any(char::is_control) {
        true => Err(garde::Error::new("must not have control characters")),
        false => Ok(()),
    }
}

/// A rule for longer texts: lines and tabs are fine, other control characters are not.
pub(crate) fn many_lines(text: &str, (): &()) -> garde::Result {
    let is_refused = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    match text.chars().any(is_refused) {
        true => Err(garde::Error::new("must not have control characters but line ends and tabs")),
        false => Ok(()),
    }
}
