//! The service over HTTP: one file for each kind of thing, all in the same way.

mod companies;
mod department_types;
mod departments;
mod headquarters;
mod position_types;
mod positions;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use chassis::Api;
use chassis::entity::etag;
use db::Db;
use serde::Serialize;

use crate::domain::Entity;

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

/// An entity that a request has made, and where it is: under its number in `list_path`.
fn created<T: Entity + Serialize>(list_path: &str, entity: &T) -> Response {
    let location = HeaderValue::try_from(format!("{list_path}/{}", entity.id()));
    let location = location.expect("a path and digits are a header value");
    let head = (StatusCode::CREATED, [(header::LOCATION, location)], etag(entity.record().version));
    (head.0, head.1, head.2, Json(entity)).into_response()
}

/// An entity as it is now.
fn shown<T: Entity + Serialize>(entity: &T) -> Response {
    (etag(entity.record().version), Json(entity)).into_response()
}
