//! What the services' entities have in common over HTTP: how they are refused, versioned, patched and validated.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use contracts::audit::digest;
use garde::Validate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error_code::ErrorCode;
use crate::extract::{ValidJson, located};
use crate::problem::{FieldError, Problem};

/// When a client may come back for something that has not arrived here yet.
const NOT_YET_KNOWN_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Why something was not done to an entity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntityError {
    /// Fields of the request are not acceptable.
    #[error("request has {} invalid fields", .0.len())]
    Invalid(Vec<FieldError>),
    /// There is no such entity, or it was removed.
    #[error("no {entity} {id}")]
    NotFound {
        /// What kind, in words: `employee`.
        entity: &'static str,
        /// Its number.
        id: i64,
    },
    /// Another entity of the kind has this value already.
    #[error("{field} of {entity} is taken")]
    Taken {
        /// What kind, in words.
        entity: &'static str,
        /// The field, as the request names it.
        field: &'static str,
    },
    /// The entity was changed since the client read it.
    #[error("{entity} {id} was changed in the meantime")]
    Stale {
        /// What kind, in words.
        entity: &'static str,
        /// Its number.
        id: i64,
    },
    /// The state of things does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// Something that the request refers to is not known here; the event that tells of it may be on its way.
    #[error("{field} {id} is not known here")]
    NotYetKnown {
        /// The field, as the request names it.
        field: &'static str,
        /// What it refers to.
        id: i64,
    },
    /// Who asks may not do it.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// A stored row could not be read.
    #[error("{entity} {id} is stored in a way that cannot be read: {reason}")]
    Corrupt {
        /// What kind, in words.
        entity: &'static str,
        /// Its number.
        id: i64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Storing, reading or publishing failed.
    #[error("backbone failed")]
    Backbone(#[from] eventkit::Error),
}

impl EntityError {
    /// One field that is not acceptable.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}

impl From<db::Error> for EntityError {
    fn from(error: db::Error) -> Self {
        Self::Backbone(error.into())
    }
}

impl From<EntityError> for Problem {
    fn from(error: EntityError) -> Self {
        match error {
            EntityError::Invalid(fields) => Self::validation(fields),
            EntityError::NotFound { entity, id } => {
                Self::new(ErrorCode::NotFound).detail(format!("there is no {entity} {id}"))
            }
            EntityError::Taken { entity, field } => {
                Self::new(ErrorCode::Duplicate).field(field, format!("is taken by another {entity}"))
            }
            EntityError::Stale { entity, id } => Self::new(ErrorCode::PreconditionFailed)
                .detail(format!("{entity} {id} was changed in the meantime: read it again")),
            EntityError::Conflict(detail) => Self::new(ErrorCode::Conflict).detail(detail),
            EntityError::NotYetKnown { field, id } => Self::new(ErrorCode::DependencyNotReady)
                .field(field, format!("{id} is not known here (yet)"))
                .retry_after(NOT_YET_KNOWN_RETRY),
            EntityError::Forbidden(detail) => Self::new(ErrorCode::Forbidden).detail(detail),
            error @ EntityError::Corrupt { .. } => Self::internal(error),
            EntityError::Backbone(error) => error.into(),
        }
    }
}

/// Something of ours that has a number, versions, and fields that a client may write.
pub trait Entity: Sized + Send + Sync {
    /// What a client may write.
    type Fields: PartialEq + Serialize + DeserializeOwned + Validate<Context = ()> + Send + Sync;
    /// What kind it is, in words: `job posting`.
    const NAME: &'static str;
    /// What the key of its events and of its lock begins with: `job`.
    const KEY: &'static str;

    /// Its number.
    fn id(&self) -> i64;
    /// How often it was changed, from 1; also the `ETag`.
    fn version(&self) -> i64;
    /// What a client may write of it.
    fn fields(&self) -> &Self::Fields;

    /// As audit records tell of it: what clients can write, where what else it has follows from other rows. An entity
    /// with private fields leaves them out, and has its version in it.
    fn digest(&self) -> String {
        digest(self.fields())
    }

    /// The key of the entity of this number.
    #[must_use]
    fn key_of(id: i64) -> String {
        format!("{}-{id}", Self::KEY)
    }

    /// The key of its events and of its lock.
    fn key(&self) -> String {
        Self::key_of(self.id())
    }
}

/// The version of an entity as a strong `ETag`.
#[must_use]
pub fn etag(version: i64) -> [(header::HeaderName, HeaderValue); 1] {
    let value = HeaderValue::try_from(format!("\"{version}\"")).expect("a quoted number is a header value");
    [(header::ETAG, value)]
}

/// Which version a request means to change (`If-Match`); without the header, or with `*`, any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<i64>);

impl IfMatch {
    /// Refuses to change another version than the request means.
    ///
    /// # Errors
    /// [`EntityError::Stale`].
    pub fn check(self, entity: &'static str, id: i64, version: i64) -> Result<(), EntityError> {
        match self.0 {
            Some(meant) if meant != version => Err(EntityError::Stale { entity, id }),
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        // A tag that is none of ours matches no version.
        let version = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|tag| tag.parse().ok());
        Ok(Self(Some(version.unwrap_or(-1))))
    }
}

/// The request's body, read as JSON and checked by the rules of `T`; 422 with every field that breaks one.
#[derive(Clone, Copy, Debug)]
pub struct Checked<T>(pub T);

impl<T: DeserializeOwned + Validate<Context = ()>, S: Send + Sync> FromRequest<S> for Checked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let ValidJson(value) = ValidJson::<T>::from_request(request, state).await?;
        check(&value)?;
        Ok(Self(value))
    }
}

/// Checks a value by its rules.
///
/// # Errors
/// [`EntityError::Invalid`] with every field that breaks one, under the names that requests use.
pub fn check(value: &impl Validate<Context = ()>) -> Result<(), EntityError> {
    value.validate().map_err(|report| {
        let fields = report.iter();
        let fields = fields.map(|(path, error)| FieldError::new(camel_case(&path.to_string()), error.to_string()));
        EntityError::Invalid(fields.collect())
    })
}

/// A JSON merge patch (RFC 7396): fields to change; null removes one, what is absent stays.
#[derive(Clone, Debug)]
pub struct Patch(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Patch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let ValidJson(fields) = ValidJson::from_request(request, state).await?;
        Ok(Self(fields))
    }
}

impl Patch {
    /// What the patch says of a field; null is to remove it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// The fields that a client may write, after the patch, read again and checked by their rules.
    ///
    /// # Errors
    /// [`EntityError::Invalid`] with the fields that do not fit.
    pub fn apply<T>(self, current: &T) -> Result<T, EntityError>
    where
        T: Serialize + DeserializeOwned + Validate<Context = ()>,
    {
        let mut document = serde_json::to_value(current).map_err(|_| EntityError::field("", "cannot be patched"))?;
        merge(&mut document, Value::Object(self.0));
        let patched = serde_path_to_error::deserialize(document).map_err(|error| {
            let path = error.path().to_string();
            let (field, message) = located(&path, error.inner());
            EntityError::field(field, message)
        })?;
        check(&patched)?;
        Ok(patched)
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else { return };
    for (name, value) in fields {
        match value {
            Value::Null => {
                object.remove(&name);
            }
            value => merge(object.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// The fields that differ between two states, by their names in the API.
#[must_use]
pub fn changed<T: Serialize>(before: &T, after: &T) -> Vec<String> {
    let object = |state: &T| match serde_json::to_value(state) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (before, after) = (object(before), object(after));
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    names
}

fn camel_case(snake_case: &str) -> String {
    let mut words = snake_case.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::rules::not_blank;

    #[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Fields {
        #[garde(custom(not_blank))]
        first_name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[garde(range(min = 1))]
        department_id: Option<i64>,
    }

    fn patch(json: Value) -> Patch {
        Patch(json.as_object().unwrap().clone())
    }

    #[test]
    fn a_patch_sets_removes_and_leaves() {
        let before = Fields { first_name: "An".into(), department_id: Some(3) };
        let after = patch(json!({"departmentId": null})).apply(&before).unwrap();
        assert_eq!(after, Fields { first_name: "An".into(), department_id: None });
        assert_eq!(changed(&before, &after), ["departmentId"]);
    }

    #[test]
    fn a_patch_that_does_not_fit_names_the_field() {
        let before = Fields { first_name: "An".into(), department_id: None };
        for (json, field) in [
            (json!({"firstName": null}), "firstName"),
            (json!({"firstName": "  "}), "firstName"),
            (json!({"departmentId": "x"}), "departmentId"),
            (json!({"departmentId": 0}), "departmentId"),
            (json!({"salary": 1}), "salary"),
        ] {
            let error = patch(json.clone()).apply(&before).unwrap_err();
            let EntityError::Invalid(fields) = error else { panic!("{json}: {error:?}") };
            assert_eq!(fields[0].field, field, "{json}");
        }
    }
}
