//! What a body, a header, a property or the result of an expression can be.

use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::classes::class;
use super::exception::{Exception, Result};
use super::list::List;
use super::map::Map;
use super::text::Text;

/// How deep a value may be nested: whoever walks through one takes a piece of the stack for each level.
pub const DEPTH_MAX: usize = 256;

/// How much a value may hold that a step makes, in bytes as JSON: several times the largest body.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an entry of a list or a map counts beside its name and value.
pub(super) const ENTRY_BYTES: usize = 4;

/// A value; clones are cheap.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing: Java's null, JSON's null.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A whole number that does not fit into 64 bits: its decimal digits, perhaps with a minus sign.
    BigInteger(Text),
    /// A decimal number.
    Decimal(f64),
    /// Text.
    Text(Text),
    /// Bytes that nobody has read as anything yet.
    Bytes(Bytes),
    /// Values in order.
    List(Arc<List>),
    /// Names and values.
    Map(Arc<Map>),
    /// A JSON tree as jq leaves it, where Camel has Jackson's `JsonNode`: never nested, and written
    /// as JSON where text is wanted.
    Json(Arc<Value>),
    /// What went wrong.
    Exception(Exception),
    /// A whole exchange, as grouping strategies collect them.
    Exchange(Arc<Exchange>),
}

impl Value {
    /// Text that lives as long as the program.
    pub const fn fixed(text: &'static str) -> Self {
        Self::Text(Text::fixed(text))
    }

    /// A list.
    pub fn list(values: Vec<Value>) -> Self {
        Self::List(Arc::new(List::new(values)))
    }

    /// A map.
    pub fn map(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }

    /// `tree` as a JSON tree; what is one already stays as it is.
    pub fn json(tree: Value) -> Self {
        match tree {
            Self::Json(tree) => Self::Json(tree),
            tree => Self::Json(Arc::new(tree)),
        }
    }

    /// The value behind a JSON tree, or the value itself.
    pub fn plain(&self) -> &Value {
        match self {
            Self::Json(tree) => tree,
            value => value,
        }
    }

    /// How deep lists, maps and exchanges are nested in it; 0 for what holds no values.
    pub fn depth(&self) -> usize {
        match self {
            Self::List(values) => values.depth(),
            Self::Map(map) => map.depth(),
            Self::Json(tree) => tree.depth(),
            Self::Exchange(exchange) => exchange.depth() + 1,
            _ => 0,
        }
    }

    /// About how many bytes it has as JSON.
    pub fn weight(&self) -> usize {
        match self {
            Self::Text(text) | Self::BigInteger(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.weight(),
            Self::Map(map) => map.weight(),
            Self::Json(tree) => tree.weight(),
            Self::Exchange(exchange) => exchange.weight(),
            _ => 0,
        }
    }

    /// The value, if it is neither nested too deeply to be walked through nor too large to be kept.
    ///
    /// # Errors
    /// If it is nested more than [`DEPTH_MAX`] deep, or holds more than [`VALUE_BYTES_MAX`].
    pub fn bounded(self) -> Result<Self> {
        let reason = if self.depth() > DEPTH_MAX {
            format!("nests more than {DEPTH_MAX} deep")
        } else if self.weight() > VALUE_BYTES_MAX {
            format!("holds more than {VALUE_BYTES_MAX} bytes")
        } else {
            return Ok(self);
        };
        let message = format!("a value that {reason} is refused: what builds it does not end");
        Err(Exception::new(&class::EXPRESSION_EVALUATION, message))
    }

    /// Whether this is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What Camel's predicates take for true: `false`, empty text and empty lists, and nothing are
    /// false; everything else is true, zero too.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(yes) => *yes,
            Self::Text(text) => {
                let text = text.trim();
                !text.is_empty() && !text.eq_ignore_ascii_case("false")
            }
            Self::List(values) => !values.is_empty(),
            _ => true,
        }
    }

    /// The shortest word for the value's type, in messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Integer(_) | Self::BigInteger(_) => "integer",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Json(_) => "json",
            Self::Exception(_) => "exception",
            Self::Exchange(_) => "exchange",
        }
    }
}

impl PartialEq for Value {
    /// Equality of the same kind of value: `1` and `1.0` differ, as do a map and a JSON tree.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            (Self::BigInteger(a), Self::BigInteger(b)) | (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a == b,
            (Self::Exception(a), Self::Exception(b)) => a == b,
            (Self::Exchange(a), Self::Exchange(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Decimal(number)
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Text::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Text::from(text))
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
