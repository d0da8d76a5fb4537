//! Types of positions over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{Table, change, create, find, list};
use chassis::{Api, Create, Edit, Filter, Listing, Page, Patch, PathId, Problem, ValidQuery};
use contracts::access::{Action, Permission, Place, Resource};
use db::Db;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{Created, IdempotencyKey, IfMatchHeader};
use crate::domain::{PositionType, TypeFields};
use crate::service::types;

const PATH: &str = "/api/v1/position-types";
const SORT_KEYS: &[SortKey] = &[
    ("sortOrder", "sort_order"),
    ("name", "name_folded"),
    ("positionTypeId", "position_type_id"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

pub(super) fn api() -> Api<Db> {
    Api::new("", "")
        .permitted(permission(Action::Create), routes!(create_position_type))
        .permitted(permission(Action::Read), routes!(list_position_types))
        .permitted(permission(Action::Read), routes!(get_position_type))
        .permitted(permission(Action::Update), routes!(update_position_type))
        .permitted(permission(Action::Delete), routes!(delete_position_type))
}

const fn permission(action: Action) -> Permission {
    Permission::new(Resource::Positions, action)
}

/// Which types of positions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// How many on a page, from 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// What to sort by: `sortOrder`, `name`, `positionTypeId`, `createdAt`, `updatedAt`; with a `-` before it, the other way round.
    sort: Option<String>,
    /// Text in name or code, in upper or lower case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Those of this category, in upper or lower case.
    category: Option<String>,
}

/// Makes a type of positions.
#[utoipa::path(
    post, path = "/api/v1/position-types", params(IdempotencyKey),
    request_body = TypeFields, responses(Created<PositionType>)
)]
async fn create_position_type(Create { principal, mut work, fields }: Create<TypeFields>) -> Result<Response, Problem> {
    principal.require_at(permission(Action::Create), Place::default())?;
    let position_type: PositionType = create(&mut work, principal.actor(), PositionType::columns(&fields)).await?;
    Ok(created(PATH, &position_type))
}

/// Lists types of positions.
#[utoipa::path(get, path = "/api/v1/position-types", params(Query), responses((status = 200, body = Page<PositionType>)))]
async fn list_position_types(
    State(db): State<Db>,
    ValidQuery(query): ValidQuery<Query>,
) -> Result<Json<Page<PositionType>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .equals("category_folded", query.category.map(|category| category.trim().to_lowercase()))
        .contains("q", &["name_folded", "code_folded"], query.q.as_deref())?;
    Ok(Json(list(&db, &listing, filter).await?))
}

/// Shows a type of positions.
#[utoipa::path(
    get, path = "/api/v1/position-types/{position_type_id}", params(("position_type_id" = i64, Path, minimum = 1)),
    responses((status = 200, body = PositionType, headers(("ETag" = String, description = "Its version"))))
)]
async fn get_position_type(State(db): State<Db>, PathId(id): PathId) -> Result<Response, Problem> {
    let position_type: PositionType = find(&db, id).await?;
    Ok(shown(&position_type))
}

/// Changes a type of positions: a JSON merge patch, in which a field that is absent stays and null removes one.
#[utoipa::path(
    patch, path = "/api/v1/position-types/{position_type_id}",
    params(("position_type_id" = i64, Path, minimum = 1), IfMatchHeader),
    request_body(content = TypeFields, description = "The fields to change; every one may be left out"),
    responses((status = 200, body = PositionType, headers(("ETag" = String, description = "Its version"))))
)]
async fn update_position_type(mut edit: Edit, patch: Patch) -> Result<Response, Problem> {
    edit.principal.require_at(permission(Action::Update), Place::default())?;
    let before: PositionType = edit.locked().await?;
    let fields = edit.apply(&before, patch)?;
    let position_type = change(&mut edit.work, edit.principal.actor(), before, &fields).await?;
    Ok(shown(&position_type))
}

/// Removes a type of positions that none is of.
#[utoipa::path(
    delete, path = "/api/v1/position-types/{position_type_id}",
    params(("position_type_id" = i64, Path, minimum = 1), IfMatchHeader), responses((status = 204))
)]
async fn delete_position_type(mut edit: Edit) -> Result<StatusCode, Problem> {
    edit.principal.require_at(permission(Action::Delete), Place::default())?;
    let position_type: PositionType = edit.locked().await?;
    edit.check(&position_type)?;
    types::delete_position_type(&mut edit.work, edit.principal.actor(), position_type).await?;
    Ok(StatusCode::NO_CONTENT)
}
