//! An employee: the fields that clients write, the state that is kept, and how somebody's standing may change.

use chassis::EntityError;
use chassis::rules::{many_lines, not_blank, one_line, telephone, web_address};
use contracts::Money;
use contracts::access::Place;
use contracts::audit::digest;
use contracts::user::{EmployeeStatus, UserCreated, UserDeleted, UserUpdated};
use garde::Validate;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name, in characters.
pub(crate) const NAME_LENGTH_MAX: usize = 100;
/// The longest mail address that RFC 5321 lets a path hold, in characters.
pub(crate) const EMAIL_LENGTH_MAX: usize = 254;
/// The longest number that a company gives its employees.
const CODE_LENGTH_MAX: usize = 32;
/// The longest address of a place, in characters.
const ADDRESS_LENGTH_MAX: usize = 500;
/// The longest address of a picture.
const URL_LENGTH_MAX: usize = 2_048;
/// The longest note, in characters.
const NOTES_LENGTH_MAX: usize = 4_000;
/// Nobody who works was born before.
const BIRTH_DATE_MIN: Date = date(1900, 1, 1);

/// What errors call it.
pub(crate) const EMPLOYEE: &str = "employee";

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
}

impl From<Status> for EmployeeStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Invited => Self::Invited,
            Status::Active => Self::Active,
            Status::Suspended => Self::Suspended,
            Status::Left => Self::Left,
        }
    }
}

/// How somebody is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gender {
    /// As a woman.
    Female,
    /// As a man.
    Male,
    /// Otherwise.
    Other,
}

impl Gender {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
            Self::Other => "other",
        }
    }
}

/// What clients write of an employee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EmployeeFields {
    /// The given name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 100)]
    pub(crate) first_name: String,
    /// The family name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 100)]
    pub(crate) last_name: String,
    /// The address for mail and login; unique without regard to case.
    #[garde(length(chars, max = EMAIL_LENGTH_MAX), email, custom(one_line))]
    #[schema(max_length = 254, format = "email")]
    pub(crate) email: String,
    /// The number that the company itself uses; unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = CODE_LENGTH_MAX), custom(not_blank), custom(one_line)))]
    #[schema(max_length = 32)]
    pub(crate) employee_code: Option<String>,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(telephone)))]
    #[schema(min_length = 3, max_length = 32)]
    pub(crate) phone_number: Option<String>,
    /// Where the employee lives; private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = ADDRESS_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 500)]
    pub(crate) address: Option<String>,
    /// The day of birth; private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) birth_date: Option<Date>,
    /// How the employee is spoken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub(crate) gender: Option<Gender>,
    /// The first day at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) start_date: Option<Date>,
    /// The day on which the trial period ended well; not before the first day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) confirmation_date: Option<Date>,
    /// Where a picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(max_length = 2048, format = "uri")]
    pub(crate) avatar_url: Option<String>,
    /// What is paid a month, in đồng; private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<String>)]
    pub(crate) base_salary: Option<Money>,
    /// The department that the employee belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    #[schema(minimum = 1)]
    pub(crate) department_id: Option<i64>,
    /// The position that the employee holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    #[schema(minimum = 1)]
    pub(crate) position_id: Option<i64>,
    /// Where the employee stands; a new one is invited, and becomes active by accepting the invitation. Somebody who has
    /// left is sent another one when they are made invited again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub(crate) status: Option<Status>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

impl EmployeeFields {
    /// Somebody of whom only the name and the address are known.
    pub(crate) fn named(first_name: String, last_name: String, email: String) -> Self {
        Self {
            first_name,
            last_name,
            email,
            employee_code: None,
            phone_number: None,
            address: None,
            birth_date: None,
            gender: None,
            start_date: None,
            confirmation_date: None,
            avatar_url: None,
            base_salary: None,
            department_id: None,
            position_id: None,
            status: None,
            notes: None,
        }
    }

    /// Checks what a single field's rule cannot see.
    pub(crate) fn check_dates(&self, today: Date) -> Result<(), EntityError> {
        if self.birth_date.is_some_and(|birth| birth < BIRTH_DATE_MIN || birth > today) {
            return Err(EntityError::field("birthDate", format!("must be from {BIRTH_DATE_MIN} until today")));
        }
        match (self.start_date, self.confirmation_date) {
            (Some(start), Some(confirmation)) if confirmation < start => {
                Err(EntityError::field("confirmationDate", "must not be before startDate"))
            }
            _ => Ok(()),
        }
    }
}

/// Somebody who works here.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Employee {
    /// The number that everything else refers to.
    pub(crate) employee_id: i64,
    /// The number that the company itself uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) employee_code: Option<String>,
    /// The given name.
    pub(crate) first_name: String,
    /// The family name.
    pub(crate) last_name: String,
    /// The address for mail and login.
    pub(crate) email: String,
    /// A telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phone_number: Option<String>,
    /// Where the employee lives; only for those who may update employees, and the employee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// The day of birth; only for those who may update employees, and the employee.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) birth_date: Option<Date>,
    /// How the employee is spoken of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gender: Option<Gender>,
    /// The first day at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) start_date: Option<Date>,
    /// The day on which the trial period ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) confirmation_date: Option<Date>,
    /// Where a picture is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) avatar_url: Option<String>,
    /// What is paid a month, in đồng; only for those who may update employees, and the employee.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) base_salary: Option<Money>,
    /// The department that the employee belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) department_id: Option<i64>,
    /// The position that the employee holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position_id: Option<i64>,
    /// Where the employee stands.
    pub(crate) status: Status,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notes: Option<String>,
    /// Whether the record counts.
    pub(crate) is_active: bool,
    /// Grows with each change; the `ETag`.
    pub(crate) version: i64,
    /// When the record was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
    /// Whether a password has been set; never told.
    #[serde(skip)]
    pub(crate) has_password: bool,
    /// The department's name, as far as company-events have told it.
    #[serde(skip)]
    pub(crate) department_name: Option<String>,
    /// The department's headquarters, as far as company-events have told it.
    #[serde(skip)]
    pub(crate) headquarter_id: Option<i64>,
}

/// The key of everything about an employee.
pub(crate) fn key(employee_id: i64) -> String {
    format!("user-{employee_id}")
}

impl Employee {
    /// The key of everything about this employee.
    pub(crate) fn key(&self) -> String {
        key(self.employee_id)
    }

    /// Where the employee belongs, for comparison with the scope of a grant.
    pub(crate) fn place(&self) -> Place {
        Place { headquarter_id: self.headquarter_id, department_id: self.department_id }
    }

    /// What clients may write, as it stands.
    pub(crate) fn fields(&self) -> EmployeeFields {
        EmployeeFields {
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            email: self.email.clone(),
            employee_code: self.employee_code.clone(),
            phone_number: self.phone_number.clone(),
            address: self.address.clone(),
            birth_date: self.birth_date,
            gender: self.gender,
            start_date: self.start_date,
            confirmation_date: self.confirmation_date,
            avatar_url: self.avatar_url.clone(),
            base_salary: self.base_salary,
            department_id: self.department_id,
            position_id: self.position_id,
            status: Some(self.status),
            notes: self.notes.clone(),
        }
    }

    /// Checks whether the status may become `next` by an update.
    pub(crate) fn check_status(&self, next: Status) -> Result<(), EntityError> {
        match (self.status, next) {
            (now, next) if now == next => Ok(()),
            (Status::Left, Status::Invited) => Ok(()),
            (_, Status::Invited) => {
                Err(EntityError::Conflict("only somebody who has left becomes invited by an update".to_owned()))
            }
            (Status::Invited, Status::Suspended) => {
                Err(EntityError::Conflict("an invited employee cannot be suspended".to_owned()))
            }
            (_, Status::Active) if !self.has_password => {
                Err(EntityError::Conflict("an employee becomes active by accepting the invitation".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// As audit records tell of it.
    pub(crate) fn digest(&self) -> String {
        digest(&self.clone().without_private_fields())
    }

    /// The record without what only few may see.
    pub(crate) fn without_private_fields(mut self) -> Self {
        self.address = None;
        self.birth_date = None;
        self.base_salary = None;
        self
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
            department_id: employee.department_id,
            position_id: employee.position_id,
            status: employee.status.into(),
        }
    }
}

/// An employee after a change.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The state after it.
    pub(crate) employee: Employee,
    /// The fields that changed, by their names in the API.
    pub(crate) fields: Vec<String>,
}

impl From<&Changed> for UserUpdated {
    fn from(Changed { employee, fields }: &Changed) -> Self {
        let UserCreated {
            employee_id,
            email,
            first_name,
            last_name,
            employee_code,
            phone_number,
            department_id,
            position_id,
            status,
        } = UserCreated::from(employee);
        Self {
            employee_id,
            email,
            first_name,
            last_name,
            employee_code,
            phone_number,
            department_id,
            position_id,
            status,
            changed: fields.clone(),
        }
    }
}

impl From<&Employee> for UserDeleted {
    fn from(employee: &Employee) -> Self {
        Self { employee_id: employee.employee_id, department_id: employee.department_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut serde_json::Value)) -> EmployeeFields {
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
            json["lastName"] = "a\0b".into();
            json["email"] = "nobody".into();
            json["phoneNumber"] = "call me".into();
            json["avatarUrl"] = "javascript:alert(1)".into();
            json["departmentId"] = 0.into();
        });
        let report = bad.validate().unwrap_err();
        let fields: Vec<String> = report.iter().map(|(path, _)| path.to_string()).collect();
        let expected = ["first_name", "last_name", "email", "phone_number", "avatar_url", "department_id"];
        assert!(expected.iter().all(|field| fields.contains(&(*field).to_owned())), "{fields:?}");
    }

    #[test]
    fn a_digest_tells_nothing_of_private_fields_but_that_something_changed() {
        let employee = |birth_date, address: &str, amount, version| Employee {
            employee_id: 1,
            employee_code: None,
            first_name: "An".to_owned(),
            last_name: "Tran".to_owned(),
            email: "an@example.com".to_owned(),
            phone_number: None,
            address: Some(address.to_owned()),
            birth_date: Some(birth_date),
            gender: None,
            start_date: None,
            confirmation_date: None,
            avatar_url: None,
            base_salary: Some(Money::whole(amount).unwrap()),
            department_id: None,
            position_id: None,
            status: Status::Active,
            notes: None,
            is_active: true,
            version,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            has_password: true,
            department_name: None,
            headquarter_id: None,
        };
        let before = employee(date(1990, 2, 3), "Hue", 1, 1);
        assert_eq!(before.digest(), employee(date(1991, 2, 3), "Hanoi", 2, 1).digest());
        assert_ne!(before.digest(), employee(date(1990, 2, 3), "Hue", 1, 2).digest());
    }

    #[test]
    fn dates_have_to_fit_each_other() {
        let today = date(2026, 11, 24);
        request(|json| json["birthDate"] = "1990-02-03".into()).check_dates(today).unwrap();
        request(|json| json["birthDate"] = "2026-11-25".into()).check_dates(today).unwrap_err();
        let early = request(|json| {
            json["startDate"] = "2026-02-01".into();
            json["confirmationDate"] = "2026-01-31".into();
        });
        early.check_dates(today).unwrap_err();
    }
}
