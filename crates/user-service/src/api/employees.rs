//! `/api/v1/users`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chassis::resource::{created_as, shown_as};
use chassis::{Create, Edit, Listing, Page, Patch, PathId, Principal, ValidQuery};
use eventkit::Work;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::{Employee, EmployeeFields, Status};
use crate::error::Error;
use crate::service::{Service, UPDATE};
use crate::store::employees::{SORT_KEYS, Wanted};

/// An employee as somebody may see them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EmployeeAnswer {
    #[serde(flatten)]
    employee: Employee,
    /// The name of the department, as far as it is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    department_name: Option<String>,
}

impl EmployeeAnswer {
    /// What `principal` may see.
    pub(super) fn for_principal(principal: &Principal, employee: Employee) -> Self {
        let is_own = principal.employee_id() == Some(employee.employee_id);
        match is_own || principal.may_at(UPDATE, employee.place()) {
            true => Self::whole(employee),
            false => Self::whole(employee.without_private_fields()),
        }
    }

    /// Everything, for the employee.
    pub(super) fn whole(employee: Employee) -> Self {
        Self { department_name: employee.department_name.clone(), employee }
    }
}

/// Takes somebody on, and sends them an invitation.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "employees",
    request_body = EmployeeFields,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, body = EmployeeAnswer, headers(("Location" = String), ("ETag" = String)))),
)]
pub(super) async fn create_user(
    State(service): State<Service>,
    Create { principal, mut work, fields }: Create<EmployeeFields>,
) -> Result<Response, Error> {
    let employee = service.create_employee(&mut work, &principal, fields).await?;
    let (id, version) = (employee.employee_id, employee.version);
    Ok(created_as("/api/v1/users", id, version, EmployeeAnswer::for_principal(&principal, employee)))
}

/// What a list of employees is to hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EmployeeQuery {
    /// Employees on one page, 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// employeeId, name, email or createdAt; with - before it for the other way round.
    sort: Option<String>,
    /// Only those whose names, address or code contain this.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only those who stand there.
    status: Option<Status>,
    /// Only those of this department.
    department_id: Option<i64>,
    /// Only those who hold this position.
    position_id: Option<i64>,
}

/// Lists the employees that one may see.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "employees", params(EmployeeQuery),
    responses((status = 200, body = Page<EmployeeAnswer>)),
)]
pub(super) async fn list_users(
    State(service): State<Service>,
    principal: Principal,
    ValidQuery(query): ValidQuery<EmployeeQuery>,
) -> Result<Json<Page<EmployeeAnswer>>, Error> {
    let listing = Listing::read(query.limit, query.cursor.as_deref(), query.sort.as_deref(), SORT_KEYS)?;
    let wanted = Wanted {
        status: query.status,
        department_id: query.department_id,
        position_id: query.position_id,
        search: query.q.as_deref(),
    };
    let Page { items, next_cursor } = service.list_employees(&principal, &listing, &wanted).await?;
    let items = items.into_iter().map(|employee| EmployeeAnswer::for_principal(&principal, employee)).collect();
    Ok(Json(Page { items, next_cursor }))
}

/// Tells of one employee; everybody may see their own record.
#[utoipa::path(
    get, path = "/api/v1/users/{employeeId}", tag = "employees",
    params(("employeeId" = i64, Path, description = "The employee's number")),
    responses((status = 200, body = EmployeeAnswer, headers(("ETag" = String)))),
)]
pub(super) async fn get_user(
    State(service): State<Service>,
    principal: Principal,
    PathId(employee_id): PathId,
) -> Result<Response, Error> {
    let employee = service.find_employee(&principal, employee_id).await?;
    Ok(shown_as(employee.version, EmployeeAnswer::for_principal(&principal, employee)))
}

/// Changes fields of an employee: a JSON merge patch, in which null removes one.
#[utoipa::path(
    patch, path = "/api/v1/users/{employeeId}", tag = "employees",
    request_body(content = EmployeeFields, description = "The fields to change"),
    params(
        ("employeeId" = i64, Path, description = "The employee's number"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant"),
    ),
    responses((status = 200, body = EmployeeAnswer, headers(("ETag" = String)))),
)]
pub(super) async fn update_user(
    State(service): State<Service>,
    mut edit: Edit,
    patch: Patch,
) -> Result<Response, Error> {
    let employee = service.update_employee(&mut edit, patch).await?;
    Ok(shown_as(employee.version, EmployeeAnswer::for_principal(&edit.principal, employee)))
}

/// Removes an employee, whose sessions end at once.
#[utoipa::path(
    delete, path = "/api/v1/users/{employeeId}", tag = "employees",
    params(
        ("employeeId" = i64, Path, description = "The employee's number"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version that is meant"),
    ),
    responses((status = 204)),
)]
pub(super) async fn delete_user(
    State(service): State<Service>,
    Edit { principal, id: employee_id, if_match, mut work }: Edit,
) -> Result<StatusCode, Error> {
    service.delete_employee(&mut work, &principal, employee_id, if_match).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a new invitation and ends those before; for an active employee it is the way to a new password.
#[utoipa::path(
    post, path = "/api/v1/users/{employeeId}/invitation", tag = "employees",
    params(
        ("employeeId" = i64, Path, description = "The employee's number"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless"),
    ),
    responses((status = 202)),
)]
pub(super) async fn send_invitation(
    State(service): State<Service>,
    principal: Principal,
    PathId(employee_id): PathId,
    mut work: Work,
) -> Result<StatusCode, Error> {
    service.send_invitation(&mut work, &principal, employee_id).await?;
    Ok(StatusCode::ACCEPTED)
}
