//! Headquarters over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{find, list};
use chassis::{Api, Create, Edit, Filter, Listing, Page, Patch, PathId, Principal, Problem, ValidQuery};
use contracts::access::{Action, Permission, Place, Resource};
use db::Db;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{Created, IdempotencyKey, IfMatchHeader};
use crate::domain::{Headquarters, HeadquartersFields};
use crate::service::headquarters;

const PATH: &str = "/api/v1/headquarters";
const SORT_KEYS: &[SortKey] = &[
    ("headquarterId", "headquarter_id"),
    ("name", "name_folded"),
    ("city", "city_folded"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

pub(super) fn api() -> Api<Db> {
    Api::new("", "")
        .permitted(permission(Action::Create), routes!(create_headquarters))
        .permitted(permission(Action::Read), routes!(list_all_headquarters))
        .permitted(permission(Action::Read), routes!(get_headquarters))
        .permitted(permission(Action::Update), routes!(update_headquarters))
        .permitted(permission(Action::Delete), routes!(delete_headquarters))
}

const fn permission(action: Action) -> Permission {
    Permission::new(Resource::Headquarters, action)
}

/// Which headquarters to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// How many on a page, from 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// What to sort by: `headquarterId`, `name`, `city`, `createdAt`, `updatedAt`; with a `-` before it, the other way round.
    sort: Option<String>,
    /// Text in name or city, in upper or lower case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Those of this company.
    company_id: Option<i64>,
    /// The main ones, or the others.
    is_main: Option<bool>,
}

/// Makes a headquarters. The first of a company is its main one.
#[utoipa::path(
    post, path = "/api/v1/headquarters", params(IdempotencyKey),
    request_body = HeadquartersFields, responses(Created<Headquarters>)
)]
async fn create_headquarters(
    Create { principal, mut work, fields }: Create<HeadquartersFields>,
) -> Result<Response, Problem> {
    principal.require_at(permission(Action::Create), Place::default())?;
    let found = headquarters::create(&mut work, &principal, fields).await?;
    Ok(created(PATH, &found))
}

/// Lists headquarters.
#[utoipa::path(get, path = "/api/v1/headquarters", params(Query), responses((status = 200, body = Page<Headquarters>)))]
async fn list_all_headquarters(
    State(db): State<Db>,
    principal: Principal,
    ValidQuery(query): ValidQuery<Query>,
) -> Result<Json<Page<Headquarters>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .covered_by(&principal.scopes(permission(Action::Read)), Some("headquarter_id"), None)
        .equals("company_id", query.company_id)
        .equals("is_main", query.is_main)
        .contains("q", &["name_folded", "city_folded"], query.q.as_deref())?;
    Ok(Json(list(&db, &listing, filter).await?))
}

/// Shows a headquarters.
#[utoipa::path(
    get, path = "/api/v1/headquarters/{headquarter_id}", params(("headquarter_id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Headquarters, headers(("ETag" = String, description = "Its version"))))
)]
async fn get_headquarters(State(db): State<Db>, principal: Principal, PathId(id): PathId) -> Result<Response, Problem> {
    let found: Headquarters = find(&db, id).await?;
    principal.require_at(permission(Action::Read), found.place())?;
    Ok(shown(&found))
}

/// Changes a headquarters: a JSON merge patch, in which a field that is absent stays and null removes one.
#[utoipa::path(
    patch, path = "/api/v1/headquarters/{headquarter_id}",
    params(("headquarter_id" = i64, Path, minimum = 1), IfMatchHeader),
    request_body(content = HeadquartersFields, description = "The fields to change; every one may be left out"),
    responses((status = 200, body = Headquarters, headers(("ETag" = String, description = "Its version"))))
)]
async fn update_headquarters(State(db): State<Db>, mut edit: Edit, patch: Patch) -> Result<Response, Problem> {
    headquarters::lock_company(&db, &mut edit.work, edit.id).await?;
    let before: Headquarters = edit.locked().await?;
    edit.principal.require_at(permission(Action::Update), before.place())?;
    let fields = edit.apply(&before, patch)?;
    let found = headquarters::update(&mut edit.work, &edit.principal, before, &fields).await?;
    Ok(shown(&found))
}

/// Removes a headquarters that has no departments; the main one of a company goes last.
#[utoipa::path(
    delete, path = "/api/v1/headquarters/{headquarter_id}",
    params(("headquarter_id" = i64, Path, minimum = 1), IfMatchHeader), responses((status = 204))
)]
async fn delete_headquarters(State(db): State<Db>, mut edit: Edit) -> Result<StatusCode, Problem> {
    headquarters::lock_company(&db, &mut edit.work, edit.id).await?;
    let found: Headquarters = edit.locked().await?;
    edit.principal.require_at(permission(Action::Delete), found.place())?;
    edit.check(&found)?;
    headquarters::delete(&mut edit.work, edit.principal.actor(), found).await?;
    Ok(StatusCode::NO_CONTENT)
}
