//! Companies over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::listing::SortKey;
use chassis::resource::{created, shown};
use chassis::store::{change, find, list};
use chassis::{Api, Create, Edit, Filter, Listing, Page, Patch, PathId, Problem, ValidQuery};
use contracts::access::{Action, Permission, Place, Resource};
use db::Db;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::{Created, IdempotencyKey, IfMatchHeader};
use crate::domain::{Company, CompanyFields};
use crate::service::companies;

const PATH: &str = "/api/v1/companies";
const SORT_KEYS: &[SortKey] =
    &[("companyId", "company_id"), ("name", "name_folded"), ("createdAt", "created_at"), ("updatedAt", "updated_at")];

pub(super) fn api() -> Api<Db> {
    Api::new("", "")
        .permitted(permission(Action::Create), routes!(create_company))
        .permitted(permission(Action::Read), routes!(list_companies))
        .permitted(permission(Action::Read), routes!(get_company))
        .permitted(permission(Action::Update), routes!(update_company))
        .permitted(permission(Action::Delete), routes!(delete_company))
}

const fn permission(action: Action) -> Permission {
    Permission::new(Resource::Companies, action)
}

/// Which companies to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// How many on a page, from 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// What to sort by: `companyId`, `name`, `createdAt`, `updatedAt`; with a `-` before it, the other way round.
    sort: Option<String>,
    /// Text in name, tax number or industry, in upper or lower case.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// Makes a company.
#[utoipa::path(
    post, path = "/api/v1/companies", params(IdempotencyKey),
    request_body = CompanyFields, responses(Created<Company>)
)]
async fn create_company(Create { principal, mut work, fields }: Create<CompanyFields>) -> Result<Response, Problem> {
    principal.require_at(permission(Action::Create), Place::default())?;
    let company = companies::create(&mut work, principal.actor(), fields).await?;
    Ok(created(PATH, &company))
}

/// Lists companies.
#[utoipa::path(get, path = "/api/v1/companies", params(Query), responses((status = 200, body = Page<Company>)))]
async fn list_companies(
    State(db): State<Db>,
    ValidQuery(query): ValidQuery<Query>,
) -> Result<Json<Page<Company>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter =
        Filter::default().contains("q", &["name_folded", "tax_code_folded", "industry_folded"], query.q.as_deref())?;
    Ok(Json(list(&db, &listing, filter).await?))
}

/// Shows a company.
#[utoipa::path(
    get, path = "/api/v1/companies/{company_id}", params(("company_id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Company, headers(("ETag" = String, description = "Its version"))))
)]
async fn get_company(State(db): State<Db>, PathId(id): PathId) -> Result<Response, Problem> {
    let company: Company = find(&db, id).await?;
    Ok(shown(&company))
}

/// Changes a company: a JSON merge patch, in which a field that is absent stays and null removes one.
#[utoipa::path(
    patch, path = "/api/v1/companies/{company_id}",
    params(("company_id" = i64, Path, minimum = 1), IfMatchHeader),
    request_body(content = CompanyFields, description = "The fields to change; every one may be left out"),
    responses((status = 200, body = Company, headers(("ETag" = String, description = "Its version"))))
)]
async fn update_company(mut edit: Edit, patch: Patch) -> Result<Response, Problem> {
    edit.principal.require_at(permission(Action::Update), Place::default())?;
    let before: Company = edit.locked().await?;
    let fields = edit.apply(&before, patch)?;
    let company = change(&mut edit.work, edit.principal.actor(), before, &fields).await?;
    Ok(shown(&company))
}

/// Removes a company that has no headquarters.
#[utoipa::path(
    delete, path = "/api/v1/companies/{company_id}",
    params(("company_id" = i64, Path, minimum = 1), IfMatchHeader), responses((status = 204))
)]
async fn delete_company(mut edit: Edit) -> Result<StatusCode, Problem> {
    edit.principal.require_at(permission(Action::Delete), Place::default())?;
    let company: Company = edit.locked().await?;
    edit.check(&company)?;
    companies::delete(&mut edit.work, edit.principal.actor(), company).await?;
    Ok(StatusCode::NO_CONTENT)
}
