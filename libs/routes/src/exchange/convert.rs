//! Camel's conversions between types of values.

use bytes::Bytes;

use super::classes::class;
use super::exception::{Exception, Result};
use super::java::text_of;
use super::json::write_json;
use super::map::Map;
use super::text::Text;
use super::value::Value;

/// A type that a value can be asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Whatever it is.
    #[default]
    Any,
    /// Text.
    Text,
    /// Yes or no.
    Bool,
    /// A whole number of 8 bits.
    Byte,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A decimal number.
    Decimal,
    /// Bytes.
    Bytes,
    /// Values in order.
    List,
    /// Names and values.
    Map,
    /// A JSON tree.
    Json,
}

/// Java's names for each kind that route files use.
const NAMES: &[(&str, Kind)] = &[
    ("java.lang.String", Kind::Text),
    ("String", Kind::Text),
    ("string", Kind::Text),
    ("java.lang.Boolean", Kind::Bool),
    ("Boolean", Kind::Bool),
    ("boolean", Kind::Bool),
    ("java.lang.Byte", Kind::Byte),
    ("byte", Kind::Byte),
    ("java.lang.Short", Kind::Short),
    ("short", Kind::Short),
    ("java.lang.Integer", Kind::Int),
    ("Integer", Kind::Int),
    ("int", Kind::Int),
    ("java.lang.Long", Kind::Long),
    ("Long", Kind::Long),
    ("long", Kind::Long),
    ("java.math.BigInteger", Kind::Long),
    ("java.lang.Double", Kind::Decimal),
    ("Double", Kind::Decimal),
    ("double", Kind::Decimal),
    ("java.lang.Float", Kind::Decimal),
    ("float", Kind::Decimal),
    ("java.math.BigDecimal", Kind::Decimal),
    ("byte[]", Kind::Bytes),
    ("[B", Kind::Bytes),
    ("java.io.InputStream", Kind::Bytes),
    ("java.util.List", Kind::List),
    ("java.util.ArrayList", Kind::List),
    ("java.util.Collection", Kind::List),
    ("List", Kind::List),
    ("java.util.Map", Kind::Map),
    ("java.util.HashMap", Kind::Map),
    ("java.util.LinkedHashMap", Kind::Map),
    ("Map", Kind::Map),
    ("com.fasterxml.jackson.databind.JsonNode", Kind::Json),
    ("java.lang.Object", Kind::Any),
    ("Object", Kind::Any),
];

impl Kind {
    /// The kind that a Java class stands for, for example `java.lang.String`, `int` or `byte[]`.
    pub fn from_java_name(name: &str) -> Option<Self> {
        NAMES.iter().find_map(|(known, kind)| (*known == name).then_some(*kind))
    }

    /// All Java names that are known, for messages that suggest one.
    pub fn java_names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    fn java_name(self) -> &'static str {
        NAMES.iter().find_map(|(name, kind)| (*kind == self).then_some(*name)).unwrap_or("java.lang.Object")
    }
}

impl Value {
    /// The value as `kind`; nothing stays nothing.
    ///
    /// # Errors
    /// If there is no such conversion, or the text does not look like it.
    pub fn convert(&self, kind: Kind) -> Result<Value> {
        if self.is_null() {
            return Ok(Value::Null);
        }
        let converted = match kind {
            Kind::Any => Some(self.clone()),
            Kind::Text => self.to_text().map(Value::Text),
            Kind::Bool => self.to_bool().map(Value::Bool),
            Kind::Byte => self.to_whole(i64::from(i8::MIN), i64::from(i8::MAX)),
            Kind::Short => self.to_whole(i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Int => self.to_whole(i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Long => self.to_whole(i64::MIN, i64::MAX),
            Kind::Decimal => self.to_decimal().map(Value::Decimal),
            Kind::Bytes => Some(Value::Bytes(self.to_bytes())),
            Kind::List => Some(self.to_list()),
            Kind::Map => self.to_map(),
            Kind::Json => Some(Value::json(self.clone())),
        };
        converted.ok_or_else(|| self.refuse(kind))
    }

    /// The value as text; nothing is no text.
    pub fn to_text(&self) -> Option<Text> {
        text_of(self)
    }

    /// The value as a whole number, if it is one or looks like one.
    pub fn to_integer(&self) -> Option<i64> {
        match self.plain() {
            Value::Integer(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "as Java's intValue does: cut towards zero")]
            Value::Decimal(number) => Some(*number as i64),
            Value::Bool(yes) => Some(i64::from(*yes)),
            Value::Text(text) => text.strip_prefix('+').unwrap_or(text).parse().ok(),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The value as a decimal number, if it is a number or looks like one.
    pub fn to_decimal(&self) -> Option<f64> {
        match self.plain() {
            #[expect(clippy::cast_precision_loss, reason = "as Java's doubleValue does")]
            Value::Integer(number) => Some(*number as f64),
            Value::BigInteger(digits) => digits.parse().ok(),
            Value::Decimal(number) => Some(*number),
            Value::Text(text) => decimal(text),
            Value::Bytes(bytes) => decimal(std::str::from_utf8(bytes).ok()?),
            _ => None,
        }
    }

    /// The value as yes or no, if it says so: `true` and `false` in any case, and nothing else.
    pub fn to_bool(&self) -> Option<bool> {
        match self.plain() {
            Value::Bool(yes) => Some(*yes),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The value as bytes: text in UTF-8, lists and maps as JSON.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Json(tree) => Bytes::from(write_json(tree)),
            value => Bytes::copy_from_slice(value.to_text().unwrap_or_default().as_bytes()),
        }
    }

    /// The value as a list: what is none becomes a list of one.
    pub fn to_list(&self) -> Value {
        match self.plain() {
            Value::Null => Value::list(Vec::new()),
            Value::List(values) => Value::List(values.clone()),
            value => Value::list(vec![value.clone()]),
        }
    }

    fn to_map(&self) -> Option<Value> {
        match self.plain() {
            Value::Map(map) => Some(Value::Map(map.clone())),
            Value::Exchange(exchange) => {
                let headers: Map =
                    exchange.message.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                Some(Value::map(headers))
            }
            _ => None,
        }
    }

    fn to_whole(&self, min: i64, max: i64) -> Option<Value> {
        self.to_integer().filter(|number| (min..=max).contains(number)).map(Value::Integer)
    }

    fn refuse(&self, kind: Kind) -> Exception {
        Exception::new(
            &class::TYPE_CONVERSION,
            format!("cannot convert a value of type {} to {}", self.type_name(), kind.java_name()),
        )
    }
}

/// Bytes as text; what is not UTF-8 becomes the replacement character, as in Java.
pub(super) fn utf8_text(bytes: &Bytes) -> Text {
    Text::from(&*String::from_utf8_lossy(bytes))
}

/// Rust's numbers are wider than Java's: `inf` and `nan` are none here.
fn decimal(text: &str) -> Option<f64> {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_what_it_looks_like() {
        let text = |text: &str| Value::from(text);
        assert_eq!(text("5").convert(Kind::Int).unwrap(), Value::Integer(5));
        assert_eq!(text("TRUE").convert(Kind::Bool).unwrap(), Value::Bool(true));
        assert_eq!(text("1e3").convert(Kind::Decimal).unwrap(), Value::Decimal(1000.0));
        assert!(text("infinity").convert(Kind::Decimal).is_err());
        assert!(text("300").convert(Kind::Byte).is_err());
        assert_eq!(Value::Null.convert(Kind::Int).unwrap(), Value::Null);
    }

    #[test]
    fn collections_are_written_as_in_java() {
        let map: Map = [
            (Text::from("a"), Value::list(vec![Value::Integer(1), Value::Null])),
            (Text::from("b"), Value::Decimal(2.0)),
        ]
        .into_iter()
        .collect();
        let map = Value::map(map);
        assert_eq!(map.to_text().unwrap(), "{a=[1, null], b=2.0}");
        assert_eq!(Value::json(map).to_text().unwrap(), "{\n  \"a\" : [ 1, null ],\n  \"b\" : 2.0\n}");
    }
}
