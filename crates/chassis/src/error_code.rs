//! The closed list of error codes that clients see, and the one place that maps them to HTTP.

use std::fmt;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// What a type URI begins with; the code follows.
const TYPE_PREFIX: &str = "urn:techleet:error:";

/// Why a request was not fulfilled. The list is closed: clients may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read: no JSON, a malformed parameter.
    InvalidRequest,
    /// The request can be read, but a field's value is not acceptable.
    ValidationFailed,
    /// Who is asking is not known.
    Unauthenticated,
    /// Who is asking may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The thing's state does not allow this.
    Conflict,
    /// There is already one like it.
    Duplicate,
    /// The thing was changed since it was read (`If-Match`).
    PreconditionFailed,
    /// The request must say which version it changes (`If-Match`).
    PreconditionRequired,
    /// The body is too large.
    PayloadTooLarge,
    /// The body is not of a type that is understood.
    UnsupportedMediaType,
    /// The thing does not have this method.
    MethodNotAllowed,
    /// Too many requests of one client.
    TooManyRequests,
    /// Something the request refers to has not arrived here yet; try again a little later.
    DependencyNotReady,
    /// The service has too much to do.
    Overloaded,
    /// Something the service needs is away.
    Unavailable,
    /// The answer took too long.
    Timeout,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 18] = [
        Self::InvalidRequest,
        Self::ValidationFailed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Duplicate,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::MethodNotAllowed,
        Self::TooManyRequests,
        Self::DependencyNotReady,
        Self::Overloaded,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
    ];

    /// The code as on the wire, in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The status it is answered with.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// A short summary, the same for every occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// The `type` of the problem document (RFC 9457), a URN of ours.
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("{TYPE_PREFIX}{}", self.as_str())
    }

    /// Whether the fault is on our side.
    #[must_use]
    pub fn is_server_error(self) -> bool {
        self.status().is_server_error()
    }

    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, "Invalid request"),
            Self::ValidationFailed => ("validation_failed", S::UNPROCESSABLE_ENTITY, "Validation failed"),
            Self::Unauthenticated => ("unauthenticated", S::UNAUTHORIZED, "Not authenticated"),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "Not allowed"),
            Self::NotFound => ("not_found", S::NOT_FOUND, "Not found"),
            Self::Conflict => ("conflict", S::CONFLICT, "Conflict with the current state"),
            Self::Duplicate => ("duplicate", S::CONFLICT, "Already exists"),
            Self::PreconditionFailed => ("precondition_failed", S::PRECONDITION_FAILED, "Changed in the meantime"),
            Self::PreconditionRequired => ("precondition_required", S::PRECONDITION_REQUIRED, "If-Match is required"),
            Self::PayloadTooLarge => ("payload_too_large", S::PAYLOAD_TOO_LARGE, "Request body too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::TooManyRequests => ("too_many_requests", S::TOO_MANY_REQUESTS, "Too many requests"),
            Self::DependencyNotReady => ("dependency_not_ready", S::CONFLICT, "Something needed has not arrived yet"),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "Too much to do"),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "Temporarily not available"),
            Self::Timeout => ("timeout", S::SERVICE_UNAVAILABLE, "Took too long"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_spelled_the_same_in_json_and_in_its_type() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!(code.type_uri().ends_with(code.as_str()));
            assert!(code.status().is_client_error() || code.is_server_error());
        }
    }
}
