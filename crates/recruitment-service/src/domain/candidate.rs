//! Candidates: who they are, and where their applications leave them.

use chassis::Entity;
use chassis::rules::{many_lines, not_blank, one_line, telephone, web_address};
use contracts::audit::digest;
use contracts::recruitment::ApplicationStatus;
use garde::Validate;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Record;
use super::application::is_final;
use super::rules::{
    ADDRESS_LENGTH_MAX, EMAIL_LENGTH_MAX, EXPERIENCE_YEARS_MAX, NAME_LENGTH_MAX, NOTES_LENGTH_MAX, SKILL_LENGTH_MAX,
    SKILLS_MAX, TEXT_LENGTH_MAX, TITLE_LENGTH_MAX, URL_LENGTH_MAX, distinct_skills,
};

/// What a client may write of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(crate) struct CandidateFields {
    /// The given name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 100)]
    pub(crate) first_name: String,
    /// The family name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 100)]
    pub(crate) last_name: String,
    /// The address for mail; unique without regard to case.
    #[garde(length(chars, max = EMAIL_LENGTH_MAX), email, custom(one_line))]
    #[schema(format = Email, max_length = 254)]
    pub(crate) email: String,
    /// A telephone number.
    #[garde(custom(telephone))]
    #[schema(min_length = 3, max_length = 32)]
    pub(crate) phone_number: String,
    /// The day of birth; private: only for those who may update candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) birth_date: Option<Date>,
    /// Where the candidate lives; private: only for those who may update candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = ADDRESS_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 500)]
    pub(crate) address: Option<String>,
    /// Where the curriculum vitae is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(format = "uri", max_length = 2000)]
    pub(crate) resume_url: Option<String>,
    /// A profile on LinkedIn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(format = "uri", max_length = 2000)]
    pub(crate) linkedin_url: Option<String>,
    /// A profile on GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(format = "uri", max_length = 2000)]
    pub(crate) github_url: Option<String>,
    /// Other work to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(format = "uri", max_length = 2000)]
    pub(crate) portfolio_url: Option<String>,
    /// The candidate in a few sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = TEXT_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 20000)]
    pub(crate) summary: Option<String>,
    /// What the candidate knows.
    #[serde(default)]
    #[garde(length(max = SKILLS_MAX), inner(length(chars, max = SKILL_LENGTH_MAX)), custom(distinct_skills))]
    #[schema(max_items = 50)]
    pub(crate) skills: Vec<String>,
    /// How long the candidate has worked in the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0, max = EXPERIENCE_YEARS_MAX)))]
    #[schema(minimum = 0, maximum = 80)]
    pub(crate) years_of_experience: Option<i64>,
    /// How the candidate came to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = TITLE_LENGTH_MAX), custom(one_line)))]
    #[schema(max_length = 200)]
    pub(crate) source: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// Where a candidate stands; follows from the applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CandidateStatus {
    /// Has not applied yet.
    New,
    /// Has an application that is not decided.
    InProcess,
    /// Was hired.
    Hired,
    /// The last decision was against the candidate.
    Rejected,
    /// The candidate withdrew last.
    Withdrawn,
}

impl CandidateStatus {
    /// What applications amount to, given their statuses with the latest decision first.
    pub(crate) fn of(applications: &[ApplicationStatus]) -> Self {
        let has = |wanted: fn(&ApplicationStatus) -> bool| applications.iter().any(wanted);
        if has(|&status| status == ApplicationStatus::Hired) {
            return Self::Hired;
        }
        if has(|&status| !is_final(status)) {
            return Self::InProcess;
        }
        match applications.first() {
            None => Self::New,
            Some(ApplicationStatus::Withdrawn) => Self::Withdrawn,
            Some(_) => Self::Rejected,
        }
    }
}

/// Somebody who may want to work here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Candidate {
    /// The number that everything else refers to.
    pub(crate) candidate_id: i64,
    #[serde(flatten)]
    pub(crate) fields: CandidateFields,
    /// Where the candidate stands.
    pub(crate) status: CandidateStatus,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Candidate {
    /// The candidate without what only few may see.
    pub(crate) fn without_private_fields(mut self) -> Self {
        self.fields.birth_date = None;
        self.fields.address = None;
        self
    }
}

impl Entity for Candidate {
    type Fields = CandidateFields;
    const NAME: &'static str = "candidate";
    const KEY: &'static str = "candidate";

    fn id(&self) -> i64 {
        self.candidate_id
    }

    fn version(&self) -> i64 {
        self.record.version
    }

    fn fields(&self) -> &CandidateFields {
        &self.fields
    }

    fn digest(&self) -> String {
        digest(&self.clone().without_private_fields())
    }
}

/// A mail address as it is compared.
pub(crate) fn fold_email(email: &str) -> String {
    email.to_lowercase()
}

/// A person's full name.
pub(crate) fn full_name(first_name: &str, last_name: &str) -> String {
    format!("{first_name} {last_name}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_tells_nothing_of_private_fields_but_that_something_changed() {
        let candidate = |birth_date: &str, address: &str, version| Candidate {
            candidate_id: 1,
            fields: serde_json::from_value(json!({
                "firstName": "Binh", "lastName": "Vu", "email": "binh@example.com", "phoneNumber": "0123",
                "birthDate": birth_date, "address": address,
            }))
            .unwrap(),
            status: CandidateStatus::New,
            record: Record {
                is_active: true,
                version,
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
            },
        };
        let before = candidate("1991-02-03", "Hue", 1);
        assert_eq!(before.digest(), candidate("1992-02-03", "Hanoi", 1).digest());
        assert_ne!(before.digest(), candidate("1991-02-03", "Hue", 2).digest());
    }

    #[test]
    fn the_status_follows_the_applications() {
        use ApplicationStatus::{Hired, Rejected, Screening, Withdrawn};
        for (applications, status) in [
            (&[][..], CandidateStatus::New),
            (&[Screening], CandidateStatus::InProcess),
            (&[Rejected, Screening], CandidateStatus::InProcess),
            (&[Rejected, Withdrawn], CandidateStatus::Rejected),
            (&[Withdrawn, Rejected], CandidateStatus::Withdrawn),
            (&[Rejected, Screening, Hired], CandidateStatus::Hired),
        ] {
            assert_eq!(CandidateStatus::of(applications), status, "{applications:?}");
        }
    }
}
