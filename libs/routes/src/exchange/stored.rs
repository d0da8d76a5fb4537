//! An exchange as bytes, and back: what a group has collected is kept this way.
//!
//! The first byte is the version of the format; those before it can be read. Lengths are variable: seven bits a byte, the
//! lowest first.

use std::sync::Arc;

use bytes::Bytes;

use super::body::Body;
use super::classes::{Class, class};
use super::exception::Exception;
use super::map::Map;
use super::message::Message;
use super::text::Text;
use super::value::Value;
use super::variables::{Shared, Variables};
use super::{Exchange, Pattern, Position};

const VERSION: u8 = 2;
/// The first version that has the trace context.
const WITH_TRACE: u8 = 2;
/// How deep what is read may be nested: more than any exchange that was written.
const DEPTH_MAX: usize = 400;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INTEGER: u8 = 3;
const BIG_INTEGER: u8 = 4;
const DECIMAL: u8 = 5;
const TEXT: u8 = 6;
const BYTES: u8 = 7;
const LIST: u8 = 8;
const MAP: u8 = 9;
const JSON: u8 = 10;
const EXCEPTION: u8 = 11;
const EXCHANGE: u8 = 12;

impl Exchange {
    /// The exchange as bytes: its message, properties, own variables, what it follows from and its trace context.
    pub(crate) fn to_stored(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        exchange(&mut out, self);
        out
    }

    /// The exchange that [`Self::to_stored`] made bytes of, if they are such.
    pub(crate) fn from_stored(bytes: &[u8], shared: &Shared) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if !(1..=VERSION).contains(version) {
            return None;
        }
        let mut reader = Reader { rest, shared, version: *version, depth: 0 };
        let exchange = reader.exchange()?;
        reader.rest.is_empty().then_some(exchange)
    }
}

fn length(out: &mut Vec<u8>, length: usize) {
    let mut left = length as u64;
    loop {
        let low = (left & 0x7f) as u8;
        left >>= 7;
        if left == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn optional<T>(out: &mut Vec<u8>, what: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match what {
        None => out.push(NULL),
        Some(what) => {
            out.push(TRUE);
            write(out, what);
        }
    }
}

fn text(out: &mut Vec<u8>, text: &Text) {
    bytes(out, text.as_bytes());
}

fn entries<'e>(out: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = (&'e Text, &'e Value)>) {
    length(out, entries.len());
    for (name, held) in entries {
        text(out, name);
        value(out, held);
    }
}

fn value(out: &mut Vec<u8>, what: &Value) {
    match what {
        Value::Null => out.push(NULL),
        Value::Bool(yes) => out.push(if *yes { TRUE } else { FALSE }),
        Value::Integer(number) => {
            out.push(INTEGER);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::BigInteger(digits) => {
            out.push(BIG_INTEGER);
            text(out, digits);
        }
        Value::Decimal(number) => {
            out.push(DECIMAL);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Text(held) => {
            out.push(TEXT);
            text(out, held);
        }
        Value::Bytes(held) => {
            out.push(BYTES);
            bytes(out, held);
        }
        Value::List(values) => {
            out.push(LIST);
            length(out, values.len());
            values.iter().for_each(|held| value(out, held));
        }
        Value::Map(map) => {
            out.push(MAP);
            entries(out, map.iter());
        }
        Value::Json(tree) => {
            out.push(JSON);
            value(out, tree);
        }
        Value::Exception(thrown) => {
            out.push(EXCEPTION);
            exception(out, thrown);
        }
        Value::Exchange(held) => {
            out.push(EXCHANGE);
            exchange(out, held);
        }
    }
}

fn exception(out: &mut Vec<u8>, thrown: &Exception) {
    let chain: Vec<_> = thrown.chain().collect();
    length(out, chain.len());
    for thrown in chain {
        bytes(out, thrown.class().name.as_bytes());
        optional(out, thrown.message(), text);
    }
}

fn message(out: &mut Vec<u8>, message: &Message) {
    value(out, message.body.value());
    entries(out, message.headers.iter());
}

fn exchange(out: &mut Vec<u8>, exchange: &Exchange) {
    message(out, &exchange.message);
    entries(out, exchange.properties.iter());
    entries(out, exchange.variables.own().iter());
    out.push(if exchange.pattern == Pattern::InOut { TRUE } else { FALSE });
    let Position { from_route, from_endpoint, route, group, step } = &exchange.position;
    [from_route, from_endpoint, route, group, step].into_iter().for_each(|held| text(out, held));
    out.extend_from_slice(&exchange.created_ms.to_le_bytes());
    optional(out, exchange.exception.as_ref(), exception);
    optional(out, exchange.caught.as_ref(), exception);
    optional(out, exchange.original.as_deref(), message);
    let lineage = exchange.lineage.parts(&exchange.message.body);
    optional(out, lineage.identity, text);
    optional(out, lineage.source, text);
    out.push(if lineage.has_body { TRUE } else { FALSE });
    text(out, lineage.path);
    out.extend_from_slice(&lineage.copies.to_le_bytes());
    out.extend_from_slice(&lineage.sent.to_le_bytes());
    optional(out, exchange.traceparent(), text);
}

/// Reads what was written; nothing where it was not.
struct Reader<'r> {
    rest: &'r [u8],
    shared: &'r Shared,
    version: u8,
    depth: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            length |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return usize::try_from(length).ok();
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&[u8]> {
        let length = self.length()?;
        let (first, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(first)
    }

    fn text(&mut self) -> Option<Text> {
        std::str::from_utf8(self.bytes()?).ok().map(Text::from)
    }

    fn is_true(&mut self) -> Option<bool> {
        Some(self.byte()? == TRUE)
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.is_true()? {
            true => read(self).map(Some),
            false => Some(None),
        }
    }

    fn entries(&mut self) -> Option<Vec<(Text, Value)>> {
        let length = self.length()?;
        // Nobody is believed how many there are before they are there.
        let mut entries = Vec::with_capacity(length.min(self.rest.len()));
        for _ in 0..length {
            entries.push((self.text()?, self.value()?));
        }
        Some(entries)
    }

    fn value(&mut self) -> Option<Value> {
        self.depth += 1;
        let value = if self.depth > DEPTH_MAX { None } else { self.shallow() };
        self.depth -= 1;
        value
    }

    fn shallow(&mut self) -> Option<Value> {
        Some(match self.byte()? {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INTEGER => Value::Integer(i64::from_le_bytes(self.fixed()?)),
            BIG_INTEGER => Value::BigInteger(self.text()?),
            DECIMAL => Value::Decimal(f64::from_bits(u64::from_le_bytes(self.fixed()?))),
            TEXT => Value::Text(self.text()?),
            BYTES => Value::Bytes(Bytes::copy_from_slice(self.bytes()?)),
            LIST => {
                let length = self.length()?;
                let mut values = Vec::with_capacity(length.min(self.rest.len()));
                for _ in 0..length {
                    values.push(self.value()?);
                }
                Value::list(values)
            }
            MAP => Value::map(self.entries()?.into_iter().collect()),
            JSON => Value::Json(Arc::new(self.value()?)),
            EXCEPTION => Value::Exception(self.exception()?),
            EXCHANGE => Value::Exchange(Arc::new(self.exchange()?)),
            _ => return None,
        })
    }

    fn exception(&mut self) -> Option<Exception> {
        let length = self.length()?;
        let mut chain = Vec::with_capacity(length.min(self.rest.len()));
        for _ in 0..length {
            let class = Class::find(&self.text()?).unwrap_or(&class::EXCEPTION);
            let thrown = match self.optional(Self::text)? {
                Some(message) => Exception::new(class, message),
                None => Exception::silent(class),
            };
            chain.push(thrown);
        }
        let mut outer = chain.pop()?;
        while let Some(next) = chain.pop() {
            outer = next.caused_by(outer);
        }
        Some(outer)
    }

    fn message(&mut self) -> Option<Message> {
        let body = Body::new(self.value()?);
        Some(Message { body, headers: self.entries()?.into_iter().collect() })
    }

    fn exchange(&mut self) -> Option<Exchange> {
        let message = self.message()?;
        let properties: Map = self.entries()?.into_iter().collect();
        let mut variables = Variables::new(self.shared.clone());
        for (name, value) in self.entries()? {
            variables.set_own(name, value);
        }
        let pattern = if self.is_true()? { Pattern::InOut } else { Pattern::InOnly };
        let position = Position {
            from_route: self.text()?,
            from_endpoint: self.text()?,
            route: self.text()?,
            group: self.text()?,
            step: self.text()?,
        };
        let mut exchange = Exchange::new(message, i64::from_le_bytes(self.fixed()?));
        exchange.exception = self.optional(Self::exception)?;
        exchange.caught = self.optional(Self::exception)?;
        exchange.original = self.optional(Self::message)?.map(Arc::new);
        let (identity, source) = (self.optional(Self::text)?, self.optional(Self::text)?);
        let has_body = self.is_true()?;
        let path = self.text()?;
        let (copies, sent) = (u32::from_le_bytes(self.fixed()?), u32::from_le_bytes(self.fixed()?));
        let body = if has_body { exchange.message.body.clone() } else { Body::new(Value::Bool(false)) };
        if let Some(identity) = identity {
            exchange.lineage.resume(identity, body, source, path, (copies, sent));
        }
        if self.version >= WITH_TRACE
            && let Some(traceparent) = self.optional(Self::text)?
        {
            exchange.join_trace(traceparent);
        }
        Some(Exchange { properties, variables, pattern, position, ..exchange })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn everything() -> Exchange {
        let mut map = Map::new();
        map.insert(Text::fixed("z"), Value::Decimal(f64::NAN));
        map.insert(Text::fixed("a"), Value::list(vec![Value::Null, Value::Bool(true), Value::Bool(false)]));
        let body = Value::list(vec![
            Value::Integer(i64::MIN),
            Value::BigInteger(Text::from("99999999999999999999")),
            Value::Bytes(Bytes::from_static(&[0, 255])),
            Value::json(Value::map(map)),
            Value::from("x".repeat(300)),
        ]);
        let mut exchange = Exchange::new(Message::new(body).with_header("H", 7), 42);
        exchange.follow("cause");
        exchange.came_from("t/0/7");
        exchange.join_trace(Text::fixed(TRACE));
        exchange.next_id("r");
        let _ = exchange.copy();
        exchange.properties.insert(Text::fixed("p"), Value::Exchange(Arc::new(Exchange::default())));
        assert!(exchange.variables.set("v", Value::from("own")));
        exchange.pattern = Pattern::InOut;
        exchange.position.route = Text::fixed("r");
        let inner = Exception::silent(&class::IO);
        exchange.fail(Exception::new(&class::CAMEL, "outer").caused_by(inner));
        exchange
    }

    #[test]
    fn an_exchange_comes_back_as_it_was() {
        let exchange = everything();
        let stored = exchange.to_stored();
        let mut back = Exchange::from_stored(&stored, &Shared::default()).unwrap();
        assert_eq!(back.to_stored(), stored);
        assert_eq!(back.message.header("h"), Some(&Value::Integer(7)));
        assert_eq!(back.variables.get("v"), Some(Value::from("own")));
        assert_eq!(format!("{:?}", back.exception()), format!("{:?}", exchange.exception()));
        assert_eq!((back.cause(), back.has_body_of_cause()), (exchange.cause(), true));
        assert_eq!(back.traceparent().map(Text::as_str), Some(TRACE));
        let mut exchange = exchange;
        assert_eq!(back.next_id("r"), exchange.next_id("r"));
        assert_eq!(back.copy().next_id("r"), exchange.copy().next_id("r"));
        assert_eq!(back.next_occurrence("r"), exchange.next_occurrence("r"));
        // Another body than that of the cause stays another.
        back.message.body = Body::new(Value::from("another"));
        let other = Exchange::from_stored(&back.to_stored(), &Shared::default()).unwrap();
        assert!(!other.has_body_of_cause());
    }

    #[test]
    fn what_was_kept_without_a_trace_is_read() {
        // A body, and nothing else that an exchange of the first version may have.
        let first =
            |body: &[u8]| [body, &[0, 0, 0, FALSE, 0, 0, 0, 0, 0], &[0; 8], &[NULL; 5], &[FALSE, 0], &[0; 8]].concat();
        let inner = first(&[TRUE]);
        let stored = [&[1][..], &first(&[&[EXCHANGE][..], &inner].concat())].concat();
        let back = Exchange::from_stored(&stored, &Shared::default()).unwrap();
        let Value::Exchange(inner) = back.message.body.value() else { panic!("{back:?}") };
        assert_eq!((inner.message.body.value(), back.traceparent()), (&Value::Bool(true), None));
        assert!(Exchange::from_stored(&[&[0][..], &stored[1..]].concat(), &Shared::default()).is_none());
        assert!(Exchange::from_stored(&[&[VERSION + 1][..], &stored[1..]].concat(), &Shared::default()).is_none());
    }

    #[test]
    fn what_is_cut_off_or_no_exchange_is_refused() {
        let stored = everything().to_stored();
        for end in 0..stored.len() {
            assert!(Exchange::from_stored(&stored[..end], &Shared::default()).is_none(), "{end}");
        }
        let longer = [&stored[..], &[0]].concat();
        assert!(Exchange::from_stored(&longer, &Shared::default()).is_none());
        let deep = [&[VERSION][..], &[JSON; 100_000]].concat();
        assert!(Exchange::from_stored(&deep, &Shared::default()).is_none());
    }
}
