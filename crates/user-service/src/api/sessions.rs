//! `/api/v1/sessions`: in, on and out.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::rules::one_line;
use chassis::{Checked, ErrorCode, Page, Principal, Problem, Secret};
use contracts::access::Access;
use eventkit::Work;
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::entrance::token_length;
use super::no_store;
use crate::domain::employee::EMAIL_LENGTH_MAX;
use crate::domain::password;
use crate::domain::role::RoleScope;
use crate::error::Error;
use crate::service::{Client, LoggedIn, Service};
use crate::store::sessions::Session;

/// The longest name of a session that is looked for.
const SESSION_ID_LENGTH_MAX: usize = 64;

/// Who wants in.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Login {
    /// The address, without regard to case.
    #[garde(length(chars, min = 1, max = EMAIL_LENGTH_MAX), custom(one_line))]
    #[schema(min_length = 1, max_length = 254)]
    email: String,
    /// The password.
    #[garde(custom(given_password))]
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    password: Secret,
}

/// A session that lives.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionAnswer {
    /// Its name.
    session_id: String,
    /// Whose it is.
    employee_id: i64,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was begun or refreshed last.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    /// When it ends unless it is refreshed.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What the client says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    /// Where it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
    /// Whether it is the one that asks.
    is_current: bool,
}

impl SessionAnswer {
    fn new(session: Session, current: Option<&str>) -> Self {
        Self {
            is_current: current == Some(session.session_id.as_str()),
            session_id: session.session_id,
            employee_id: session.employee_id,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            user_agent: session.user_agent,
            ip_address: session.ip_address,
        }
    }
}

/// What lets a client in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokensAnswer {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    /// How the access token is sent: Bearer.
    token_type: &'static str,
    /// For how many seconds the access token is good.
    expires_in: i64,
    /// Exchanged once for new tokens.
    refresh_token: String,
    /// The session behind them.
    session: SessionAnswer,
}

impl From<LoggedIn> for TokensAnswer {
    fn from(logged_in: LoggedIn) -> Self {
        let current = logged_in.session.session_id.clone();
        Self {
            access_token: logged_in.access_token,
            token_type: "Bearer",
            expires_in: logged_in.access_token_keep_ms / 1_000,
            refresh_token: logged_in.refresh_token,
            session: SessionAnswer::new(logged_in.session, Some(&current)),
        }
    }
}

/// Logs in.
#[utoipa::path(
    post, path = "/api/v1/sessions", tag = "sessions", request_body = Login,
    responses((status = 201, body = TokensAnswer)),
)]
pub(super) async fn log_in(
    State(service): State<Service>,
    client: Client,
    mut work: Work,
    Checked(login): Checked<Login>,
) -> Result<Response, Error> {
    let logged_in = service.log_in(&mut work, &client, &login.email, login.password).await?;
    Ok((StatusCode::CREATED, no_store(), Json(TokensAnswer::from(logged_in))).into_response())
}

/// A refresh token.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refresh {
    /// The token that came last.
    #[garde(custom(token_length))]
    #[schema(value_type = String, max_length = 200)]
    refresh_token: Secret,
}

/// Exchanges a refresh token for new tokens; one that is used twice ends its session.
#[utoipa::path(
    post, path = "/api/v1/sessions/refresh", tag = "sessions", request_body = Refresh,
    responses((status = 200, body = TokensAnswer)),
)]
pub(super) async fn refresh(
    State(service): State<Service>,
    client: Client,
    mut work: Work,
    Checked(refresh): Checked<Refresh>,
) -> Result<Response, Error> {
    let logged_in = service.refresh(&mut work, &client, &refresh.refresh_token).await?;
    Ok((no_store(), Json(TokensAnswer::from(logged_in))).into_response())
}

/// Lists the own living sessions, the latest used first.
#[utoipa::path(
    get, path = "/api/v1/sessions", tag = "sessions", responses((status = 200, body = Page<SessionAnswer>)),
)]
pub(super) async fn list_sessions(
    State(service): State<Service>,
    principal: Principal,
) -> Result<Json<Page<SessionAnswer>>, Error> {
    let sessions = service.own_sessions(&principal).await?.into_iter();
    let items = sessions.map(|session| SessionAnswer::new(session, principal.session_id())).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Logs out: the session that asks ends, and its tokens open nothing any more.
#[utoipa::path(delete, path = "/api/v1/sessions/current", tag = "sessions", responses((status = 204)))]
pub(super) async fn log_out(
    State(service): State<Service>,
    principal: Principal,
    mut work: Work,
) -> Result<StatusCode, Error> {
    service.log_out(&mut work, &principal).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the own sessions, or one of somebody whose record one may change.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{sessionId}", tag = "sessions",
    params(("sessionId" = String, Path, description = "The session's name")),
    responses((status = 204)),
)]
pub(super) async fn revoke_session(
    State(service): State<Service>,
    principal: Principal,
    session_id: Result<Path<String>, PathRejection>,
    mut work: Work,
) -> Result<StatusCode, Error> {
    // What is not even text names no session.
    let Ok(Path(session_id)) = session_id else { return Err(Error::NoSession) };
    if session_id.len() > SESSION_ID_LENGTH_MAX || !session_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::NoSession);
    }
    service.revoke_session(&mut work, &principal, &session_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A permission and how far it reaches.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct GrantAnswer {
    /// What may be done, for example `employees:read`.
    permission: String,
    /// Where.
    scope: RoleScope,
}

/// What a living session amounts to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessAnswer {
    /// Who is logged in.
    employee_id: i64,
    /// The session.
    session_id: String,
    /// What the employee may do.
    grants: Vec<GrantAnswer>,
}

impl From<&Access> for AccessAnswer {
    fn from(access: &Access) -> Self {
        let grants = access
            .grants
            .iter()
            .map(|grant| GrantAnswer { permission: grant.permission.to_string(), scope: grant.scope.into() });
        Self { employee_id: access.employee_id, session_id: access.session_id.clone(), grants: grants.collect() }
    }
}

/// Tells what the session that asks amounts to; the other services go by it.
#[utoipa::path(
    get, path = "/api/v1/sessions/current/access", tag = "sessions", responses((status = 200, body = AccessAnswer)),
)]
pub(super) async fn current_access(principal: Principal) -> Result<Response, Problem> {
    match &principal {
        Principal::Employee(access) => Ok((no_store(), Json(AccessAnswer::from(access.as_ref()))).into_response()),
        _ => Err(Problem::new(ErrorCode::Forbidden).detail("an operator has no session")),
    }
}

fn given_password(secret: &Secret, (): &()) -> garde::Result {
    match secret.is_empty() || secret.expose().chars().count() > password::LENGTH_MAX {
        true => Err(garde::Error::new(format!("must have 1 to {} characters", password::LENGTH_MAX))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use contracts::access::{Action, Grant, Permission, Resource, Scope};

    use super::*;

    #[test]
    fn the_answer_reads_back_as_the_access_that_other_services_expect() {
        let permission = Permission::new(Resource::Employees, Action::Read);
        let scopes = [Scope::All, Scope::Headquarters { headquarter_id: 1 }, Scope::Department { department_id: 2 }];
        let grants = scopes.map(|scope| Grant { permission, scope }).to_vec();
        let access = Access { employee_id: 42, session_id: "s-1".to_owned(), grants };
        let json = serde_json::to_value(AccessAnswer::from(&access)).unwrap();
        assert_eq!(serde_json::from_value::<Access>(json.clone()).unwrap(), access);
        assert_eq!(json, serde_json::to_value(&access).unwrap());
    }
}
