//! Requests about one entity: what a handler is given to create, change or remove it, and how it answers.
//!
//! A handler says in a line each what is locked, who may do it and what is done:
//!
//! ```text
//! let before: Company = edit.locked().await?;
//! edit.principal.require_at(UPDATE, before.place())?;
//! let fields = edit.apply(&before, patch)?;
//! let after = store::change(&mut edit.work, edit.principal.actor(), before, &fields).await?;
//! Ok(shown(&after))
//! ```

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use eventkit::Work;
use garde::Validate;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Principal;
use crate::entity::{Checked, Entity, EntityError, IfMatch, Patch, etag};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::store::{Table, locked};

/// A request to make something: who asks, the unit of work that it is done in, and the body, checked.
#[derive(Debug)]
pub struct Create<F> {
    /// Who asks.
    pub principal: Principal,
    /// What it is done in.
    pub work: Work,
    /// The body.
    pub fields: F,
}

/// A request to change, remove or move on one entity.
#[derive(Debug)]
pub struct Edit {
    /// Who asks.
    pub principal: Principal,
    /// Which entity.
    pub id: i64,
    /// Which version of it.
    pub if_match: IfMatch,
    /// What it is done in.
    pub work: Work,
}

impl Edit {
    /// The entity, which nobody else changes until the request is done.
    ///
    /// # Errors
    /// There is none of this number.
    pub async fn locked<T: Table>(&mut self) -> Result<T, EntityError> {
        locked(&mut self.work, self.id).await
    }

    /// Refuses another version than the request means.
    ///
    /// # Errors
    /// [`EntityError::Stale`].
    pub fn check<T: Entity>(&self, before: &T) -> Result<(), EntityError> {
        self.if_match.check(T::NAME, before.id(), before.version())
    }

    /// The fields after a patch, of the version that the request means.
    ///
    /// # Errors
    /// [`EntityError::Stale`], or [`EntityError::Invalid`] with the fields that do not fit.
    pub fn apply<T: Entity>(&self, before: &T, patch: Patch) -> Result<T::Fields, EntityError> {
        self.check(before)?;
        patch.apply(before.fields())
    }
}

impl<F: DeserializeOwned + Validate<Context = ()>, S: Send + Sync> FromRequest<S> for Create<F> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let principal = Principal::from_request_parts(&mut parts, state).await?;
        let work = work(&mut parts, state).await;
        let Checked(fields) = Checked::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Self { principal, work, fields })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Edit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        let PathId(id) = PathId::from_request_parts(parts, state).await?;
        let if_match = IfMatch::from_request_parts(parts, state).await?;
        Ok(Self { principal, id, if_match, work: work(parts, state).await })
    }
}

async fn work<S: Send + Sync>(parts: &mut Parts, state: &S) -> Work {
    let Ok(work) = Work::from_request_parts(parts, state).await;
    work
}

/// The answer to a request that made something: it, and where it is under its number in `list_path`.
pub fn created<T: Entity + Serialize>(list_path: &str, entity: &T) -> Response {
    created_as(list_path, entity.id(), entity.version(), entity)
}

/// As [`created`], for what is shown otherwise than it is.
///
/// # Panics
/// When the path is none.
pub fn created_as(list_path: &str, id: i64, version: i64, body: impl Serialize) -> Response {
    let location = HeaderValue::try_from(format!("{list_path}/{id}"));
    let location = location.expect("a path and digits are a header value");
    (StatusCode::CREATED, [(header::LOCATION, location)], etag(version), Json(body)).into_response()
}

/// The answer with an entity as it is now.
pub fn shown<T: Entity + Serialize>(entity: &T) -> Response {
    shown_as(entity.version(), entity)
}

/// As [`shown`], for what is shown otherwise than it is.
pub fn shown_as(version: i64, body: impl Serialize) -> Response {
    (etag(version), Json(body)).into_response()
}
