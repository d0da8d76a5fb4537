//! Extractors of request data whose faults are problem documents that name the field.

use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde_json::Value;

use crate::error_code::ErrorCode;
use crate::problem::{FieldError, Problem};

/// The request's body, read as JSON.
///
/// 415 without a JSON content type, 413 beyond the body limit, 400 for what is not JSON,
/// 422 with the field's path for JSON that does not fit `T`.
#[derive(Clone, Copy, Debug)]
pub struct ValidJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ValidJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(ErrorCode::UnsupportedMediaType).detail("send the body as application/json"));
        }
        let body = Bytes::from_request(request, state).await.map_err(unread_body)?;
        refuse_nul(&body)?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let whole = ByName(&mut json);
        let value = serde_path_to_error::deserialize(whole).map_err(|error| json_problem(error, &body))?;
        json.end().map_err(|error| syntax_problem(&error))?;
        Ok(Self(value))
    }
}

/// Reads a structure by the names of its fields alone: serde would take a list of their values in order too.
struct ByName<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ByName<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    // To this one null is an empty one otherwise.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct identifier ignored_any
    }
}

/// The query string, read into a structure; 400 with the parameter's name if it does not fit.
#[derive(Clone, Copy, Debug)]
pub struct ValidQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ValidQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        refuse_nul_in_query(query)?;
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        let value = serde_path_to_error::deserialize(pairs).map_err(|error| {
            let path = error.path().to_string();
            let (field, message) = located(&path, error.inner());
            Problem::new(ErrorCode::InvalidRequest).detail("the query string does not fit").field(field, message)
        })?;
        Ok(Self(value))
    }
}

/// The parameters of the path; 400 with the parameter's name if one does not fit.
#[derive(Clone, Copy, Debug)]
pub struct ValidPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ValidPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_problem(rejection)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Text with the character U+0000 is no text to PostgreSQL. A body without the escape for it is not looked at twice.
fn refuse_nul(body: &[u8]) -> Result<(), Problem> {
    const ESCAPE: &[u8] = b"\\u0000";
    if !body.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return Ok(());
    }
    // What is not JSON is told by whoever reads it.
    let Ok(document) = serde_json::from_slice(body) else { return Ok(()) };
    match nul_in(&document, "") {
        Some(field) => Err(Problem::validation(vec![FieldError::new(field, "must not hold the character U+0000")])),
        None => Ok(()),
    }
}

/// As [`refuse_nul`], for the parameters of a query.
fn refuse_nul_in_query(query: &str) -> Result<(), Problem> {
    if !query.contains("%00") {
        return Ok(());
    }
    let refused = Problem::new(ErrorCode::InvalidRequest).detail("the query string holds the character U+0000");
    let named = form_urlencoded::parse(query.as_bytes()).find(|(_, value)| value.contains('\0'));
    Err(match named {
        Some((name, _)) if !name.contains('\0') => refused.field(name, "must not hold the character U+0000"),
        _ => refused,
    })
}

/// The path of the first text with the character U+0000; names of fields are texts too.
fn nul_in(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| nul_in(item, &format!("{path}[{index}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') {
                return Some(path.to_owned());
            }
            let separator = if path.is_empty() { "" } else { "." };
            nul_in(field, &format!("{path}{separator}{name}"))
        }),
        _ => None,
    }
}

fn unread_body(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::PayloadTooLarge),
        _ => Problem::new(ErrorCode::InvalidRequest).detail("the body could not be read to its end").source(rejection),
    }
}

fn json_problem(error: serde_path_to_error::Error<serde_json::Error>, body: &[u8]) -> Problem {
    let path = error.path().to_string();
    let inner = error.into_inner();
    // Some kinds of value where another was wanted are told as errors of syntax, though the text is JSON.
    if !inner.is_data()
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(body)
    {
        return syntax_problem(&error);
    }
    let (field, message) = located(&path, &inner);
    Problem::new(ErrorCode::ValidationFailed).field(field, message)
}

fn syntax_problem(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(ErrorCode::InvalidRequest).detail(format!("the body is not JSON: line {line}, column {column}"))
}

/// The field that an error is about, and the error without its place in the text.
pub(crate) fn located(path: &str, error: &impl Display) -> (String, String) {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let parent = if path == "." { "" } else { path };
    // A missing field is told by its parent, an unknown one by itself.
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match (missing, parent) {
        (Some(field), "") => (field.to_owned(), "is required".to_owned()),
        (Some(field), parent) => (format!("{parent}.{field}"), "is required".to_owned()),
        (None, parent) => (parent.to_owned(), message.to_owned()),
    }
}

fn path_problem(rejection: PathRejection) -> Problem {
    let invalid = || Problem::new(ErrorCode::InvalidRequest).detail("a parameter of the path does not fit");
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return Problem::internal("the route has no path parameters");
    };
    if failure.status() == StatusCode::INTERNAL_SERVER_ERROR {
        return Problem::internal(failure.body_text());
    }
    match failure.into_kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            invalid().field(key, format!("must be of type {expected_type}"))
        }
        ErrorKind::DeserializeError { key, message, .. } => invalid().field(key, message),
        ErrorKind::InvalidUtf8InPathParam { key } => invalid().field(key, "must be UTF-8"),
        ErrorKind::ParseErrorAtIndex { index, expected_type, .. } => {
            invalid().field(format!("[{index}]"), format!("must be of type {expected_type}"))
        }
        ErrorKind::ParseError { expected_type, .. } => {
            invalid().detail(format!("the parameter of the path must be of type {expected_type}"))
        }
        _ => invalid(),
    }
}

/// The answer for a route that does not exist.
pub(crate) async fn unknown_route() -> impl IntoResponse {
    Problem::new(ErrorCode::NotFound).detail("there is nothing at this path")
}

/// The answer for a method that a route does not have; the router adds `Allow`.
pub(crate) async fn unknown_method() -> impl IntoResponse {
    Problem::new(ErrorCode::MethodNotAllowed)
}
