//! `/api/v1/interviews`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chassis::api::PatchOf;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{find, list};
use chassis::{Create, Edit, Filter, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::access::{Action, Permission, Resource};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::interview::{Interview, InterviewFields, InterviewStatus};
use crate::domain::words::word;
use crate::service::Recruitment;
use crate::store;

const PATH: &str = "/api/v1/interviews";

/// What a client sends to change one.
type InterviewPatch = PatchOf<InterviewFields>;

const READ: Permission = Permission::new(Resource::Interviews, Action::Read);

const SORT_KEYS: &[SortKey] =
    &[("interviewId", "interview_id"), ("scheduledDate", "scheduled_date"), ("updatedAt", "updated_at")];

/// Set an interview up for an open application; everybody who takes part is told.
///
/// An application has at most ten interviews that are not over: one more is refused with 409.
#[utoipa::path(
    post, path = "/api/v1/interviews", tag = "interviews",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = InterviewFields,
    responses((status = 201, body = Interview, headers(("Location" = String), ("ETag" = String))))
)]
pub(super) async fn schedule_interview(
    State(recruitment): State<Recruitment>,
    Create { principal, mut work, fields }: Create<InterviewFields>,
) -> Result<Response, Problem> {
    let interview = recruitment.create_interview(&mut work, &principal, fields).await?;
    Ok(created(PATH, &interview))
}

/// What a list of interviews is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InterviewQuery {
    /// How many on a page; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// `interviewId`, `scheduledDate` or `updatedAt`; with `-` in front the other way round.
    sort: Option<String>,
    /// Only those about this application.
    application_id: Option<i64>,
    /// Only those with this candidate.
    candidate_id: Option<i64>,
    /// Only those that this employee leads.
    interviewer_id: Option<i64>,
    /// Only those in this status.
    #[param(inline)]
    status: Option<InterviewStatus>,
}

/// List interviews.
#[utoipa::path(
    get, path = "/api/v1/interviews", tag = "interviews", params(InterviewQuery),
    responses((status = 200, body = Page<Interview>))
)]
pub(super) async fn list_interviews(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    ValidQuery(query): ValidQuery<InterviewQuery>,
) -> Result<Json<Page<Interview>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .covered_by(&principal.scopes(READ), Some("headquarter_id"), Some("department_id"))
        .equals("application_id", query.application_id)
        .equals("candidate_id", query.candidate_id)
        .equals("status", query.status.as_ref().map(word));
    let filter = store::interviews::with_interviewer(filter, query.interviewer_id)?;
    Ok(Json(list(recruitment.db(), &listing, filter).await?))
}

/// Show an interview.
#[utoipa::path(
    get, path = "/api/v1/interviews/{interview_id}", tag = "interviews", params(("interview_id" = i64, Path)),
    responses((status = 200, body = Interview, headers(("ETag" = String))))
)]
pub(super) async fn get_interview(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let interview: Interview = find(recruitment.db(), id).await?;
    principal.allow_at(READ, interview.place())?;
    Ok(shown(&interview))
}

/// Move, confirm, hold, cancel or judge an interview; whoever it concerns is told of a new time or place.
#[utoipa::path(
    patch, path = "/api/v1/interviews/{interview_id}", tag = "interviews",
    params(("interview_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to change")),
    request_body(content = InterviewPatch, description = "A JSON merge patch"),
    responses((status = 200, body = Interview, headers(("ETag" = String))))
)]
pub(super) async fn update_interview(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
    patch: Patch,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.update_interview(&mut edit, patch).await?))
}
