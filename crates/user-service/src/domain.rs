//! What an employee is, and which requests make sense: plain types and rules without I/O.

use contracts::user::UserCreated;
use garde::Validate;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The longest name, in characters.
const NAME_LENGTH_MAX: usize = 100;
/// The longest mail address that RFC 5321 lets a path hold, in characters.
const EMAIL_LENGTH_MAX: usize = 254;
/// The longest address of a place, in characters.
const ADDRESS_LENGTH_MAX: usize = 500;
/// The longest note, in characters.
const NOTES_LENGTH_MAX: usize = 4_000;

/// A request to take somebody on.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CreateUser {
    /// The given name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank))]
    pub(crate) first_name: String,
    /// The family name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank))]
    pub(crate) last_name: String,
    /// The address for mail and login; unique without regard to case.
    #[garde(length(chars, max = EMAIL_LENGTH_MAX), email)]
    pub(crate) email: String,
    /// The number that the company itself uses; unique.
    #[serde(default)]
    #[garde(inner(length(chars, max = 32), custom(not_blank)))]
    pub(crate) employee_code: Option<String>,
    /// A telephone number.
    #[serde(default)]
    #[garde(inner(length(chars, min = 3, max = 32)))]
    pub(crate) phone_number: Option<String>,
    /// Where the employee lives; private.
    #[serde(default)]
    #[garde(inner(length(chars, max = ADDRESS_LENGTH_MAX)))]
    pub(crate) address: Option<String>,
    /// The day of birth; private.
    #[serde(default)]
    #[garde(skip)]
    pub(crate) birth_date: Option<Date>,
    /// The first day at work.
    #[serde(default)]
    #[garde(skip)]
    pub(crate) start_date: Option<Date>,
    /// Anything else.
    #[serde(default)]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX)))]
    pub(crate) notes: Option<String>,
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Asked to log in for the first time.
    Invited,
    /// Works here.
    Active,
    /// May not log in for now.
    Suspended,
    /// Works here no more.
    Left,
}

impl Status {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Left => "left",
        }
    }

    /// From how it is stored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Invited, Self::Active, Self::Suspended, Self::Left].into_iter().find(|status| status.as_str() == text)
    }
}

/// Somebody who works here.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Employee {
    /// The number that everything else refers to.
    pub(crate) employee_id: i64,
    /// The number that the company itself uses.
    pub(crate) employee_code: Option<String>,
    /// The given name.
    pub(crate) first_name: String,
    /// The family name.
    pub(crate) last_name: String,
    /// The address for mail and login.
    pub(crate) email: String,
    /// A telephone number.
    pub(crate) phone_number: Option<String>,
    /// Where the employee lives.
    pub(crate) address: Option<String>,
    /// The day of birth.
    pub(crate) birth_date: Option<Date>,
    /// The first day at work.
    pub(crate) start_date: Option<Date>,
    /// Where the employee stands.
    pub(crate) status: Status,
    /// Anything else.
    pub(crate) notes: Option<String>,
    /// Whether the record counts.
    pub(crate) is_active: bool,
    /// Grows with each change; the `ETag`.
    pub(crate) version: i64,
    /// When the record was made.
    pub(crate) created_at: Timestamp,
    /// When it was changed last.
    pub(crate) updated_at: Timestamp,
}

impl Employee {
    /// The key of everything about this employee.
    pub(crate) fn key(&self) -> String {
        format!("user-{}", self.employee_id)
    }
}

impl From<&Employee> for UserCreated {
    fn from(employee: &Employee) -> Self {
        Self {
            employee_id: employee.employee_id,
            email: employee.email.clone(),
            first_name: employee.first_name.clone(),
            last_name: employee.last_name.clone(),
            employee_code: employee.employee_code.clone(),
            phone_number: employee.phone_number.clone(),
            ..Self::default()
        }
    }
}

/// A mail address as it is compared.
pub(crate) fn fold_email(email: &str) -> String {
    email.to_lowercase()
}

fn not_blank(text: &str, (): &()) -> garde::Result {
    match text.trim().is_empty() {
        true => Err(garde::Error::new("must not be blank")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut serde_json::Value)) -> CreateUser {
        let mut json = serde_json::json!({"firstName": "An", "lastName": "Tran", "email": "an@example.com"});
        change(&mut json);
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_plain_request_is_valid() {
        request(|_| {}).validate().unwrap();
    }

    #[test]
    fn every_bad_field_is_named() {
        let bad = request(|json| {
            json["firstName"] = " ".into();
            json["email"] = "nobody".into();
            json["phoneNumber"] = "1".into();
        });
        let report = bad.validate().unwrap_err();
        let fields: Vec<String> = report.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(fields.len(), 3, "{fields:?}");
        assert!(["first_name", "email", "phone_number"].iter().all(|field| fields.contains(&(*field).to_owned())));
    }
}
