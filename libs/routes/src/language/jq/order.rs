//! The order of JSON values in jq, and its numbers.

use std::cmp::Ordering;

use crate::exchange::{Text, Value, write_json};

/// Characters of a value that an error message shows.
const SHOWN_MAX: usize = 40;

/// null, false, true, numbers, texts, lists, objects.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::List(left), Value::List(right)) => {
            let first = left.iter().zip(right.iter()).map(|(left, right)| compare(left, right));
            first.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Value::Map(left), Value::Map(right)) => {
            let sorted = |map: &crate::exchange::Map| {
                let mut names: Vec<Text> = map.iter().map(|(name, _)| name.clone()).collect();
                names.sort_unstable();
                names
            };
            let (names, others) = (sorted(left), sorted(right));
            names.cmp(&others).then_with(|| {
                let values = names.iter().map(|name| match (left.get(name), right.get(name)) {
                    (Some(left), Some(right)) => compare(left, right),
                    _ => Ordering::Equal,
                });
                values.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            })
        }
        _ => match numbers(left, right) {
            Some((left, right)) => left.partial_cmp(&right).unwrap_or(Ordering::Less),
            None => rank(left).cmp(&rank(right)),
        },
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_) => 3,
        Value::List(_) => 5,
        Value::Map(_) => 6,
        _ => 4,
    }
}

/// jq's word for the type of a value.
pub(super) fn type_name(value: &Value) -> &'static str {
    ["null", "boolean", "boolean", "number", "string", "array", "object"][usize::from(rank(value))]
}

/// Both values as numbers, if they are.
pub(super) fn numbers(left: &Value, right: &Value) -> Option<(f64, f64)> {
    let is_number = |value: &Value| rank(value) == 3;
    if is_number(left) && is_number(right) { Some((left.to_decimal()?, right.to_decimal()?)) } else { None }
}

/// A number, whole where it has no fraction.
pub(super) fn number(number: f64) -> Value {
    match whole(number) {
        Some(whole) if number.fract() == 0.0 && number.abs() < 9e15 => Value::Integer(whole),
        _ if number.is_nan() => Value::Null,
        _ => Value::Decimal(number),
    }
}

/// A number cut to a whole one, if it fits.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9.2e18).then_some(number as i64)
}

/// A value as error messages show it.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        value => {
            let written = write_json(value);
            let shown: String = written.chars().take(SHOWN_MAX).collect();
            let dots = if shown.len() < written.len() { "..." } else { "" };
            format!("{} ({shown}{dots})", type_name(value))
        }
    }
}

/// The parts of a text between separators; an empty separator cuts between all characters.
pub(super) fn split(text: &Text, separator: &str) -> Value {
    let parts = if text.is_empty() {
        Vec::new()
    } else if separator.is_empty() {
        text.chars().map(|char| Value::from(char.to_string())).collect()
    } else {
        text.split(separator).map(|part| Value::Text(text.part(part))).collect()
    };
    Value::list(parts)
}
