//! Values that go into statements and come out of rows, the same for both databases.

use std::sync::Arc;

use crate::error::{Error, Result};

/// A parameter or a column's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL null, of any type.
    Null,
    /// `boolean`; SQLite keeps it as 0 or 1.
    Bool(bool),
    /// `bigint` and the smaller integers.
    Int(i64),
    /// `double precision`.
    Real(f64),
    /// `text`; on PostgreSQL also json, uuid, timestamps (RFC 3339) and dates.
    Text(String),
    /// `bytea`.
    Bytes(Vec<u8>),
}

impl Value {
    /// The value's type in words, as errors name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Real(_) => "a real number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $made:expr;)*) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )*};
}

value_from! {
    bool => |value| Self::Bool(value);
    i64 => |value| Self::Int(value);
    i32 => |value| Self::Int(i64::from(value));
    i16 => |value| Self::Int(i64::from(value));
    u32 => |value| Self::Int(i64::from(value));
    u16 => |value| Self::Int(i64::from(value));
    u8 => |value| Self::Int(i64::from(value));
    f64 => |value| Self::Real(value);
    &str => |value| Self::Text(value.to_owned());
    &String => |value| Self::Text(value.clone());
    String => |value| Self::Text(value);
    Vec<u8> => |value| Self::Bytes(value);
    &[u8] => |value| Self::Bytes(value.to_owned());
    &Vec<u8> => |value| Self::Bytes(value.clone());
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Makes an array of [`Value`]s out of anything that converts into one.
///
/// ```
/// let [id, name] = db::params![7, "An"];
/// assert_eq!(id, db::Value::Int(7));
/// assert_eq!(name, db::Value::Text("An".into()));
/// ```
#[macro_export]
macro_rules! params {
    () => { [] as [$crate::Value; 0] };
    ($($value:expr),+ $(,)?) => { [$($crate::Value::from($value)),+] };
}

/// A type that a column can be read as.
pub trait FromValue: Sized {
    /// The type in words, for errors.
    const EXPECTED: &'static str;

    /// The value as this type, or nothing if it is of another kind or out of range.
    fn from_value(value: &Value) -> Option<Self>;

    /// As [`FromValue::from_value`], without a copy where the type is the value's own.
    fn from_owned(value: Value) -> Option<Self> {
        Self::from_value(&value)
    }
}

macro_rules! from_value {
    ($($type:ty, $expected:literal, $($pattern:pat => $made:expr),+;)*) => {$(
        impl FromValue for $type {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $($pattern => $made,)+
                    _ => None,
                }
            }
        }
    )*};
}

from_value! {
    i64, "an integer", Value::Int(value) => Some(*value);
    i32, "an integer of 32 bits", Value::Int(value) => Self::try_from(*value).ok();
    u32, "a natural number of 32 bits", Value::Int(value) => Self::try_from(*value).ok();
    // SQLite has no boolean of its own
    bool, "a boolean", Value::Bool(value) => Some(*value), Value::Int(0) => Some(false), Value::Int(1) => Some(true);
}

macro_rules! from_own_value {
    ($($type:ty, $expected:literal, $kind:ident;)*) => {$(
        impl FromValue for $type {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: &Value) -> Option<Self> {
                if let Value::$kind(value) = value { Some(value.clone()) } else { None }
            }

            fn from_owned(value: Value) -> Option<Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }
        }
    )*};
}

from_own_value! {
    String, "text", Text;
    Vec<u8>, "bytes", Bytes;
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a real number";

    #[allow(
        clippy::cast_precision_loss,
        reason = "an integer in a real column was written as one; the nearest real is what was meant"
    )]
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(value) => Some(*value),
            Value::Int(value) => Some(*value as Self),
            _ => None,
        }
    }
}

impl FromValue for Value {
    const EXPECTED: &'static str = "a value";

    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn from_owned(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_owned(value).map(Some),
        }
    }
}

/// One row of an answer; it owns its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The column's value; the name's case does not matter, since the databases fold it differently.
    ///
    /// # Errors
    /// [`Error::Column`] if there is no such column or its value is not a `T`.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        let value = self.value(column).ok_or_else(|| Error::Column {
            column: column.to_owned(),
            expected: T::EXPECTED,
            found: "nothing: there is no such column",
        })?;
        T::from_value(value).ok_or_else(|| Error::Column {
            column: column.to_owned(),
            expected: T::EXPECTED,
            found: value.kind(),
        })
    }

    /// As [`Row::get`], and takes the value out of the row, where null is left, so that a long text is not copied.
    ///
    /// # Errors
    /// Those of [`Row::get`].
    pub fn take<T: FromValue>(&mut self, column: &str) -> Result<T> {
        let at = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column));
        let Some(value) = at.and_then(|at| self.values.get_mut(at)) else { return self.get(column) };
        let found = value.kind();
        T::from_owned(std::mem::replace(value, Value::Null)).ok_or_else(|| Error::Column {
            column: column.to_owned(),
            expected: T::EXPECTED,
            found,
        })
    }

    /// The column's value as it came, if there is such a column.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.values.get(at)
    }

    /// The names of the columns, in the statement's order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn row() -> Row {
        let columns: Arc<[String]> = ["id", "active", "name"].map(String::from).into();
        Row::new(columns, params![7, true, None::<String>].to_vec())
    }

    #[test]
    fn columns_are_found_by_name_whatever_the_case() {
        assert_eq!(row().get::<i64>("id").unwrap(), 7);
        assert_eq!(row().get::<i32>("ID").unwrap(), 7);
        assert!(row().get::<bool>("active").unwrap());
        assert_eq!(row().get::<Option<String>>("name").unwrap(), None);
    }

    #[test]
    fn a_value_can_be_taken_once() {
        let columns: Arc<[String]> = ["name", "note"].map(String::from).into();
        let mut row = Row::new(columns, params!["An", None::<String>].to_vec());
        assert_eq!(row.take::<String>("NAME").unwrap(), "An");
        assert_eq!(row.take::<Option<String>>("note").unwrap(), None);
        assert_eq!(row.value("name"), Some(&Value::Null));
        let missing = row.take::<String>("email").unwrap_err().to_string();
        assert_eq!(missing, "column `email` holds nothing: there is no such column, not text");
        let taken = row.take::<String>("name").unwrap_err().to_string();
        assert_eq!(taken, "column `name` holds null, not text");
    }

    #[test]
    fn errors_name_the_column_and_the_types() {
        let missing = row().get::<i64>("email").unwrap_err().to_string();
        assert_eq!(missing, "column `email` holds nothing: there is no such column, not an integer");
        let wrong = row().get::<String>("id").unwrap_err().to_string();
        assert_eq!(wrong, "column `id` holds an integer, not text");
        let null = row().get::<String>("name").unwrap_err().to_string();
        assert_eq!(null, "column `name` holds null, not text");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let columns: Arc<[String]> = ["n"].map(String::from).into();
        let row = Row::new(columns, params![i64::MAX].to_vec());
        assert!(row.get::<i32>("n").is_err());
        assert!(row.get::<bool>("n").is_err());
        assert_eq!(row.get::<i64>("n").unwrap(), i64::MAX);
    }
}
