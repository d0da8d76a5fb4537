//! `/api/v1/applications`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chassis::api::PatchOf;
use chassis::listing::SortKey;
use chassis::{Checked, IfMatch, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::recruitment::ApplicationStatus;
use eventkit::Work;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{created, shown};
use crate::domain::application::{Application, ApplicationFields, NewApplication, Review, status_schema};
use crate::service::{ApplicationFilter, Recruitment};

const COLLECTION: &str = "applications";

/// What a client sends to change one.
type ApplicationPatch = PatchOf<ApplicationFields>;

const SORT_KEYS: &[SortKey] =
    &[("applicationId", "application_id"), ("appliedDate", "applied_date"), ("updatedAt", "updated_at")];

/// Apply for a published posting before its deadline.
#[utoipa::path(
    post,
    path = "/api/v1/applications",
    tag = "applications",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewApplication,
    responses((status = 201, body = Application, headers(("Location" = String), ("ETag" = String))))
)]
pub(super) async fn submit_application(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    mut work: Work,
    Checked(new): Checked<NewApplication>,
) -> Result<Response, Problem> {
    let application = recruitment.submit_application(&mut work, &principal, new).await?;
    Ok(created(COLLECTION, application.id(), application.state.record.version, application))
}

/// What a list of applications is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplicationQuery {
    /// How many on a page; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// `applicationId`, `appliedDate` or `updatedAt`; with `-` in front the other way round.
    sort: Option<String>,
    /// Only those for this posting.
    job_posting_id: Option<i64>,
    /// Only those of this candidate.
    candidate_id: Option<i64>,
    /// Only those in this status.
    #[param(schema_with = status_schema)]
    status: Option<ApplicationStatus>,
}

/// List applications.
#[utoipa::path(
    get,
    path = "/api/v1/applications",
    tag = "applications",
    params(ApplicationQuery),
    responses((status = 200, body = Page<Application>))
)]
pub(super) async fn list_applications(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    ValidQuery(query): ValidQuery<ApplicationQuery>,
) -> Result<Json<Page<Application>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let wanted = ApplicationFilter {
        job_posting_id: query.job_posting_id,
        candidate_id: query.candidate_id,
        status: query.status,
    };
    Ok(Json(recruitment.applications(&principal, &listing, wanted).await?))
}

/// Show an application.
#[utoipa::path(
    get,
    path = "/api/v1/applications/{application_id}",
    tag = "applications",
    params(("application_id" = i64, Path)),
    responses((status = 200, body = Application, headers(("ETag" = String))))
)]
pub(super) async fn get_application(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let application = recruitment.application(&principal, id).await?;
    Ok(shown(application.state.record.version, application))
}

/// Change what reviewers wrote of an open application, or the offer.
#[utoipa::path(
    patch,
    path = "/api/v1/applications/{application_id}",
    tag = "applications",
    params(("application_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to change")),
    request_body(content = ApplicationPatch, description = "A JSON merge patch"),
    responses((status = 200, body = Application, headers(("ETag" = String))))
)]
pub(super) async fn update_application(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
    if_match: IfMatch,
    mut work: Work,
    patch: Patch,
) -> Result<Response, Problem> {
    let application = recruitment.update_application(&mut work, &principal, id, if_match, patch).await?;
    Ok(shown(application.state.record.version, application))
}

/// Move an application on its way: submitted, screening, interviewing, offer, hired; or rejected or withdrawn.
#[utoipa::path(
    post,
    path = "/api/v1/applications/{application_id}/review",
    tag = "applications",
    params(
        ("application_id" = i64, Path),
        ("If-Match" = Option<String>, Header, description = "The `ETag` to review"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")
    ),
    request_body = Review,
    responses((status = 200, body = Application, headers(("ETag" = String))))
)]
pub(super) async fn review_application(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
    if_match: IfMatch,
    mut work: Work,
    Checked(review): Checked<Review>,
) -> Result<Response, Problem> {
    let application = recruitment.review_application(&mut work, &principal, id, if_match, review).await?;
    Ok(shown(application.state.record.version, application))
}
