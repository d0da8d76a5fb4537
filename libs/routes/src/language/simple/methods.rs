//! The methods and getters of Java types that routes call on values: `${body.size()}`,
//! `${header.name.toUpperCase()}`, `${exception.message}`.

use regex::Regex;

use crate::exchange::{Exception, Result, Text, Value, class};

use super::functions::size_of;
use super::operators;

/// One method: its name, how many arguments it takes, and what it answers; nothing if the value has no such method.
type Method = (&'static str, std::ops::RangeInclusive<usize>, fn(&Value, &[Value]) -> Option<Value>);

const METHODS: &[Method] = &[
    ("size", 0..=0, |value, _| collection(value).then(|| Value::Integer(size_of(value)))),
    ("length", 0..=0, |value, _| match value {
        Value::Text(text) => Some(count(text.encode_utf16().count())),
        Value::List(_) | Value::Bytes(_) => Some(Value::Integer(size_of(value))),
        _ => None,
    }),
    ("isEmpty", 0..=0, |value, _| match value {
        Value::Text(text) => Some(Value::Bool(text.is_empty())),
        value => collection(value).then(|| Value::Bool(size_of(value) == 0)),
    }),
    ("isBlank", 0..=0, |value, _| on_text(value, |text| Value::Bool(text.trim().is_empty()))),
    ("toString", 0..=0, |value, _| value.to_text().map(Value::Text)),
    ("toUpperCase", 0..=0, |value, _| on_text(value, |text| Value::from(text.to_uppercase()))),
    ("toLowerCase", 0..=0, |value, _| on_text(value, |text| Value::from(text.to_lowercase()))),
    ("trim", 0..=0, |value, _| on_text(value, |text| Value::Text(text.part(text.trim())))),
    ("strip", 0..=0, |value, _| on_text(value, |text| Value::Text(text.part(text.trim())))),
    ("getBytes", 0..=0, |value, _| on_text(value, |text| Value::Bytes(bytes::Bytes::copy_from_slice(text.as_bytes())))),
    ("substring", 1..=2, substring),
    ("charAt", 1..=1, |value, arguments| {
        let at = usize::try_from(arguments[0].to_integer()?).ok()?;
        text_of(value)?.chars().nth(at).map(|char| Value::from(char.to_string()))
    }),
    ("indexOf", 1..=1, |value, arguments| match value {
        Value::Text(text) => Some(place(text.find(arguments[0].to_text()?.as_str()), text)),
        Value::List(values) => {
            let at = values.iter().position(|element| operators::equal(element, &arguments[0], false));
            Some(at.map_or(Value::Integer(-1), count))
        }
        _ => None,
    }),
    ("lastIndexOf", 1..=1, |value, arguments| {
        let text = text_of(value)?;
        Some(place(text.rfind(arguments[0].to_text()?.as_str()), text))
    }),
    ("contains", 1..=1, |value, arguments| {
        matches!(value, Value::Text(_) | Value::List(_))
            .then(|| Value::Bool(operators::contains(value, &arguments[0], false)))
    }),
    ("startsWith", 1..=1, |value, arguments| {
        let part = arguments[0].to_text()?;
        on_text(value, |text| Value::Bool(text.starts_with(part.as_str())))
    }),
    ("endsWith", 1..=1, |value, arguments| {
        let part = arguments[0].to_text()?;
        on_text(value, |text| Value::Bool(text.ends_with(part.as_str())))
    }),
    ("equals", 1..=1, |value, arguments| Some(Value::Bool(*value == arguments[0]))),
    ("equalsIgnoreCase", 1..=1, |value, arguments| {
        let other = arguments[0].to_text()?;
        on_text(value, |text| Value::Bool(text.to_lowercase() == other.to_lowercase()))
    }),
    ("matches", 1..=1, |value, arguments| {
        let pattern = Regex::new(&format!("^(?:{})$", arguments[0].to_text()?)).ok()?;
        on_text(value, |text| Value::Bool(pattern.is_match(text)))
    }),
    ("replace", 2..=2, |value, arguments| {
        let (from, to) = (arguments[0].to_text()?, arguments[1].to_text()?);
        on_text(value, |text| Value::from(text.replace(from.as_str(), &to)))
    }),
    ("concat", 1..=1, |value, arguments| {
        let more = arguments[0].to_text()?;
        on_text(value, |text| Value::from(format!("{text}{more}")))
    }),
    ("split", 1..=1, |value, arguments| {
        let separator = arguments[0].to_text()?;
        on_text(value, |text| {
            Value::list(text.split(separator.as_str()).map(|part| Value::Text(text.part(part))).collect())
        })
    }),
    ("get", 1..=1, |value, arguments| match value {
        Value::List(_) => Some(at(value, &arguments[0]).unwrap_or_default()),
        Value::Map(map) => Some(map.get(&arguments[0].to_text()?).cloned().unwrap_or_default()),
        _ => None,
    }),
    ("getOrDefault", 2..=2, |value, arguments| match value {
        Value::Map(map) => Some(map.get(&arguments[0].to_text()?).unwrap_or(&arguments[1]).clone()),
        _ => None,
    }),
    ("containsKey", 1..=1, |value, arguments| match value {
        Value::Map(map) => Some(Value::Bool(map.get(&arguments[0].to_text()?).is_some())),
        _ => None,
    }),
    ("containsValue", 1..=1, |value, arguments| match value {
        Value::Map(map) => Some(Value::Bool(map.iter().any(|(_, value)| *value == arguments[0]))),
        _ => None,
    }),
    ("keySet", 0..=0, |value, _| match value {
        Value::Map(map) => Some(Value::list(map.iter().map(|(name, _)| Value::Text(name.clone())).collect())),
        _ => None,
    }),
    ("values", 0..=0, |value, _| match value {
        Value::Map(map) => Some(Value::list(map.iter().map(|(_, value)| value.clone()).collect())),
        _ => None,
    }),
    ("intValue", 0..=0, |value, _| number(value).map(Value::Integer)),
    ("longValue", 0..=0, |value, _| number(value).map(Value::Integer)),
    ("doubleValue", 0..=0, |value, _| match value {
        Value::Integer(_) | Value::Decimal(_) => value.to_decimal().map(Value::Decimal),
        _ => None,
    }),
    ("getMessage", 0..=0, |value, _| match value {
        Value::Exception(exception) => {
            Some(exception.message().map_or(Value::Null, |message| Value::Text(message.clone())))
        }
        _ => None,
    }),
    ("getLocalizedMessage", 0..=0, |value, _| match value {
        Value::Exception(exception) => {
            Some(exception.message().map_or(Value::Null, |message| Value::Text(message.clone())))
        }
        _ => None,
    }),
    ("getCause", 0..=0, |value, _| match value {
        Value::Exception(exception) => {
            Some(exception.cause().map_or(Value::Null, |cause| Value::Exception(cause.clone())))
        }
        _ => None,
    }),
    ("getStacktrace", 0..=0, |value, _| stack_trace(value)),
    ("getStackTrace", 0..=0, |value, _| stack_trace(value)),
    ("getClass", 0..=0, |value, _| match value {
        Value::Exception(exception) => Some(Value::fixed(exception.class().name)),
        Value::Text(_) => Some(Value::fixed("java.lang.String")),
        _ => None,
    }),
    ("getName", 0..=0, |value, _| text_of(value).map(|name| Value::Text(name.clone()))),
    ("getSimpleName", 0..=0, |value, _| {
        on_text(value, |name| Value::from(name.rsplit('.').next().unwrap_or_default()))
    }),
];

/// Whether there is a method with this name and so many arguments.
///
/// # Errors
/// What there is instead.
pub(super) fn check(name: &str, arguments: usize) -> Result<(), String> {
    if METHODS.iter().any(|(known, count, _)| *known == name && count.contains(&arguments)) {
        return Ok(());
    }
    if let Some((_, count, _)) = METHODS.iter().find(|(known, ..)| *known == name) {
        return Err(format!("{name}() takes {} to {} arguments", count.start(), count.end()));
    }
    let nearest = METHODS.iter().map(|(known, ..)| *known).min_by_key(|known| strsim::levenshtein(known, name));
    Err(format!("unknown method {name}(): the nearest is {}()", nearest.unwrap_or("size")))
}

/// Calls a method.
pub(super) fn call(value: &Value, name: &str, arguments: &[Value]) -> Result<Value> {
    let found = METHODS.iter().find(|(known, count, _)| *known == name && count.contains(&arguments.len()));
    found.and_then(|(.., answer)| answer(value.plain(), arguments)).ok_or_else(|| missing(value, name))
}

/// The member of an object, or a getter of a known type.
/// Camel takes no names of keys here, only methods: those win where both are there.
pub(super) fn get(value: &Value, name: &str, null_safe: bool) -> Result<Value> {
    let mut letters = name.chars();
    let capital: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    let getter = METHODS
        .iter()
        .filter(|(_, count, _)| *count.start() == 0)
        .filter(|(known, ..)| !matches!((value.plain(), *known), (Value::Map(_), "toString")))
        .filter(|(known, ..)| {
            *known == name || ["get", "is"].iter().any(|prefix| known.strip_prefix(prefix) == Some(&capital))
        })
        .find_map(|(.., answer)| answer(value.plain(), &[]));
    match (getter, value.plain()) {
        (Some(found), _) => Ok(found),
        (None, Value::Map(map)) => match map.get(name) {
            Some(found) => Ok(found.clone()),
            None if null_safe => Ok(Value::Null),
            None => Err(missing(value, name)),
        },
        (None, _) => Err(missing(value, name)),
    }
}

/// The element at a place of a list, or the value of a key.
pub(super) fn at(value: &Value, key: &Value) -> Option<Value> {
    match value.plain() {
        Value::List(values) => usize::try_from(key.to_integer()?).ok().and_then(|place| values.get(place)).cloned(),
        Value::Map(map) => map.get(&key.to_text()?).cloned(),
        _ => None,
    }
}

fn missing(value: &Value, name: &str) -> Exception {
    let message = format!("method with name: {name} not found on a value of type {}", value.type_name());
    Exception::new(&class::EXPRESSION_EVALUATION, message)
}

fn collection(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

fn text_of(value: &Value) -> Option<&Text> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn on_text(value: &Value, answer: impl Fn(&Text) -> Value) -> Option<Value> {
    text_of(value).map(answer)
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(_) | Value::Decimal(_) => value.to_integer(),
        _ => None,
    }
}

fn count(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A place in bytes as one in characters; -1 for none.
fn place(found: Option<usize>, text: &str) -> Value {
    found.map_or(Value::Integer(-1), |at| count(text[..at].chars().count()))
}

fn substring(value: &Value, arguments: &[Value]) -> Option<Value> {
    let text = text_of(value)?;
    let length = text.chars().count();
    let bound = |value: &Value| usize::try_from(value.to_integer()?).ok().filter(|at| *at <= length);
    let start = bound(&arguments[0])?;
    let end = arguments.get(1).map_or(Some(length), bound)?;
    let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(byte, _)| byte);
    (start <= end).then(|| Value::Text(text.part(&text[byte(start)..byte(end)])))
}

fn stack_trace(value: &Value) -> Option<Value> {
    let Value::Exception(exception) = value else { return None };
    let lines: Vec<_> = exception.chain().map(ToString::to_string).collect();
    Some(Value::from(lines.join("\nCaused by: ")))
}
