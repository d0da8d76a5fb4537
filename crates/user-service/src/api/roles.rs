//! `/api/v1/roles`, `/api/v1/permissions`, and the roles of an employee.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::resource::{created_as, shown_as};
use chassis::{Checked, Create, Edit, Listing, Page, Patch, PathId, Principal, ValidQuery};
use contracts::access::Permission;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::role::{ASSIGNMENTS_MAX, Assignment, Role, RoleFields};
use crate::error::Error;
use crate::service::Service;
use crate::store::roles::SORT_KEYS;

/// A permission that a role can hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PermissionAnswer {
    /// Its name: resource:action.
    name: String,
    /// To what.
    resource: &'static str,
    /// To do what.
    action: &'static str,
}

/// Lists every permission there is.
#[utoipa::path(
    get, path = "/api/v1/permissions", tag = "roles", responses((status = 200, body = Page<PermissionAnswer>)),
)]
pub(super) async fn list_permissions() -> Json<Page<PermissionAnswer>> {
    let items = Permission::all().map(|permission| PermissionAnswer {
        name: permission.to_string(),
        resource: permission.resource.as_str(),
        action: permission.action.as_str(),
    });
    Json(Page { items: items.collect(), next_cursor: None })
}

/// Makes a role.
#[utoipa::path(
    post, path = "/api/v1/roles", tag = "roles", request_body = RoleFields,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, body = Role, headers(("Location" = String), ("ETag" = String)))),
)]
pub(super) async fn create_role(
    State(service): State<Service>,
    Create { principal, mut work, fields }: Create<RoleFields>,
) -> Result<Response, Error> {
    let role = service.create_role(&mut work, &principal, &fields).await?;
    Ok(created_as("/api/v1/roles", role.role_id, role.version, role))
}

/// What a list of roles is to hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RoleQuery {
    /// Roles on one page, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// roleId or name; with - before it for the other way round.
    sort: Option<String>,
    /// Only those whose name contains this.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// Lists roles.
#[utoipa::path(
    get, path = "/api/v1/roles", tag = "roles", params(RoleQuery), responses((status = 200, body = Page<Role>)),
)]
pub(super) async fn list_roles(
    State(service): State<Service>,
    ValidQuery(query): ValidQuery<RoleQuery>,
) -> Result<Json<Page<Role>>, Error> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    Ok(Json(service.list_roles(&listing, query.q.as_deref()).await?))
}

/// Tells of one role.
#[utoipa::path(
    get, path = "/api/v1/roles/{roleId}", tag = "roles",
    params(("roleId" = i64, Path, description = "The role's number")),
    responses((status = 200, body = Role, headers(("ETag" = String)))),
)]
pub(super) async fn get_role(State(service): State<Service>, PathId(role_id): PathId) -> Result<Response, Error> {
    let role = service.find_role(role_id).await?;
    Ok(shown_as(role.version, role))
}

/// Changes a role; what it lets do holds from the next request on.
#[utoipa::path(
    patch, path = "/api/v1/roles/{roleId}", tag = "roles",
    request_body(content = RoleFields, description = "The fields to change"),
    params(
        ("roleId" = i64, Path, description = "The role's number"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant"),
    ),
    responses((status = 200, body = Role, headers(("ETag" = String)))),
)]
pub(super) async fn update_role(
    State(service): State<Service>,
    mut edit: Edit,
    patch: Patch,
) -> Result<Response, Error> {
    let role = service.update_role(&mut edit, patch).await?;
    Ok(shown_as(role.version, role))
}

/// Removes a role that nobody has; a built-in one stays.
#[utoipa::path(
    delete, path = "/api/v1/roles/{roleId}", tag = "roles",
    params(
        ("roleId" = i64, Path, description = "The role's number"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant"),
    ),
    responses((status = 204)),
)]
pub(super) async fn delete_role(State(service): State<Service>, mut edit: Edit) -> Result<StatusCode, Error> {
    service.delete_role(&mut edit).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The roles of an employee, all of them.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(transparent)]
#[garde(transparent)]
pub(super) struct Assignments(#[garde(length(max = ASSIGNMENTS_MAX), dive)] Vec<Assignment>);

/// Tells which roles an employee has; everybody may see their own.
#[utoipa::path(
    get, path = "/api/v1/users/{employeeId}/roles", tag = "roles",
    params(("employeeId" = i64, Path, description = "The employee's number")),
    responses((status = 200, body = Vec<Assignment>, headers(("ETag" = String)))),
)]
pub(super) async fn get_user_roles(
    State(service): State<Service>,
    principal: Principal,
    PathId(employee_id): PathId,
) -> Result<Response, Error> {
    let (assigned, version) = service.find_assigned(&principal, employee_id).await?;
    Ok(shown_as(version, assigned))
}

/// Gives an employee these roles and no others; they count from the next request on.
#[utoipa::path(
    put, path = "/api/v1/users/{employeeId}/roles", tag = "roles",
    request_body = Vec<Assignment>,
    params(
        ("employeeId" = i64, Path, description = "The employee's number"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant"),
    ),
    responses((status = 200, body = Vec<Assignment>, headers(("ETag" = String)))),
)]
pub(super) async fn put_user_roles(
    State(service): State<Service>,
    Edit { principal, id: employee_id, if_match, mut work }: Edit,
    Checked(wanted): Checked<Assignments>,
) -> Result<Response, Error> {
    let (assigned, version) = service.assign_roles(&mut work, &principal, employee_id, if_match, wanted.0).await?;
    Ok(shown_as(version, assigned))
}
