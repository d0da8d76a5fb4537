//! What the user-service can refuse or fail at, and how that is answered.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chassis::{EntityError, ErrorCode, Problem};
use eventkit::{CommitAnyway, HandlerError};

/// A request that was not fulfilled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something about an entity.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// Who asks could not show who they are; what was recorded of it is kept.
    #[error("not let in: {0}")]
    NotLetIn(&'static str),
    /// There were too many failed attempts.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When the next may be made.
        retry_after: Duration,
    },
    /// There is no such session.
    #[error("no such session")]
    NoSession,
    /// Redis could not be told that sessions end or change, so they do not.
    #[error("sessions are not changed while redis cannot be told")]
    SessionsHeld(#[source] chassis::RedisError),
    /// Too many passwords are waiting to be checked.
    #[error("too many passwords wait to be hashed")]
    HashesWaiting,
    /// A password could not be hashed, or a token could not be made.
    #[error("cryptography failed: {0}")]
    Cryptography(String),
    /// The token for the first administrator could not be written.
    #[error("bootstrap token could not be written: {0}")]
    BootstrapFile(String),
}

/// When a client may come back whose password could not be looked at.
const HASHES_WAITING_RETRY: Duration = Duration::from_secs(1);
/// When a client may come back who wanted sessions changed.
const SESSIONS_HELD_RETRY: Duration = Duration::from_secs(1);

impl From<eventkit::Error> for Error {
    fn from(error: eventkit::Error) -> Self {
        Self::Entity(error.into())
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Entity(error.into())
    }
}

/// For a handler of events: the database's faults keep their kind, and a value that is taken is looked at again.
impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Entity(EntityError::Backbone(error)) => error.into(),
            Error::Entity(error @ (EntityError::Taken { .. } | EntityError::NotYetKnown { .. })) => {
                Self::transient(error)
            }
            error @ Error::SessionsHeld(_) => Self::transient(error),
            error => Self::permanent(error),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Entity(error) => error.into(),
            Error::NotLetIn(detail) => Self::new(ErrorCode::Unauthenticated).detail(detail),
            Error::TooManyAttempts { retry_after } => Self::new(ErrorCode::TooManyRequests)
                .detail("there were too many failed attempts")
                .retry_after(retry_after),
            Error::NoSession => Self::new(ErrorCode::NotFound).detail("there is no such session"),
            error @ Error::HashesWaiting => {
                Self::new(ErrorCode::Overloaded).source(error).retry_after(HASHES_WAITING_RETRY)
            }
            error @ Error::SessionsHeld(_) => Self::new(ErrorCode::Unavailable)
                .detail("sessions cannot be ended, and rights not be changed, for the moment")
                .source(error)
                .retry_after(SESSIONS_HELD_RETRY),
            error @ (Error::Cryptography(_) | Error::BootstrapFile(_)) => Self::internal(error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let keeps_record = matches!(self, Self::NotLetIn(_));
        let mut response = Problem::from(self).into_response();
        if keeps_record {
            response.extensions_mut().insert(CommitAnyway);
        }
        response
    }
}
