//! The body of a message: any value, and the JSON in it once somebody has asked for it.

use std::sync::{Arc, OnceLock};

use super::exception::{Exception, Result};
use super::json::parse_json;
use super::value::Value;

/// A body; clones are cheap and share the JSON that was read.
#[derive(Debug, Clone, Default)]
pub struct Body(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    value: Value,
    json: OnceLock<Result<Value>>,
}

static NOTHING: Value = Value::Null;

impl Body {
    /// No body.
    pub const NULL: Self = Self(None);

    /// A body with this value.
    pub fn new(value: Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            value => Self(Some(Arc::new(Inner { value, json: OnceLock::new() }))),
        }
    }

    /// The value as it is.
    pub fn value(&self) -> &Value {
        self.0.as_deref().map_or(&NOTHING, |inner| &inner.value)
    }

    /// The body as a tree of lists and maps: text and bytes are read as JSON, once for all copies of
    /// this body; other values are what they are.
    ///
    /// # Errors
    /// If text or bytes are not JSON.
    pub fn json(&self) -> Result<&Value> {
        let Some(inner) = self.0.as_deref() else { return Ok(&NOTHING) };
        if !matches!(inner.value, Value::Text(_) | Value::Bytes(_)) {
            return Ok(inner.value.plain());
        }
        inner.json.get_or_init(|| parse_json(&inner.value)).as_ref().map_err(Exception::clone)
    }

    /// Whether both are one, not only alike.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether there is no body.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn copies_share_the_json_that_was_read() {
        let body = Body::new(Value::Bytes(Bytes::from_static(br#"{"a":[1]}"#)));
        let copy = body.clone();
        let read: *const Value = body.json().unwrap();
        assert!(std::ptr::eq(read, copy.json().unwrap()));
        assert!(Body::new(Value::from("no json")).json().is_err());
        assert!(Body::NULL.json().unwrap().is_null());
    }
}
