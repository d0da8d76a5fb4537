//! `/api/v1/candidates`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::api::PatchOf;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{find, list};
use chassis::{Create, Edit, Filter, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::access::{Action, Permission, Place, Resource};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::candidate::{Candidate, CandidateFields, CandidateStatus};
use crate::domain::words::word;
use crate::service::{Recruitment, allow_anywhere};
use crate::store;

const PATH: &str = "/api/v1/candidates";

/// What a client sends to change one.
type CandidatePatch = PatchOf<CandidateFields>;

const READ: Permission = Permission::new(Resource::Candidates, Action::Read);
const UPDATE: Permission = Permission::new(Resource::Candidates, Action::Update);

const SORT_KEYS: &[SortKey] = &[
    ("candidateId", "candidate_id"),
    ("name", "name_folded"),
    ("email", "email_folded"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

/// A candidate as somebody may see them, given where they have applied.
fn seen_by(principal: &Principal, candidate: Candidate, places: &[Place]) -> Candidate {
    match allow_anywhere(principal, UPDATE, places) {
        Ok(()) => candidate,
        Err(_) => candidate.without_private_fields(),
    }
}

/// Add a candidate.
#[utoipa::path(
    post, path = "/api/v1/candidates", tag = "candidates",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe")),
    request_body = CandidateFields,
    responses((status = 201, body = Candidate, headers(("Location" = String), ("ETag" = String))))
)]
pub(super) async fn create_candidate(
    State(recruitment): State<Recruitment>,
    Create { principal, mut work, fields }: Create<CandidateFields>,
) -> Result<Response, Problem> {
    let candidate = recruitment.create_candidate(&mut work, principal.actor(), &fields).await?;
    Ok(created(PATH, &seen_by(&principal, candidate, &[])))
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
    get, path = "/api/v1/candidates", tag = "candidates", params(CandidateQuery),
    responses((status = 200, body = Page<Candidate>))
)]
pub(super) async fn list_candidates(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    ValidQuery(query): ValidQuery<CandidateQuery>,
) -> Result<Json<Page<Candidate>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = store::candidates::covered_by(Filter::default(), &principal.scopes(READ))
        .equals("status", query.status.as_ref().map(word))
        .contains("q", &["name_folded", "email_folded"], query.q.as_deref())?;
    let filter = store::candidates::with_skill(filter, query.skill.as_deref())?;
    let Page { items, next_cursor } = list::<Candidate>(recruitment.db(), &listing, filter).await?;
    let ids: Vec<i64> = items.iter().map(|candidate| candidate.candidate_id).collect();
    let whole = store::candidates::covered_of(recruitment.db(), &ids, &principal.scopes(UPDATE)).await?;
    let seen = |candidate: Candidate| match whole.contains(&candidate.candidate_id) {
        true => candidate,
        false => candidate.without_private_fields(),
    };
    Ok(Json(Page { items: items.into_iter().map(seen).collect(), next_cursor }))
}

/// Show a candidate.
#[utoipa::path(
    get, path = "/api/v1/candidates/{candidate_id}", tag = "candidates", params(("candidate_id" = i64, Path)),
    responses((status = 200, body = Candidate, headers(("ETag" = String))))
)]
pub(super) async fn get_candidate(
    State(recruitment): State<Recruitment>,
    principal: Principal,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let candidate: Candidate = find(recruitment.db(), id).await?;
    let places = store::candidates::places(recruitment.db(), id).await?;
    allow_anywhere(&principal, READ, &places)?;
    Ok(shown(&seen_by(&principal, candidate, &places)))
}

/// Change what is known of a candidate.
#[utoipa::path(
    patch, path = "/api/v1/candidates/{candidate_id}", tag = "candidates",
    params(("candidate_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to change")),
    request_body(content = CandidatePatch, description = "A JSON merge patch"),
    responses((status = 200, body = Candidate, headers(("ETag" = String))))
)]
pub(super) async fn update_candidate(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
    patch: Patch,
) -> Result<Response, Problem> {
    Ok(shown(&recruitment.update_candidate(&mut edit, patch).await?))
}

/// Remove a candidate who has no open application.
#[utoipa::path(
    delete, path = "/api/v1/candidates/{candidate_id}", tag = "candidates",
    params(("candidate_id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` to remove")),
    responses((status = 204))
)]
pub(super) async fn delete_candidate(
    State(recruitment): State<Recruitment>,
    mut edit: Edit,
) -> Result<StatusCode, Problem> {
    recruitment.delete_candidate(&mut edit).await?;
    Ok(StatusCode::NO_CONTENT)
}
