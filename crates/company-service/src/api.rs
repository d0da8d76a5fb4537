//! The service over HTTP: one file for each kind of thing, all in the same way.

mod companies;
mod department_types;
mod departments;
mod headquarters;
mod position_types;
mod positions;

use axum::Router;
use chassis::Api;
use db::Db;
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// The routes, over the service's database; they need [`chassis::part::with_layers`] around them.
pub fn router(db: Db) -> Router {
    Api::new("company-service", "Companies, headquarters, departments and positions.")
        .merge(companies::api())
        .merge(headquarters::api())
        .merge(department_types::api())
        .merge(departments::api())
        .merge(position_types::api())
        .merge(positions::api())
        .into_router(db)
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
struct IdempotencyKey {
    /// The same key: done once, answered the same
    #[param(rename = "Idempotency-Key")]
    _key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
struct IfMatchHeader {
    /// The ETag that was read; 412 if it changed since
    #[param(rename = "If-Match")]
    _tag: Option<String>,
}

#[derive(IntoResponses)]
#[response(
    status = 201,
    headers(("Location" = String, description = "Where it is"), ("ETag" = String, description = "Its version"))
)]
#[allow(dead_code, reason = "describes an answer and is none")]
struct Created<T: ToSchema>(T);
