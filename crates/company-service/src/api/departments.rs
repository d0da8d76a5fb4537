//! Departments over HTTP.

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
use crate::domain::{Department, DepartmentFields};
use crate::service::departments;

const PATH: &str = "/api/v1/departments";
const SORT_KEYS: &[SortKey] = &[
    ("departmentId", "department_id"),
    ("name", "name_folded"),
    ("createdAt", "created_at"),
    ("updatedAt", "updated_at"),
];

pub(super) fn api() -> Api<Db> {
    Api::new("", "")
        .permitted(permission(Action::Create), routes!(create_department))
        .permitted(permission(Action::Read), routes!(list_departments))
        .permitted(permission(Action::Read), routes!(get_department))
        .permitted(permission(Action::Update), routes!(update_department))
        .permitted(permission(Action::Delete), routes!(delete_department))
}

const fn permission(action: Action) -> Permission {
    Permission::new(Resource::Departments, action)
}

/// A department as somebody may see it.
fn seen_by(principal: &Principal, department: Department) -> Department {
    let leads = principal.employee_id().is_some() && principal.employee_id() == department.fields.leader_id;
    match leads || principal.may_at(permission(Action::Update), department.place()) {
        true => department,
        false => department.without_private_fields(),
    }
}

/// Which departments to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// How many on a page, from 1 to 200; 50 where it is not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// What to sort by: `departmentId`, `name`, `createdAt`, `updatedAt`; with a `-` before it, the other way round.
    sort: Option<String>,
    /// Text in name or code, in upper or lower case.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Those of this headquarters.
    headquarter_id: Option<i64>,
    /// Those of this company.
    company_id: Option<i64>,
    /// Those that this employee leads.
    leader_id: Option<i64>,
    /// Those of this type.
    department_type_id: Option<i64>,
}

/// Makes a department.
#[utoipa::path(
    post, path = "/api/v1/departments", params(IdempotencyKey),
    request_body = DepartmentFields, responses(Created<Department>)
)]
async fn create_department(
    Create { principal, mut work, fields }: Create<DepartmentFields>,
) -> Result<Response, Problem> {
    let place = Place { headquarter_id: Some(fields.headquarter_id), department_id: None };
    principal.require_at(permission(Action::Create), place)?;
    let department = departments::create(&mut work, principal.actor(), fields).await?;
    Ok(created(PATH, &seen_by(&principal, department)))
}

/// Lists departments.
#[utoipa::path(get, path = "/api/v1/departments", params(Query), responses((status = 200, body = Page<Department>)))]
async fn list_departments(
    State(db): State<Db>,
    principal: Principal,
    ValidQuery(query): ValidQuery<Query>,
) -> Result<Json<Page<Department>>, Problem> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let filter = Filter::default()
        .covered_by(&principal.scopes(permission(Action::Read)), Some("headquarter_id"), Some("department_id"))
        .equals("headquarter_id", query.headquarter_id)
        .equals("company_id", query.company_id)
        .equals("leader_id", query.leader_id)
        .equals("department_type_id", query.department_type_id)
        .contains("q", &["name_folded", "code_folded"], query.q.as_deref())?;
    let Page { items, next_cursor } = list(&db, &listing, filter).await?;
    let items = items.into_iter().map(|department| seen_by(&principal, department)).collect();
    Ok(Json(Page { items, next_cursor }))
}

/// Shows a department.
#[utoipa::path(
    get, path = "/api/v1/departments/{department_id}", params(("department_id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Department, headers(("ETag" = String, description = "Its version"))))
)]
async fn get_department(State(db): State<Db>, principal: Principal, PathId(id): PathId) -> Result<Response, Problem> {
    let department: Department = find(&db, id).await?;
    principal.require_at(permission(Action::Read), department.place())?;
    Ok(shown(&seen_by(&principal, department)))
}

/// Changes a department: a JSON merge patch, in which a field that is absent stays and null removes one.
#[utoipa::path(
    patch, path = "/api/v1/departments/{department_id}",
    params(("department_id" = i64, Path, minimum = 1), IfMatchHeader),
    request_body(content = DepartmentFields, description = "The fields to change; every one may be left out"),
    responses((status = 200, body = Department, headers(("ETag" = String, description = "Its version"))))
)]
async fn update_department(mut edit: Edit, patch: Patch) -> Result<Response, Problem> {
    let leader_id = patch.get("leaderId").and_then(serde_json::Value::as_i64);
    departments::lock_leader(&mut edit.work, leader_id).await?;
    let before: Department = edit.locked().await?;
    edit.principal.require_at(permission(Action::Update), before.place())?;
    let fields = edit.apply(&before, patch)?;
    // Moving a department takes leave at both ends.
    let place = Place { headquarter_id: Some(fields.headquarter_id), department_id: Some(edit.id) };
    edit.principal.require_at(permission(Action::Update), place)?;
    let department = departments::update(&mut edit.work, edit.principal.actor(), before, fields).await?;
    Ok(shown(&department))
}

/// Removes a department where nobody works.
#[utoipa::path(
    delete, path = "/api/v1/departments/{department_id}",
    params(("department_id" = i64, Path, minimum = 1), IfMatchHeader), responses((status = 204))
)]
async fn delete_department(mut edit: Edit) -> Result<StatusCode, Problem> {
    let department: Department = edit.locked().await?;
    edit.principal.require_at(permission(Action::Delete), department.place())?;
    edit.check(&department)?;
    departments::delete(&mut edit.work, edit.principal.actor(), department).await?;
    Ok(StatusCode::NO_CONTENT)
}
