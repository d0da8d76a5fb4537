//! The ways in for whoever has no password yet: invitations, and the first administrator.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::entity::etag;
use chassis::rules::{not_blank, one_line};
use chassis::{Checked, Secret};
use eventkit::Work;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::employees::EmployeeAnswer;
use super::{location, no_store};
use crate::domain::employee::{EMAIL_LENGTH_MAX, EmployeeFields, NAME_LENGTH_MAX};
use crate::domain::password;
use crate::error::Error;
use crate::service::{Client, NewAdmin, Service};

/// The longest token that is looked at.
pub(super) const TOKEN_LENGTH_MAX: usize = 200;

/// What an invited employee sends.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Acceptance {
    /// The token in the link.
    #[garde(custom(token_length))]
    #[schema(value_type = String, max_length = 200)]
    token: Secret,
    /// The password from now on: 10 to 128 characters, at least 5 different ones, nothing common, not the own name.
    #[garde(custom(new_password))]
    #[schema(value_type = String, min_length = 10, max_length = 128)]
    password: Secret,
}

/// Sets the password of an invited employee, who is active from then on.
#[utoipa::path(
    post, path = "/api/v1/invitations/accept", tag = "sessions",
    request_body = Acceptance,
    responses((status = 204)),
)]
pub(super) async fn accept_invitation(
    State(service): State<Service>,
    client: Client,
    mut work: Work,
    Checked(acceptance): Checked<Acceptance>,
) -> Result<Response, Error> {
    service.accept_invitation(&mut work, &client, &acceptance.token, acceptance.password).await?;
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// Who the first administrator is to be.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FirstAdmin {
    /// The token in the file `bootstrap.token` of the service's data directory.
    #[garde(custom(token_length))]
    #[schema(value_type = String, max_length = 200)]
    token: Secret,
    /// The given name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 100)]
    first_name: String,
    /// The family name.
    #[garde(length(chars, max = NAME_LENGTH_MAX), custom(not_blank), custom(one_line))]
    #[schema(max_length = 100)]
    last_name: String,
    /// The address for mail and login.
    #[garde(length(chars, max = EMAIL_LENGTH_MAX), email, custom(one_line))]
    #[schema(max_length = 254, format = "email")]
    email: String,
    /// The password: 10 to 128 characters, at least 5 different ones, nothing common, not the own name.
    #[garde(custom(new_password))]
    #[schema(value_type = String, min_length = 10, max_length = 128)]
    password: Secret,
}

/// Makes the first administrator; the token is then used up for good.
#[utoipa::path(
    post, path = "/api/v1/bootstrap", tag = "sessions",
    request_body = FirstAdmin,
    responses((status = 201, body = EmployeeAnswer, headers(("Location" = String), ("ETag" = String)))),
)]
pub(super) async fn bootstrap(
    State(service): State<Service>,
    client: Client,
    mut work: Work,
    Checked(first): Checked<FirstAdmin>,
) -> Result<Response, Error> {
    let fields = EmployeeFields::named(first.first_name, first.last_name, first.email);
    let new = NewAdmin { token: first.token, fields, password: first.password };
    let employee = service.bootstrap(&mut work, &client, new).await?;
    let location = location(&format!("/api/v1/users/{}", employee.employee_id));
    let tag = etag(employee.version);
    Ok((StatusCode::CREATED, no_store(), location, tag, Json(EmployeeAnswer::whole(employee))).into_response())
}

/// A rule for tokens: not empty, and no longer than ours.
pub(super) fn token_length(token: &Secret, (): &()) -> garde::Result {
    match token.is_empty() || token.expose().len() > TOKEN_LENGTH_MAX {
        true => Err(garde::Error::new(format!("must have 1 to {TOKEN_LENGTH_MAX} characters"))),
        false => Ok(()),
    }
}

/// The part of the rules for passwords that needs nobody's name.
fn new_password(secret: &Secret, (): &()) -> garde::Result {
    password::check(secret.expose(), &[]).map_err(|error| match error {
        chassis::EntityError::Invalid(fields) => {
            garde::Error::new(fields.into_iter().map(|field| field.message).collect::<Vec<_>>().join("; "))
        }
        other => garde::Error::new(other.to_string()),
    })
}
