//! The service over HTTP: `/api/v1/users`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http::HeaderValue};
use chassis::{FieldError, Principal, ValidJson, ValidPath, ValidQuery};
use eventkit::Work;
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::domain::{CreateUser, Employee};
use crate::error::Error;
use crate::service::Users;

/// Employees on one page at the most.
const PAGE_MAX: i64 = 200;
const PAGE_DEFAULT: i64 = 50;

/// The routes; they need an authenticator and an event publisher layer around them.
pub(crate) fn router(users: Users) -> Router {
    Router::new()
        .route("/api/v1/users", post(create_user).get(list_users))
        .route("/api/v1/users/{employee_id}", get(get_user))
        .with_state(users)
}

async fn create_user(
    State(users): State<Users>,
    principal: Principal,
    mut work: Work,
    ValidJson(new): ValidJson<CreateUser>,
) -> Result<Response, Error> {
    new.validate().map_err(|report| Error::Invalid(field_errors(&report)))?;
    let employee = users.create_user(&mut work, principal.actor(), new).await?;
    let location = format!("/api/v1/users/{}", employee.employee_id);
    let location = HeaderValue::try_from(location).expect("digits and slashes are a header value");
    let mut response = (StatusCode::CREATED, [(header::LOCATION, location)], Json(&employee)).into_response();
    response.headers_mut().insert(header::ETAG, etag(&employee));
    Ok(response)
}

async fn get_user(
    State(users): State<Users>,
    _principal: Principal,
    ValidPath(employee_id): ValidPath<i64>,
) -> Result<Response, Error> {
    let employee = users.find(employee_id).await?;
    Ok(([(header::ETAG, etag(&employee))], Json(employee)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Page {
    /// Employees after this number.
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Employees {
    items: Vec<Employee>,
    /// What `after` is for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<i64>,
}

async fn list_users(
    State(users): State<Users>,
    _principal: Principal,
    ValidQuery(page): ValidQuery<Page>,
) -> Result<Json<Employees>, Error> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("must be from 1 to {PAGE_MAX}");
        return Err(Error::Invalid(vec![FieldError::new("limit", message)]));
    }
    let mut items = users.list(page.after, limit + 1).await?;
    let page_length = usize::try_from(limit).expect("checked to be small and positive");
    let is_last = items.len() <= page_length;
    items.truncate(page_length);
    let next_after = items.last().filter(|_| !is_last).map(|employee| employee.employee_id);
    Ok(Json(Employees { items, next_after }))
}

fn etag(employee: &Employee) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", employee.version)).expect("a quoted number is a header value")
}

/// The report's fields under the names that the request uses.
fn field_errors(report: &garde::Report) -> Vec<FieldError> {
    report.iter().map(|(path, error)| FieldError::new(camel_case(&path.to_string()), error.to_string())).collect()
}

fn camel_case(snake_case: &str) -> String {
    let mut words = snake_case.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}
