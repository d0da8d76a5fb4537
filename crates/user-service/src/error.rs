//! What the user-service can refuse or fail at, and how that is answered.

use axum::response::{IntoResponse, Response};
use chassis::{ErrorCode, FieldError, Problem};

/// A request that was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Fields of the request are not acceptable.
    #[error("request has {} invalid fields", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another employee has this value.
    #[error("{field} is taken")]
    Taken {
        /// The field, as the request names it.
        field: &'static str,
    },
    /// There is no such employee.
    #[error("no employee {employee_id}")]
    NotFound {
        /// The number asked for.
        employee_id: i64,
    },
    /// A stored row could not be read.
    #[error("employee {employee_id} is stored in a way that cannot be read: {reason}")]
    Corrupt {
        /// The row's number.
        employee_id: i64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Storing, reading or publishing failed.
    #[error("backbone failed")]
    Backbone(#[from] eventkit::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Backbone(error.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fields) => Problem::validation(fields),
            Error::Taken { field } => Problem::new(ErrorCode::Duplicate).field(field, "is taken by another employee"),
            Error::NotFound { employee_id } => {
                Problem::new(ErrorCode::NotFound).detail(format!("there is no employee {employee_id}"))
            }
            Error::Corrupt { .. } => Problem::internal(error),
            Error::Backbone(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
