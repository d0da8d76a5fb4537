//! The service over HTTP: every route with who may use it.

mod employees;
mod entrance;
mod roles;
mod sessions;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use chassis::Api;
use contracts::access::{Action, Permission, Resource};
use utoipa_axum::routes;

use crate::service::{CREATE, Client, DELETE, READ, Service, UPDATE, UPDATE_ROLES};

/// How much of what a client says it is, is kept, in characters.
const USER_AGENT_LENGTH_MAX: usize = 300;

const READ_ROLES: Permission = Permission::new(Resource::Roles, Action::Read);
const CREATE_ROLES: Permission = Permission::new(Resource::Roles, Action::Create);
const DELETE_ROLES: Permission = Permission::new(Resource::Roles, Action::Delete);

/// The routes; they need an authenticator and an event publisher layer around them.
pub(crate) fn router(service: Service) -> Router {
    Api::new("user-service", "Employees, their roles and their sessions.")
        .permitted(CREATE, routes!(employees::create_user))
        .permitted(READ, routes!(employees::list_users))
        .logged_in(routes!(employees::get_user))
        .permitted(UPDATE, routes!(employees::update_user))
        .permitted(DELETE, routes!(employees::delete_user))
        .permitted(UPDATE, routes!(employees::send_invitation))
        .logged_in(routes!(roles::get_user_roles))
        .permitted(UPDATE_ROLES, routes!(roles::put_user_roles))
        .permitted(READ_ROLES, routes!(roles::list_permissions))
        .permitted(CREATE_ROLES, routes!(roles::create_role))
        .permitted(READ_ROLES, routes!(roles::list_roles))
        .permitted(READ_ROLES, routes!(roles::get_role))
        .permitted(UPDATE_ROLES, routes!(roles::update_role))
        .permitted(DELETE_ROLES, routes!(roles::delete_role))
        .public(routes!(entrance::accept_invitation))
        .public(routes!(entrance::bootstrap))
        .public(routes!(sessions::log_in))
        .public(routes!(sessions::refresh))
        .logged_in(routes!(sessions::list_sessions))
        .logged_in(routes!(sessions::log_out))
        .logged_in(routes!(sessions::current_access))
        .logged_in(routes!(sessions::revoke_session))
        .into_router(service)
}

/// Tells caches and kept answers to keep nothing of a secret.
fn no_store() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// Where a new thing is.
fn location(path: &str) -> [(header::HeaderName, HeaderValue); 1] {
    [(header::LOCATION, HeaderValue::try_from(path).expect("our own paths are header values"))]
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let user_agent = user_agent.map(|text| text.chars().take(USER_AGENT_LENGTH_MAX).collect());
        Ok(Self { address, user_agent })
    }
}
