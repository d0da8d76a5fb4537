//! Positions over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::{Api, Checked, Filter, IfMatch, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::access::{Action, Permission, Place, Resource};
use db::Db;
use eventkit::Work;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{created, shown};
use crate::domain::{Entity, Position, PositionFields};
use crate::service::{locked, positions};
use crate::store;

const PATH: &str = "/api/v1/positions";
const SORT_KEYS: &[chassis::listing::SortKey] = &[
    ("positionId", "position_id"),
    ("name", "name_folded"),
    ("level", "level"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

pub(super) fn api() -> Api<Db> {
    Api::new("", "")
        .permitted(permission(Action::Create), routes!(create_position))
        .permitted(permission(Action::Read), routes!(list_positions))
        .permitted(permission(Action::Read), routes!(get_position))
        .permitted(permission(Action::Update), routes!(update_position))
        .permitted(permission(Action::Delete), routes!(delete_position))
}

const fn permission(action: Action) -> Permission {
    Permission::new(Resource::Positions, action)
}

/// Which positions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// How many on a page, from 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// What to sort by: `positionId`, `name`, `level`, `createdAt`, `updatedAt`; with a `-` before it, the other way round.
    sort: Option<String>,
    /// Text in name or code, in upper or lower case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Those of this type.
    position_type_id: Option<i64>,
    /// Those of this level.
    level: Option<i64>,
}

/// Makes a position.
#[utoipa::path(
    post,
    path = "/api/v1/positions",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key: done once, answered the same")),
    request_body = PositionFields,
    responses((
        status = 201,
        body = Position,
        headers(("Location" = String, description = "Where it is"), ("ETag" = String, description = "Its version"))
    ))
)]
async fn create_position(
    principal: Principal,
    mut work: Work,
    Checked(fields): Checked<PositionFields>,
) -> Result<Response, Problem> {
    principal.require_at(permission(Action::Create), Place::default())?;
    let position = positions::create(&mut work, principal.actor(), &fields).await?;
    Ok(created(PATH, &position))
}

/// Lists positions.
#[utoipa::path(get, path = "/api/v1/positions", params(Query), responses((status = 200, body = Page<Position>)))]
async fn list_positions(
    State(db): State<Db>,
    ValidQuery(query): ValidQuery<Query>,
) -> Result<Json<Page<Position>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .equals("position_type_id", query.position_type_id)
        .equals("level", query.level)
        .contains("q", &["name_folded", "code_folded"], query.q.as_deref())?;
    Ok(Json(store::list(&db, &listing, filter).await?))
}

/// Shows a position.
#[utoipa::path(
    get,
    path = "/api/v1/positions/{position_id}",
    params(("position_id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Position, headers(("ETag" = String, description = "Its version"))))
)]
async fn get_position(State(db): State<Db>, PathId(id): PathId) -> Result<Response, Problem> {
    let position: Position = store::find(&db, id).await?;
    Ok(shown(&position))
}

/// Changes a position: a JSON merge patch, in which a field that is absent stays and null removes one.
#[utoipa::path(
    patch,
    path = "/api/v1/positions/{position_id}",
    params(
        ("position_id" = i64, Path, minimum = 1),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 if it changed since")
    ),
    request_body(content = PositionFields, description = "The fields to change; every one may be left out"),
    responses((status = 200, body = Position, headers(("ETag" = String, description = "Its version"))))
)]
async fn update_position(
    principal: Principal,
    PathId(id): PathId,
    if_match: IfMatch,
    mut work: Work,
    patch: Patch,
) -> Result<Response, Problem> {
    principal.require_at(permission(Action::Update), Place::default())?;
    let before: Position = locked(&mut work, id).await?;
    if_match.check(Position::NAME, id, before.record.version)?;
    let fields = patch.apply(&before.fields)?;
    let position = positions::update(&mut work, principal.actor(), before, &fields).await?;
    Ok(shown(&position))
}

/// Removes a position that nobody holds.
#[utoipa::path(
    delete,
    path = "/api/v1/positions/{position_id}",
    params(
        ("position_id" = i64, Path, minimum = 1),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; 412 if it changed since")
    ),
    responses((status = 204))
)]
async fn delete_position(
    principal: Principal,
    PathId(id): PathId,
    if_match: IfMatch,
    mut work: Work,
) -> Result<StatusCode, Problem> {
    principal.require_at(permission(Action::Delete), Place::default())?;
    let position: Position = locked(&mut work, id).await?;
    if_match.check(Position::NAME, id, position.record.version)?;
    positions::delete(&mut work, principal.actor(), position).await?;
    Ok(StatusCode::NO_CONTENT)
}
