//! `/api/v1/applications`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chassis::api::PatchOf;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{find, list};
use chassis::{Checked, Create, Edit, Filter, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::access::{Action, Permission, Resource};
use contracts::recruitment::ApplicationStatus;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::application::{Application, ApplicationFields, NewApplication, Review, status_schema};
use crate::domain::words::word;
use crate::service::Recruitment;

const PATH: &str = "/api/v1/applications";

/// What a client sends to change one.
type ApplicationPatch = PatchOf<ApplicationFields>;

const READ: Permission = Permission::new(Resource::Applications, Action::Read);

const SORT_KEYS: &[SortKey] =
    &[("applicationId", "application_id"), ("appliedDate", "applied_date"), ("updatedAt", "updated_at")];

/// Apply for a published posting before its deadline.
#[utoipa::path(
    post, path = "/api/v1/applications", tag = "applications",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = NewApplication,
    responses((status = 201, body = Application, headers(("Location" = String), ("ETag" = String))))
)]
pub(super) async fn submit_application(
    State(recruitment): State<Recruitment>,
    Create { principal, mut work, fields }: Create<NewApplication>,
) -> Result<Response, Problem> {
    let application = recruitment.submit_application(&mut work, &principal, fields).await?;
    Ok(created(PATH, &application))
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
    get, path = "/api/v1/applications", tag = "applications", params(ApplicationQuery),
    responses((status = 200, body = Page<Application>))
)]
pub(super) async fn list_applications(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    ValidQuery(query): ValidQuery<ApplicationQuery>,
) -> Result<Json<Page<Application>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .covered_by(&principal.scopes(READ), Some("headquarter_id"), Some("department_id"))
        .equals("job_posting_id", query.job_posting_id)
        .equals("candidate_id", query.candidate_id)
        .equals("status", query.status.as_ref().map(word));
    let Page { items, next_cursor } = list::<Application>(recruitment.db(), &listing, filter).await?;
    let now = recruitment.now();
    Ok(Json(Page { items: items.into_iter().map(|item| item.seen_at(now)).collect(), next_cursor }))
}

/// Show an application.
#[utoipa::path(
    get, path = "/api/v1/applications/{application_id}", tag = "applications", params(("application_id" = i64, Path)),
    responses((status = 200, body = Application, headers(("ETag" = String))))
)]
pub(super) async fn get_application(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let application: Application = find(recruitment.db(), id).await?;
    principal.allow_at(READ, application.place())?;
    Ok(shown(&application.seen_at(recruitment.now())))
}

/// Change what reviewers wrote of an open application, or the offer.
#[utoipa::path(
    patch, path = "/api/v1/applications/{application_id}", tag = "applications",
    params(("application_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to change")),
    request_body(content = ApplicationPatch, description = "A JSON merge patch"),
    responses((status = 200, body = Application, headers(("ETag" = String))))
)]
pub(super) async fn update_application(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
    patch: Patch,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.update_application(&mut edit, patch).await?))
}

/// Move an application on its way: submitted, screening, interviewing, offer, hired; or rejected or withdrawn.
#[utoipa::path(
    post, path = "/api/v1/applications/{application_id}/review", tag = "applications",
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
    mut edit: Edit,
    Checked(review): Checked<Review>,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.review_application(&mut edit, review).await?))
}
