//! Configuration values: how they are read from text, told apart, printed and given to serde.

use std::fmt;

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use toml::de::{DeArray, DeValue};

/// Longest part of a wrong value that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 40;

/// A value of one key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
}

impl Value {
    /// Reads a value that is no table; `None` for dates, tables and numbers out of range.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Some(match value {
            DeValue::String(text) => Self::Text(text.clone().into_owned()),
            DeValue::Integer(digits) => {
                let plain = digits.as_str().replace('_', "");
                Self::Int(i64::from_str_radix(&plain, digits.radix()).ok()?)
            }
            DeValue::Float(digits) => Self::Float(digits.as_str().replace('_', "").parse().ok()?),
            DeValue::Boolean(value) => Self::Bool(*value),
            DeValue::Array(items) => Self::List(Self::items(items)?),
            _ => return None,
        })
    }

    fn items(items: &DeArray<'_>) -> Option<Vec<Self>> {
        items.iter().map(|item| Self::from_toml(item.get_ref())).collect()
    }

    /// Reads text from a variable or a flag as a value of the kind that `like` is.
    pub(super) fn from_text(text: &str, like: &Self) -> Option<Self> {
        Some(match like {
            Self::Bool(_) => Self::Bool(text.parse().ok()?),
            Self::Int(_) => Self::Int(text.parse().ok()?),
            Self::Float(_) => Self::Float(text.parse().ok().filter(|value: &f64| value.is_finite())?),
            Self::Text(_) => Self::Text(text.to_owned()),
            Self::List(_) if text.is_empty() => Self::List(Vec::new()),
            Self::List(items) => {
                let element = items.first().cloned().unwrap_or(Self::Text(String::new()));
                let parts = text.split(',').map(|part| Self::from_text(part.trim(), &element));
                Self::List(parts.collect::<Option<_>>()?)
            }
        })
    }

    /// This value as the kind that `like` is, if it is of that kind.
    pub(super) fn coerced(self, like: &Self) -> Option<Self> {
        match (self, like) {
            #[allow(clippy::cast_precision_loss, reason = "a setting is no large number")]
            (Self::Int(number), Self::Float(_)) => Some(Self::Float(number as f64)),
            (Self::List(items), Self::List(like)) => match like.first() {
                Some(element) => items.into_iter().map(|item| item.coerced(element)).collect::<Option<_>>(),
                None => Some(items),
            }
            .map(Self::List),
            (value, like) => (std::mem::discriminant(&value) == std::mem::discriminant(like)).then_some(value),
        }
    }

    /// The kind in words, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
        }
    }

    /// Whether there is nothing in it, which says "not set".
    pub(super) fn is_unset(&self) -> bool {
        self.is_empty_text() || matches!(self, Self::List(items) if items.is_empty())
    }

    /// The texts in it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let items = match self {
            Self::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        items.iter().filter_map(|item| match item {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    pub(super) fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

/// As TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A wrong value for a message: quoted, without control characters, shortened.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

/// A value or a section, for serde.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Scalar(Value),
    Section(Vec<(String, Node)>),
}

impl Node {
    /// Builds the tree of dotted keys.
    pub(super) fn tree(members: &[(&str, &Value)]) -> Self {
        let mut nodes: Vec<(String, Self)> = Vec::new();
        for (key, value) in members {
            match key.split_once('.') {
                None => nodes.push(((*key).to_owned(), Self::Scalar((*value).clone()))),
                Some((section, _)) if nodes.iter().any(|(name, _)| name == section) => {}
                Some((section, _)) => {
                    let prefix = format!("{section}.");
                    let inner: Vec<(&str, &Value)> =
                        members.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, *value))).collect();
                    nodes.push((section.to_owned(), Self::tree(&inner)));
                }
            }
        }
        Self::Section(nodes)
    }
}

impl IntoDeserializer<'_, Error> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Scalar(Value::Bool(value)) => visitor.visit_bool(value),
            Self::Scalar(Value::Int(value)) => visitor.visit_i64(value),
            Self::Scalar(Value::Float(value)) => visitor.visit_f64(value),
            Self::Scalar(Value::Text(text)) => visitor.visit_string(text),
            Self::Scalar(Value::List(items)) => {
                SeqDeserializer::new(items.into_iter().map(Self::Scalar)).deserialize_any(visitor)
            }
            Self::Section(nodes) => MapDeserializer::new(nodes.into_iter()).deserialize_any(visitor),
        }
    }

    /// `""` is how the default file says "not set".
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self {
            Self::Scalar(value) if value.is_empty_text() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Scalar(Value::Text(text)) => {
                let text: serde::de::value::StringDeserializer<Error> = text.into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            other => other.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
