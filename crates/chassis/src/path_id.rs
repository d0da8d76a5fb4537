//! The number of an entity in a path: whatever cannot be one is simply not there.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::error_code::ErrorCode;
use crate::problem::Problem;

/// The only parameter of a path, as an entity's number; 404 for what no entity can have: a word, zero, less, or more
/// than 64 bits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathId(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(ErrorCode::NotFound).detail("there is nothing of this number"))?;
        let id = text.parse().ok().filter(|id| *id > 0);
        id.map(Self).ok_or_else(|| Problem::new(ErrorCode::NotFound).detail("there is nothing of this number"))
    }
}
