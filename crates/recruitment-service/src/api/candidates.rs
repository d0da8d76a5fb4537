//! `/api/v1/candidates`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::api::PatchOf;
use chassis::listing::SortKey;
use chassis::{Checked, IfMatch, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use eventkit::Work;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{created, shown};
use crate::domain::candidate::{Candidate, CandidateFields, CandidateStatus};
use crate::service::{CandidateFilter, Recruitment};

const COLLECTION: &str = "candidates";

/// What a client sends to change one.
type CandidatePatch = PatchOf<CandidateFields>;

const SORT_KEYS: &[SortKey] = &[
    ("candidateId", "candidate_id"),
    ("name", "name_folded"),
    ("email", "email_folded"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

/// Add a candidate.
#[utoipa::path(
    post,
    path = "/api/v1/candidates",
    tag = "candidates",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = CandidateFields,
    responses((status = 201, body = Candidate, headers(("Location" = String), ("ETag" = String))))
)]
pub(super) async fn create_candidate(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    mut work: Work,
    Checked(fields): Checked<CandidateFields>,
) -> Result<Response, Problem> {
    let candidate = recruitment.create_candidate(&mut work, &principal, fields).await?;
    Ok(created(COLLECTION, candidate.candidate_id, candidate.record.version, candidate))
}

/// What a list of candidates is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CandidateQuery {
    /// How many on a page; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// `candidateId`, `name`, `email`, `createdAt` or `updatedAt`; with `-` in front the other way round.
    sort: Option<String>,
    /// Only those in this status.
    #[param(inline)]
    status: Option<CandidateStatus>,
    /// Only those with this in the name or the mail address.
    q: Option<String>,
    /// Only those with this skill, whatever its case.
    skill: Option<String>,
}

/// List candidates.
#[utoipa::path(
    get,
    path = "/api/v1/candidates",
    tag = "candidates",
    params(CandidateQuery),
    responses((status = 200, body = Page<Candidate>))
)]
pub(super) async fn list_candidates(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    ValidQuery(query): ValidQuery<CandidateQuery>,
) -> Result<Json<Page<Candidate>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let wanted = CandidateFilter { status: query.status, q: query.q, skill: query.skill };
    Ok(Json(recruitment.candidates(&principal, &listing, wanted).await?))
}

/// Show a candidate.
#[utoipa::path(
    get,
    path = "/api/v1/candidates/{candidate_id}",
    tag = "candidates",
    params(("candidate_id" = i64, Path)),
    responses((status = 200, body = Candidate, headers(("ETag" = String))))
)]
pub(super) async fn get_candidate(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let candidate = recruitment.candidate(&principal, id).await?;
    Ok(shown(candidate.record.version, candidate))
}

/// Change what is known of a candidate.
#[utoipa::path(
    patch,
    path = "/api/v1/candidates/{candidate_id}",
    tag = "candidates",
    params(("candidate_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to change")),
    request_body(content = CandidatePatch, description = "A JSON merge patch"),
    responses((status = 200, body = Candidate, headers(("ETag" = String))))
)]
pub(super) async fn update_candidate(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
    if_match: IfMatch,
    mut work: Work,
    patch: Patch,
) -> Result<Response, Problem> {
    let candidate = recruitment.update_candidate(&mut work, &principal, id, if_match, patch).await?;
    Ok(shown(candidate.record.version, candidate))
}

/// Remove a candidate who has no open application.
#[utoipa::path(
    delete,
    path = "/api/v1/candidates/{candidate_id}",
    tag = "candidates",
    params(("candidate_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to remove")),
    responses((status = 204))
)]
pub(super) async fn delete_candidate(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
    if_match: IfMatch,
    mut work: Work,
) -> Result<StatusCode, Problem> {
    recruitment.delete_candidate(&mut work, &principal, id, if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}
