//! Positions over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{find, list};
use chassis::{Api, Create, Edit, Filter, Listing, Page, Patch, PathId, Problem, ValidQuery};
use contracts::access::{Action, Permission, Place, Resource};
use db::Db;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{Created, IdempotencyKey, IfMatchHeader};
use crate::domain::{Position, PositionFields};
use crate::service::positions;

const PATH: &str = "/api/v1/positions";
const SORT_KEYS: &[SortKey] = &[
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
    post, path = "/api/v1/positions", params(IdempotencyKey),
    request_body = PositionFields, responses(Created<Position>)
)]
async fn create_position(Create { principal, mut work, fields }: Create<PositionFields>) -> Result<Response, Problem> {
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
    Ok(Json(list(&db, &listing, filter).await?))
}

/// Shows a position.
#[utoipa::path(
    get, path = "/api/v1/positions/{position_id}", params(("position_id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Position, headers(("ETag" = String, description = "Its version"))))
)]
async fn get_position(State(db): State<Db>, PathId(id): PathId) -> Result<Response, Problem> {
    let position: Position = find(&db, id).await?;
    Ok(shown(&position))
}

/// Changes a position: a JSON merge patch, in which a field that is absent stays and null removes one.
#[utoipa::path(
    patch, path = "/api/v1/positions/{position_id}",
    params(("position_id" = i64, Path, minimum = 1), IfMatchHeader),
    request_body(content = PositionFields, description = "The fields to change; every one may be left out"),
    responses((status = 200, body = Position, headers(("ETag" = String, description = "Its version"))))
)]
async fn update_position(mut edit: Edit, patch: Patch) -> Result<Response, Problem> {
    edit.principal.require_at(permission(Action::Update), Place::default())?;
    let before: Position = edit.locked().await?;
    let fields = edit.apply(&before, patch)?;
    let position = positions::update(&mut edit.work, edit.principal.actor(), before, &fields).await?;
    Ok(shown(&position))
}

/// Removes a position that nobody holds.
#[utoipa::path(
    delete, path = "/api/v1/positions/{position_id}",
    params(("position_id" = i64, Path, minimum = 1), IfMatchHeader), responses((status = 204))
)]
async fn delete_position(mut edit: Edit) -> Result<StatusCode, Problem> {
    edit.principal.require_at(permission(Action::Delete), Place::default())?;
    let position: Position = edit.locked().await?;
    edit.check(&position)?;
    positions::delete(&mut edit.work, edit.principal.actor(), position).await?;
    Ok(StatusCode::NO_CONTENT)
}
