//! JSON into values and back: texts of a document stay parts of it.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use super::classes::class;
use super::convert::utf8_text;
use super::exception::{Exception, Result};
use super::java::decimal_text;
use super::map::Map;
use super::text::Text;
use super::value::Value;

/// Reads the first JSON value of text or bytes; as with Jackson, what follows it does not matter.
///
/// # Errors
/// If it is not JSON, with line and column.
pub fn parse_json(document: &Value) -> Result<Value> {
    let text = match document {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => utf8_text(bytes),
        other => return Ok(other.plain().clone()),
    };
    let mut reader = serde_json::Deserializer::from_str(&text);
    Tree { document: &text }.deserialize(&mut reader).map_err(|error| {
        let class = if error.is_eof() { &class::JACKSON_EOF } else { &class::JACKSON_PARSE };
        Exception::new(class, error.to_string())
    })
}

/// Writes a value as compact JSON.
pub fn write_json(value: &Value) -> String {
    serde_json::to_string(&Written(value)).unwrap_or_else(|_| "null".to_owned())
}

/// Writes a value as Jackson's pretty printer does.
pub fn write_json_pretty(value: &Value) -> String {
    let mut out = String::new();
    pretty(value, 0, &mut out);
    out
}

fn pretty(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Json(tree) => pretty(tree, depth, out),
        Value::List(values) if values.is_empty() => out.push_str("[ ]"),
        Value::List(values) => {
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at == 0 { "[ " } else { ", " });
                pretty(value, depth, out);
            }
            out.push_str(" ]");
        }
        Value::Map(map) if map.is_empty() => out.push_str("{ }"),
        Value::Map(map) => {
            for (at, (name, value)) in map.iter().enumerate() {
                out.push_str(if at == 0 { "{\n" } else { ",\n" });
                let name = write_json(&Value::Text(name.clone()));
                // Writing into a string cannot fail.
                let _ = write!(out, "{:indent$}{name} : ", "", indent = 2 * (depth + 1));
                pretty(value, depth + 1, out);
            }
            let _ = write!(out, "\n{:indent$}}}", "", indent = 2 * depth);
        }
        scalar => out.push_str(&write_json(scalar)),
    }
}

/// Reads a value out of a document, of which its texts become parts.
struct Tree<'a> {
    document: &'a Text,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::BigInteger(Text::from(number.to_string())), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Decimal(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value, E> {
        Ok(Value::Text(self.document.part(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(Text::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(Tree { document: self.document })? {
            values.push(value);
        }
        Ok(Value::list(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key_seed(Name { document: self.document })? {
            map.insert(name, access.next_value_seed(Tree { document: self.document })?);
        }
        Ok(Value::map(map))
    }
}

/// Reads the name of a field.
struct Name<'a> {
    document: &'a Text,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text, E> {
        Ok(self.document.part(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text::from(text))
    }
}

/// A value on its way to JSON.
struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::BigInteger(digits) => match digits.parse::<u64>() {
                Ok(number) => serializer.serialize_u64(number),
                Err(_) => serializer.serialize_str(digits),
            },
            Value::Decimal(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::Decimal(number) => serializer.serialize_str(&decimal_text(*number)),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values.iter() {
                    list.serialize_element(&Written(value))?;
                }
                list.end()
            }
            Value::Map(map) => {
                let mut object = serializer.serialize_map(Some(map.len()))?;
                for (name, value) in map.iter() {
                    object.serialize_entry(name.as_str(), &Written(value))?;
                }
                object.end()
            }
            Value::Json(tree) => Written(tree).serialize(serializer),
            other => serializer.serialize_str(&other.to_text().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        parse_json(&Value::from(text)).unwrap()
    }

    #[test]
    fn texts_are_parts_of_the_document() {
        let document = Text::from(r#"{"name":"Nga","escaped":"a\nb","n":[1,2.5,18446744073709551615,null]}"#);
        let tree = parse_json(&Value::Text(document.clone())).unwrap();
        let Value::Map(map) = &tree else { panic!("not a map: {tree:?}") };
        let Some(Value::Text(name)) = map.get("name") else { panic!("no name in {tree:?}") };
        assert_eq!(name.as_ptr(), document[9..].as_ptr());
        assert_eq!(map.get("escaped"), Some(&Value::from("a\nb")));
        assert_eq!(write_json(&tree), document.as_str());
    }

    #[test]
    fn what_follows_a_complete_value_does_not_matter() {
        assert_eq!(write_json(&read(r#"{"a":1}}"#)), r#"{"a":1}"#);
    }

    #[test]
    fn broken_json_tells_what_jackson_would_throw() {
        let error = parse_json(&Value::from("oops")).unwrap_err();
        assert_eq!(error.class().name, "com.fasterxml.jackson.core.JsonParseException");
        let error = parse_json(&Value::from(r#"{"a":"#)).unwrap_err();
        assert!(error.class().is_a(&class::JACKSON_PARSE));
        assert!(error.class().is_a(&class::IO));
    }
}
