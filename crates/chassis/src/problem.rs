//! Every error answer of ours, as a problem document (RFC 9457), made and logged in one place.
//!
//! The document is a structure of our own: our `type` is a URN, which `http::Uri`, and with it the
//! published problem crates, cannot hold.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::BoxError;
use crate::error_code::ErrorCode;
use crate::request_id::RequestId;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One field of a request that is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The path of the field, as in `addresses[0].city`.
    pub field: String,
    /// What is wrong with it, fit for the person who filled it in.
    pub message: String,
}

impl FieldError {
    /// A field and what is wrong with it.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An error answer: what the client may know, and beside it the cause, which is only logged.
///
/// ```
/// use chassis::{ErrorCode, Problem};
///
/// let problem = Problem::new(ErrorCode::NotFound).detail("there is no employee 42");
/// assert_eq!(problem.code().status(), 404);
/// ```
#[derive(Debug)]
#[must_use]
pub struct Problem {
    code: ErrorCode,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    errors: Vec<FieldError>,
    source: Option<BoxError>,
}

impl Problem {
    /// A problem with nothing but its code.
    pub const fn new(code: ErrorCode) -> Self {
        Self { code, detail: None, retry_after: None, errors: Vec::new(), source: None }
    }

    /// Fields that are not acceptable.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(ErrorCode::ValidationFailed) }
    }

    /// A fault of ours; the cause is logged, the client only learns the request id.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorCode::Internal).source(source)
    }

    /// What happened, in words that any client may read.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// When to try again; sent in whole seconds, at least one.
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds a field that is not acceptable.
    pub fn field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError::new(field, message));
        self
    }

    /// The cause, which is logged with the answer and never sent.
    pub fn source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The code it is answered with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    fn log(&self, request_id: Option<&str>) {
        let code = self.code.as_str();
        let cause = self.source.as_deref().map(|source| eventkit::chain(source));
        let cause = cause.as_deref();
        match self.code {
            // Being full is an expected state: the metrics tell how often.
            ErrorCode::Overloaded => tracing::warn!(code, request_id, cause, "request refused"),
            code if code.is_server_error() => {
                tracing::error!(code = code.as_str(), request_id, cause, "request failed");
            }
            _ => tracing::debug!(code, request_id, cause, "request not fulfilled"),
        }
    }
}

/// The document as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemDocument {
    /// What kind of problem it is, as a URN.
    #[serde(rename = "type")]
    type_uri: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The kind as a word of the closed list.
    #[schema(value_type = String)]
    code: ErrorCode,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'static, str>>,
    /// The request, as our logs name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The fields that are not acceptable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let request_id = RequestId::current();
        let request_id = request_id.as_ref().map(RequestId::as_str);
        self.log(request_id);
        let document = ProblemDocument {
            type_uri: self.code.type_uri(),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code,
            detail: self.detail,
            request_id: request_id.map(str::to_owned),
            errors: self.errors,
        };
        let body = serde_json::to_vec(&document).expect("texts and numbers are always JSON");
        let mut response = (self.code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000).clamp(1, u128::from(u32::MAX));
            let seconds = u64::try_from(seconds).expect("clamped to 32 bits");
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == ErrorCode::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
