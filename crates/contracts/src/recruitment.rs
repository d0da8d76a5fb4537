//! Events about job postings and applications, on `recruitment-events`.
//!
//! What a candidate is offered, and what reviewers wrote, is never in them.

use eventkit::Event;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::topics::RECRUITMENT_EVENTS;

/// Where a job posting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobStatus {
    /// Being written.
    Draft,
    /// Candidates may apply.
    Published,
    /// Every vacancy is filled, or no more candidates are wanted.
    Closed,
    /// Nobody will be hired through it.
    Cancelled,
}

/// How somebody is employed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EmploymentType {
    /// The whole week.
    FullTime,
    /// A part of the week.
    PartTime,
    /// For a job or a time.
    Contract,
    /// To learn.
    Internship,
}

/// How much experience is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExperienceLevel {
    /// None.
    Entry,
    /// Some.
    Junior,
    /// Much.
    Senior,
    /// Enough to lead a group.
    Lead,
    /// Enough to lead a department.
    Manager,
}

/// Where an application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApplicationStatus {
    /// It came in.
    Submitted,
    /// Somebody reads it.
    Screening,
    /// The candidate is talked to.
    Interviewing,
    /// The candidate was made an offer.
    Offer,
    /// The candidate took it. Final.
    Hired,
    /// The candidate was turned down. Final.
    Rejected,
    /// The candidate does not want to. Final.
    Withdrawn,
}

/// A job posting was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "job.posted", topic = RECRUITMENT_EVENTS, key = "job-{job_posting_id}")]
pub struct JobPosted {
    /// The posting's number.
    pub job_posting_id: i64,
    /// Its title.
    pub title: String,
    /// The department that looks for somebody.
    pub department_id: i64,
    /// The position to be filled.
    pub position_id: i64,
    /// The employee who decides.
    pub hiring_manager_id: i64,
    /// How somebody is employed.
    pub employment_type: EmploymentType,
    /// How much experience is asked for.
    pub experience_level: ExperienceLevel,
    /// How many are looked for.
    pub vacancies: i64,
    /// The least that is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salary_min: Option<Money>,
    /// The most that is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salary_max: Option<Money>,
    /// Where the work is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What the candidate should know.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Until when one may apply.
    #[schemars(with = "String")]
    pub application_deadline: Timestamp,
}

/// Something about a published job posting changed; the state after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "job.updated", topic = RECRUITMENT_EVENTS, key = "job-{job_posting_id}")]
pub struct JobUpdated {
    /// The posting's number.
    pub job_posting_id: i64,
    /// Its title.
    pub title: String,
    /// Where it stands.
    pub status: JobStatus,
    /// The department that looks for somebody.
    pub department_id: i64,
    /// The position to be filled.
    pub position_id: i64,
    /// The employee who decides.
    pub hiring_manager_id: i64,
    /// How somebody is employed.
    pub employment_type: EmploymentType,
    /// How much experience is asked for.
    pub experience_level: ExperienceLevel,
    /// How many are looked for in all.
    pub vacancies: i64,
    /// How many are still looked for.
    pub open_vacancies: i64,
    /// The least that is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salary_min: Option<Money>,
    /// The most that is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salary_max: Option<Money>,
    /// Where the work is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What the candidate should know.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Until when one may apply.
    #[schemars(with = "String")]
    pub application_deadline: Timestamp,
    /// The fields that changed, by their names in the API.
    #[serde(default)]
    pub changed: Vec<String>,
}

/// The person behind an application, as far as others must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applicant {
    /// The candidate's number.
    pub candidate_id: i64,
    /// The given name.
    pub first_name: String,
    /// The family name.
    pub last_name: String,
    /// The address for mail.
    pub email: String,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
}

/// Somebody applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "application.submitted", topic = RECRUITMENT_EVENTS, key = "application-{application_id}")]
pub struct ApplicationSubmitted {
    /// The application's number.
    pub application_id: i64,
    /// The posting that it answers.
    pub job_posting_id: i64,
    /// The posting's title.
    pub job_title: String,
    /// The department that looks for somebody.
    pub department_id: i64,
    /// The employee who decides.
    pub hiring_manager_id: i64,
    /// Who applied.
    pub candidate: Applicant,
    /// When it came in.
    #[schemars(with = "String")]
    pub applied_date: Timestamp,
}

/// The status of an application changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "application.reviewed", topic = RECRUITMENT_EVENTS, key = "application-{application_id}")]
pub struct ApplicationReviewed {
    /// The application's number.
    pub application_id: i64,
    /// The posting that it answers.
    pub job_posting_id: i64,
    /// The posting's title.
    pub job_title: String,
    /// The department that looks for somebody.
    pub department_id: i64,
    /// The position to be filled.
    pub position_id: i64,
    /// The employee who decides.
    pub hiring_manager_id: i64,
    /// Who applied.
    pub candidate: Applicant,
    /// Where it stood.
    pub from: ApplicationStatus,
    /// Where it stands now.
    pub to: ApplicationStatus,
    /// The employee who moved it; absent where it was not an employee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<i64>,
    /// The first day at work, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expected_start_date: Option<Date>,
}
