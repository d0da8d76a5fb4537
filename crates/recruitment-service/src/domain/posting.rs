//! Job postings: what they say, and the way from draft to closed or cancelled.

use chassis::Entity;
use chassis::entity::changed;
use chassis::rules::{many_lines, not_below, not_blank, one_line};
use contracts::Money;
use contracts::access::Place;
use contracts::audit::digest;
use contracts::recruitment::{EmploymentType, ExperienceLevel, JobPosted, JobStatus, JobUpdated};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::rules::{
    NOTES_LENGTH_MAX, SKILL_LENGTH_MAX, SKILLS_MAX, TEXT_LENGTH_MAX, TITLE_LENGTH_MAX, distinct_skills,
    whole_milliseconds,
};
use super::{Record, words};

/// The most people that one posting looks for.
const VACANCIES_MAX: i64 = 10_000;

/// Where a posting can stand.
pub(crate) const STATUSES: [JobStatus; 4] =
    [JobStatus::Draft, JobStatus::Published, JobStatus::Closed, JobStatus::Cancelled];

const EMPLOYMENT_TYPES: [EmploymentType; 4] =
    [EmploymentType::FullTime, EmploymentType::PartTime, EmploymentType::Contract, EmploymentType::Internship];

const EXPERIENCE_LEVELS: [ExperienceLevel; 5] = [
    ExperienceLevel::Entry,
    ExperienceLevel::Junior,
    ExperienceLevel::Senior,
    ExperienceLevel::Lead,
    ExperienceLevel::Manager,
];

pub(crate) fn status_schema() -> RefOr<Schema> {
    words::schema(&STATUSES)
}

pub(crate) fn employment_type_schema() -> RefOr<Schema> {
    words::schema(&EMPLOYMENT_TYPES)
}

pub(crate) fn experience_level_schema() -> RefOr<Schema> {
    words::schema(&EXPERIENCE_LEVELS)
}

/// What a client may write of a job posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(crate) struct JobPostingFields {
    /// The title.
    #[garde(length(chars, max = TITLE_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 200)]
    pub(crate) title: String,
    /// What the work is.
    #[garde(length(chars, max = TEXT_LENGTH_MAX), custom(not_blank), custom(many_lines))]
    #[schema(max_length = 20000)]
    pub(crate) description: String,
    /// What is asked for.
    #[garde(length(chars, max = TEXT_LENGTH_MAX), custom(not_blank), custom(many_lines))]
    #[schema(max_length = 20000)]
    pub(crate) requirements: String,
    /// What is given besides the salary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = TEXT_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 20000)]
    pub(crate) benefits: Option<String>,
    /// The least that is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) salary_min: Option<Money>,
    /// The most that is paid; not below `salaryMin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(custom(not_below(self.salary_min, "salaryMin")))]
    #[schema(value_type = Option<String>)]
    pub(crate) salary_max: Option<Money>,
    /// How many are looked for in all.
    #[garde(range(min = 1, max = VACANCIES_MAX))]
    #[schema(minimum = 1, maximum = 10000)]
    pub(crate) vacancies: i64,
    /// Until when one may apply.
    #[serde(deserialize_with = "whole_milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) application_deadline: Timestamp,
    /// Where the work is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = TITLE_LENGTH_MAX), custom(one_line)))]
    #[schema(max_length = 200)]
    pub(crate) location: Option<String>,
    /// How somebody is employed.
    #[schema(schema_with = employment_type_schema)]
    pub(crate) employment_type: EmploymentType,
    /// How much experience is asked for.
    #[schema(schema_with = experience_level_schema)]
    pub(crate) experience_level: ExperienceLevel,
    /// What a candidate should know.
    #[serde(default)]
    #[garde(length(max = SKILLS_MAX), inner(length(chars, max = SKILL_LENGTH_MAX)), custom(distinct_skills))]
    #[schema(max_items = 50)]
    pub(crate) skills: Vec<String>,
    /// The department that looks for somebody.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) department_id: i64,
    /// The position to be filled.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) position_id: i64,
    /// The employee who decides.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) hiring_manager_id: i64,
    /// Anything else; not told to other services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A job posting's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobPostingState {
    /// The number that everything else refers to.
    pub(crate) job_posting_id: i64,
    #[serde(flatten)]
    pub(crate) fields: JobPostingFields,
    /// Where it stands.
    #[schema(schema_with = status_schema)]
    pub(crate) status: JobStatus,
    /// How many are still looked for.
    pub(crate) open_vacancies: i64,
    /// When it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) published_date: Option<Timestamp>,
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// A job posting, with what other services tell about the things that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobPosting {
    #[serde(flatten)]
    pub(crate) state: JobPostingState,
    /// The department's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) department_name: Option<String>,
    /// The hiring manager's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hiring_manager_name: Option<String>,
    /// Whether the hiring manager works here no more.
    pub(crate) hiring_manager_has_left: bool,
    /// The headquarters that the department belongs to.
    #[serde(skip)]
    pub(crate) headquarter_id: Option<i64>,
}

impl JobPosting {
    /// Where it is, for permissions.
    pub(crate) fn place(&self) -> Place {
        Place { headquarter_id: self.headquarter_id, department_id: Some(self.state.fields.department_id) }
    }

    /// How many were hired through it.
    pub(crate) fn filled(&self) -> i64 {
        self.state.fields.vacancies - self.state.open_vacancies
    }
}

impl Entity for JobPosting {
    type Fields = JobPostingFields;
    const NAME: &'static str = "job posting";
    const KEY: &'static str = "job";

    fn id(&self) -> i64 {
        self.state.job_posting_id
    }

    fn version(&self) -> i64 {
        self.state.record.version
    }

    fn fields(&self) -> &JobPostingFields {
        &self.state.fields
    }

    fn digest(&self) -> String {
        digest(&self.state)
    }
}

/// Whether nothing about such a posting changes any more, but that its vacancies are filled.
pub(crate) fn is_final(status: JobStatus) -> bool {
    matches!(status, JobStatus::Closed | JobStatus::Cancelled)
}

/// Whether a posting may go from one status to another.
pub(crate) fn may_become(from: JobStatus, to: JobStatus) -> bool {
    use JobStatus::{Cancelled, Closed, Draft, Published};
    matches!((from, to), (Draft, Published | Cancelled) | (Published, Closed | Cancelled))
}

impl From<&JobPosting> for JobPosted {
    fn from(posting: &JobPosting) -> Self {
        let fields = &posting.state.fields;
        Self {
            job_posting_id: posting.id(),
            title: fields.title.clone(),
            department_id: fields.department_id,
            position_id: fields.position_id,
            hiring_manager_id: fields.hiring_manager_id,
            employment_type: fields.employment_type,
            experience_level: fields.experience_level,
            vacancies: fields.vacancies,
            salary_min: fields.salary_min,
            salary_max: fields.salary_max,
            location: fields.location.clone(),
            skills: fields.skills.clone(),
            application_deadline: fields.application_deadline,
        }
    }
}

/// A change of a posting that the public knows of.
#[derive(Debug)]
pub(crate) struct JobPostingChange {
    pub(crate) before: JobPosting,
    pub(crate) after: JobPosting,
}

impl JobPostingChange {
    /// The names of the fields that differ; what every change touches is not among them.
    fn changed(&self) -> Vec<String> {
        let mut names = changed(&self.before.state.fields, &self.after.state.fields);
        if self.before.state.status != self.after.state.status {
            names.push("status".to_owned());
        }
        if self.before.state.open_vacancies != self.after.state.open_vacancies {
            names.push("openVacancies".to_owned());
        }
        names.sort_unstable();
        names
    }
}

impl From<&JobPostingChange> for JobUpdated {
    fn from(change: &JobPostingChange) -> Self {
        let posting = &change.after;
        let fields = &posting.state.fields;
        Self {
            job_posting_id: posting.id(),
            title: fields.title.clone(),
            status: posting.state.status,
            department_id: fields.department_id,
            position_id: fields.position_id,
            hiring_manager_id: fields.hiring_manager_id,
            employment_type: fields.employment_type,
            experience_level: fields.experience_level,
            vacancies: fields.vacancies,
            open_vacancies: posting.state.open_vacancies,
            salary_min: fields.salary_min,
            salary_max: fields.salary_max,
            location: fields.location.clone(),
            skills: fields.skills.clone(),
            application_deadline: fields.application_deadline,
            changed: change.changed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_goes_from_draft_to_published_to_closed_and_can_be_cancelled_until_then() {
        use JobStatus::{Cancelled, Closed, Draft, Published};
        let ways = [(Draft, Published), (Draft, Cancelled), (Published, Closed), (Published, Cancelled)];
        for from in STATUSES {
            for to in STATUSES {
                assert_eq!(may_become(from, to), ways.contains(&(from, to)), "{from:?} -> {to:?}");
            }
            assert_eq!(is_final(from), !STATUSES.into_iter().any(|to| may_become(from, to)), "{from:?}");
        }
    }
}
