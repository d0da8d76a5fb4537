//! A message: a body with headers.

use super::body::Body;
use super::headers::Headers;
use super::text::Text;
use super::value::Value;

/// A body with headers; clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// What the message says.
    pub body: Body,
    /// What is said about it.
    pub headers: Headers,
}

impl Message {
    /// A message with this body and no headers.
    pub fn new(body: impl Into<Body>) -> Self {
        Self { body: body.into(), headers: Headers::new() }
    }

    /// The same with one header more.
    pub fn with_header(mut self, name: impl Into<Text>, value: impl Into<Value>) -> Self {
        self.headers.set(name.into(), value.into());
        self
    }

    /// The value of a header, or nothing: a header that is null counts as absent.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.headers.get(name).filter(|value| !value.is_null())
    }
}
