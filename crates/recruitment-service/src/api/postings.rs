//! `/api/v1/job-postings`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::api::PatchOf;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{find, list};
use chassis::{Create, Edit, Filter, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::access::{Action, Permission, Resource};
use contracts::recruitment::{EmploymentType, ExperienceLevel, JobStatus};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::posting::{
    JobPosting, JobPostingFields, employment_type_schema, experience_level_schema, status_schema,
};
use crate::domain::words::word;
use crate::service::Recruitment;

const PATH: &str = "/api/v1/job-postings";

/// What a client sends to change one.
type JobPostingPatch = PatchOf<JobPostingFields>;

const READ: Permission = Permission::new(Resource::JobPostings, Action::Read);

const SORT_KEYS: &[SortKey] = &[
    ("jobPostingId", "job_posting_id"),
    ("title", "title_folded"),
    ("applicationDeadline", "application_deadline"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

/// Write a draft.
#[utoipa::path(
    post, path = "/api/v1/job-postings", tag = "job postings",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = JobPostingFields,
    responses((status = 201, body = JobPosting, headers(("Location" = String), ("ETag" = String))))
)]
pub(super) async fn create_job_posting(
    State(recruitment): State<Recruitment>,
    Create { principal, mut work, fields }: Create<JobPostingFields>,
) -> Result<Response, Problem> {
    let posting = recruitment.create_posting(&mut work, &principal, fields).await?;
    Ok(created(PATH, &posting))
}

/// What a list of job postings is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobPostingQuery {
    /// How many on a page; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// `jobPostingId`, `title`, `applicationDeadline`, `createdAt` or `updatedAt`; with `-` in front the other way round.
    sort: Option<String>,
    /// Only those in this status.
    #[param(schema_with = status_schema)]
    status: Option<JobStatus>,
    /// Only those of this department.
    department_id: Option<i64>,
    /// Only those for this position.
    position_id: Option<i64>,
    /// Only those that this employee decides on.
    hiring_manager_id: Option<i64>,
    /// Only those of this kind.
    #[param(schema_with = employment_type_schema)]
    employment_type: Option<EmploymentType>,
    /// Only those that ask for this much experience.
    #[param(schema_with = experience_level_schema)]
    experience_level: Option<ExperienceLevel>,
    /// Only those with this in the title.
    q: Option<String>,
}

/// List job postings.
#[utoipa::path(
    get, path = "/api/v1/job-postings", tag = "job postings", params(JobPostingQuery),
    responses((status = 200, body = Page<JobPosting>))
)]
pub(super) async fn list_job_postings(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    ValidQuery(query): ValidQuery<JobPostingQuery>,
) -> Result<Json<Page<JobPosting>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .covered_by(&principal.scopes(READ), Some("headquarter_id"), Some("department_id"))
        .equals("status", query.status.as_ref().map(word))
        .equals("department_id", query.department_id)
        .equals("position_id", query.position_id)
        .equals("hiring_manager_id", query.hiring_manager_id)
        .equals("employment_type", query.employment_type.as_ref().map(word))
        .equals("experience_level", query.experience_level.as_ref().map(word))
        .contains("q", &["title_folded"], query.q.as_deref())?;
    Ok(Json(list(recruitment.db(), &listing, filter).await?))
}

/// Show a job posting.
#[utoipa::path(
    get, path = "/api/v1/job-postings/{job_posting_id}", tag = "job postings", params(("job_posting_id" = i64, Path)),
    responses((status = 200, body = JobPosting, headers(("ETag" = String))))
)]
pub(super) async fn get_job_posting(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let posting: JobPosting = find(recruitment.db(), id).await?;
    principal.allow_at(READ, posting.place())?;
    Ok(shown(&posting))
}

/// Change a job posting that is a draft or published.
#[utoipa::path(
    patch, path = "/api/v1/job-postings/{job_posting_id}", tag = "job postings",
    params(("job_posting_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to change")),
    request_body(content = JobPostingPatch, description = "A JSON merge patch"),
    responses((status = 200, body = JobPosting, headers(("ETag" = String))))
)]
pub(super) async fn update_job_posting(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
    patch: Patch,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.update_posting(&mut edit, patch).await?))
}

/// Remove a draft.
#[utoipa::path(
    delete, path = "/api/v1/job-postings/{job_posting_id}", tag = "job postings",
    params(("job_posting_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to remove")),
    responses((status = 204))
)]
pub(super) async fn delete_job_posting(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
) -> Result<StatusCode, Problem> {
    recruitment.delete_posting(&mut edit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Publish a draft whose deadline lies in the future.
#[utoipa::path(
    post, path = "/api/v1/job-postings/{job_posting_id}/publish", tag = "job postings",
    params(
        ("job_posting_id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` to publish"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")
    ),
    responses((status = 200, body = JobPosting, headers(("ETag" = String))))
)]
pub(super) async fn publish_job_posting(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.publish_posting(&mut edit).await?))
}

/// Close a published posting: no more candidates are wanted.
#[utoipa::path(
    post, path = "/api/v1/job-postings/{job_posting_id}/close", tag = "job postings",
    params(
        ("job_posting_id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` to close"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")
    ),
    responses((status = 200, body = JobPosting, headers(("ETag" = String))))
)]
pub(super) async fn close_job_posting(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.end_posting(&mut edit, JobStatus::Closed).await?))
}

/// Cancel a draft or a published posting: nobody will be hired through it.
#[utoipa::path(
    post, path = "/api/v1/job-postings/{job_posting_id}/cancel", tag = "job postings",
    params(
        ("job_posting_id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` to cancel"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")
    ),
    responses((status = 200, body = JobPosting, headers(("ETag" = String))))
)]
pub(super) async fn cancel_job_posting(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.end_posting(&mut edit, JobStatus::Cancelled).await?))
}
