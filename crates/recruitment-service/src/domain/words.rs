//! Closed lists of words (states, kinds): how they are stored, read and described.

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// The word that JSON writes for a value without data.
///
/// # Panics
/// When the value is not written as text, which every closed list here is.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => panic!("a value of a closed list is written as one word"),
    }
}

/// The description of one of these values, for the lists that `contracts` declares without knowing of OpenAPI.
pub(crate) fn schema<T: Serialize>(all: &[T]) -> RefOr<Schema> {
    let words = all.iter().map(word);
    RefOr::T(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build().into())
}
