//! The operators of predicates: how they are written, and how Camel compares.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};

use crate::exchange::{Exception, Result, Text, Value, class};

/// Bytes that the automaton of one pattern may take.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Equal,
    EqualIgnoreCase,
    /// `equals`: as text, so that leading zeros count.
    EqualText,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Contains,
    ContainsIgnoreCase,
    Matches,
    In,
    Is,
    Range,
    StartsWith,
    EndsWith,
}

/// An operator of a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    text: &'static str,
    kind: Kind,
    negated: bool,
}

/// One row for each way to write an operator, and the Camel version that has it; `4.17` is that or an older one.
pub(super) const OPERATORS: &[(Operator, &str)] = &[
    row("==", Kind::Equal, false, "4.17"),
    row("=~", Kind::EqualIgnoreCase, false, "4.17"),
    row(">", Kind::Greater, false, "4.17"),
    row(">=", Kind::GreaterOrEqual, false, "4.17"),
    row("<", Kind::Less, false, "4.17"),
    row("<=", Kind::LessOrEqual, false, "4.17"),
    row("!=", Kind::Equal, true, "4.17"),
    row("!=~", Kind::EqualIgnoreCase, true, "4.17"),
    row("equals", Kind::EqualText, false, "4.23"),
    row("!equals", Kind::EqualText, true, "4.23"),
    row("contains", Kind::Contains, false, "4.17"),
    row("!contains", Kind::Contains, true, "4.17"),
    row("not contains", Kind::Contains, true, "4.17"),
    row("~~", Kind::ContainsIgnoreCase, false, "4.17"),
    row("!~~", Kind::ContainsIgnoreCase, true, "4.17"),
    row("regex", Kind::Matches, false, "4.17"),
    row("!regex", Kind::Matches, true, "4.17"),
    row("not regex", Kind::Matches, true, "4.17"),
    row("in", Kind::In, false, "4.17"),
    row("!in", Kind::In, true, "4.17"),
    row("not in", Kind::In, true, "4.17"),
    row("is", Kind::Is, false, "4.17"),
    row("!is", Kind::Is, true, "4.17"),
    row("not is", Kind::Is, true, "4.17"),
    row("range", Kind::Range, false, "4.17"),
    row("!range", Kind::Range, true, "4.17"),
    row("not range", Kind::Range, true, "4.17"),
    row("startsWith", Kind::StartsWith, false, "4.17"),
    row("starts with", Kind::StartsWith, false, "4.17"),
    row("!startsWith", Kind::StartsWith, true, "4.18"),
    row("endsWith", Kind::EndsWith, false, "4.17"),
    row("ends with", Kind::EndsWith, false, "4.17"),
    row("!endsWith", Kind::EndsWith, true, "4.18"),
];

/// The operators that join predicates and values, for the documentation.
pub(super) const JOINING: &[(&str, &str)] = &[
    ("&&", "4.17"),
    ("||", "4.17"),
    ("! before a function", "4.23"),
    ("++ and -- behind a function", "4.17"),
    ("? and : in the braces of a function", "4.18"),
    ("?:", "4.18"),
    ("~>", "4.18"),
    ("?~>", "4.18"),
    ("operators in the braces of a function", "4.23"),
];

const fn row(text: &'static str, kind: Kind, negated: bool, since: &'static str) -> (Operator, &'static str) {
    (Operator { text, kind, negated }, since)
}

/// The longest operator that `text` starts with, and its length in characters.
pub(super) fn at_start(text: &str) -> Option<(Operator, usize)> {
    OPERATORS
        .iter()
        .map(|(operator, _)| *operator)
        .filter(|operator| text.starts_with(operator.text))
        .filter(|operator| text[operator.text.len()..].chars().next().is_none_or(char::is_whitespace))
        .max_by_key(|operator| operator.text.len())
        .map(|operator| (operator, operator.text.len()))
}

impl Operator {
    pub(super) fn text(self) -> &'static str {
        self.text
    }

    /// Whether its right side is a pattern, in which `${` has no meaning.
    pub(super) fn takes_pattern(self) -> bool {
        self.kind == Kind::Matches
    }

    pub(super) fn takes_range(self) -> bool {
        self.kind == Kind::Range
    }

    /// Whether `left` and `right` stand to each other as the operator says; `pattern` is the right side of a
    /// pattern that never changes.
    pub(super) fn holds(self, left: &Value, right: &Value, pattern: Option<&Regex>) -> Result<bool> {
        let holds = match self.kind {
            Kind::Equal => equal(left, right, false),
            Kind::EqualIgnoreCase => equal(left, right, true),
            Kind::EqualText => left.to_text() == right.to_text(),
            Kind::Greater => ordered(left, right, |order| order == Ordering::Greater),
            Kind::GreaterOrEqual => ordered(left, right, |order| order != Ordering::Less),
            Kind::Less => ordered(left, right, |order| order == Ordering::Less),
            Kind::LessOrEqual => ordered(left, right, |order| order != Ordering::Greater),
            Kind::Contains => contains(left, right, false),
            Kind::ContainsIgnoreCase => contains(left, right, true),
            Kind::Matches => match (left.to_text(), pattern) {
                (None, _) => false,
                (Some(text), Some(pattern)) => pattern.is_match(&text),
                (Some(text), None) => compiled(right).map_err(refused)?.is_match(&text),
            },
            Kind::In => elements(right).iter().any(|element| equal(left, element, false)),
            Kind::Is => is_instance(left, &right.to_text().unwrap_or_default()).map_err(refused)?,
            Kind::Range => {
                let written = right.to_text().unwrap_or_default();
                let (from, to) = range(&written).ok_or_else(|| refused(not_a_range(&written)))?;
                ordered(left, &Value::Integer(from), |order| order != Ordering::Less)
                    && ordered(left, &Value::Integer(to), |order| order != Ordering::Greater)
            }
            Kind::StartsWith => both(left, right, |text, part| text.starts_with(part)),
            Kind::EndsWith => both(left, right, |text, part| text.ends_with(part)),
        };
        Ok(holds != self.negated)
    }
}

fn refused(reason: String) -> Exception {
    Exception::new(&class::EXPRESSION_ILLEGAL_SYNTAX, reason)
}

/// Checks a right side that never changes, and makes the pattern of it if it is one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_right(operator: Operator, right: &Value) -> Result<Option<Regex>, String> {
    let written = right.to_text().unwrap_or_default();
    match operator.kind {
        Kind::Matches => compiled(right).map(Some),
        Kind::Is => is_instance(&Value::Null, &written).map(|_| None),
        Kind::Range if range(&written).is_none() => Err(not_a_range(&written)),
        _ => Ok(None),
    }
}

fn not_a_range(written: &str) -> String {
    format!("'{written}' is not a range: write from..to with whole numbers, as in '100..199'")
}

fn compiled(pattern: &Value) -> Result<Regex, String> {
    let pattern = pattern.to_text().unwrap_or_default();
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| format!("'{pattern}' is no pattern that is supported here: {}", last_line(&error.to_string())))
}

fn last_line(message: &str) -> &str {
    message.lines().next_back().unwrap_or_default().trim_start_matches("error: ")
}

/// The numbers of `from..to`.
pub(super) fn range(written: &str) -> Option<(i64, i64)> {
    let (from, to) = written.split_once("..")?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(from) && digits(to)).then_some(())?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// Whether two values are equal once one is turned into the type of the other.
pub(super) fn equal(left: &Value, right: &Value, ignore_case: bool) -> bool {
    match (left.plain(), right.plain()) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Text(left), Value::Text(right)) => same_text(left, right, ignore_case),
        (Value::Integer(left), Value::Integer(right)) => left == right,
        (Value::Decimal(left), Value::Decimal(right)) => left == right,
        (Value::Bool(yes), Value::Text(text)) | (Value::Text(text), Value::Bool(yes)) => {
            text.eq_ignore_ascii_case("true") == *yes
        }
        (left @ (Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_)), right)
        | (right, left @ (Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_))) => same_number(left, right),
        (Value::List(left), Value::List(right)) => left == right,
        (Value::Map(left), Value::Map(right)) => left == right,
        (left, right) => match (left.to_text(), right.to_text()) {
            (Some(left), Some(right)) => same_text(&left, &right, ignore_case),
            _ => false,
        },
    }
}

/// Texts of digits are compared as numbers, all others as they are.
fn same_text(left: &str, right: &str, ignore_case: bool) -> bool {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left == right,
        _ if ignore_case => left == right || lower(left) == lower(right),
        _ => left == right,
    }
}

fn same_number(number: &Value, other: &Value) -> bool {
    match (number, other) {
        (Value::Integer(number), Value::Text(text)) => whole(text).is_some_and(|other| other == *number),
        _ => match (number.to_decimal(), other.to_decimal()) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        },
    }
}

/// The whole number that a text of digits is, with or without a minus.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| text.parse().ok()).flatten()
}

/// The order of two values; none where one of them is nothing.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left.plain(), right.plain()) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Text(left), Value::Text(right)) => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => match (decimal(left), decimal(right)) {
                (Some(left), Some(right)) => left.partial_cmp(&right),
                _ => Some(left.cmp(right)),
            },
        },
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (left, right) => match (left.to_decimal(), right.to_decimal()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(left.to_text()?.cmp(&right.to_text()?)),
        },
    }
}

fn decimal(text: &str) -> Option<f64> {
    Value::from(text).to_decimal()
}

fn ordered(left: &Value, right: &Value, wanted: impl Fn(Ordering) -> bool) -> bool {
    compare(left, right).is_some_and(wanted)
}

/// Whether a list has the element, or a text the part.
pub(super) fn contains(whole: &Value, part: &Value, ignore_case: bool) -> bool {
    match (whole.plain(), part.plain()) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::List(elements), part) => elements.iter().any(|element| equal(element, part, ignore_case)),
        (Value::Map(_), _) => false,
        (whole, part) => match (whole.to_text(), part.to_text()) {
            (Some(whole), Some(part)) if ignore_case => lower(&whole).contains(&lower(&part)),
            (Some(whole), Some(part)) => whole.contains(part.as_str()),
            _ => false,
        },
    }
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn both(left: &Value, right: &Value, holds: impl Fn(&str, &str) -> bool) -> bool {
    match (left.to_text(), right.to_text()) {
        (Some(left), Some(right)) => holds(&left, &right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

/// What Camel iterates over: the elements of a list, the parts of a text between commas, or the value itself.
pub(super) fn elements(value: &Value) -> Vec<Value> {
    match value.plain() {
        Value::Null => Vec::new(),
        Value::List(values) => values.to_vec(),
        Value::Text(text) => parts(text),
        Value::Bytes(_) => parts(&value.to_text().unwrap_or_default()),
        value => vec![value.clone()],
    }
}

/// The parts of a text between commas; an empty text has none.
fn parts(text: &Text) -> Vec<Value> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    if !text.contains(',') {
        return vec![Value::Text(text.clone())];
    }
    // two commas at the start stand for an empty part, not for two
    let text = text.part(text.strip_prefix(',').filter(|rest| rest.starts_with(',')).unwrap_or(text));
    let mut found: Vec<_> = text.split(',').map(|part| Value::Text(text.part(part))).collect();
    if text.ends_with(',') {
        found.pop();
    }
    found
}

/// The Java names that `is` knows, and whether a value is of that type.
type Instance = (&'static [&'static str], fn(&Value) -> bool);

const INSTANCES: &[Instance] = &[
    (&["String", "CharSequence"], |value| matches!(value, Value::Text(_))),
    (&["Boolean"], |value| matches!(value, Value::Bool(_))),
    (&["Integer"], |value| matches!(value, Value::Integer(number) if i32::try_from(*number).is_ok())),
    (&["Long"], |value| matches!(value, Value::Integer(number) if i32::try_from(*number).is_err())),
    (&["Double"], |value| matches!(value, Value::Decimal(_))),
    (&["Number"], |value| matches!(value, Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_))),
    (&["byte[]", "[B"], |value| matches!(value, Value::Bytes(_))),
    (&["java.util.List", "java.util.ArrayList", "java.util.Collection", "Iterable"], |value| {
        matches!(value, Value::List(_))
    }),
    (&["java.util.Map", "java.util.LinkedHashMap", "java.util.HashMap"], |value| matches!(value, Value::Map(_))),
    (&["com.fasterxml.jackson.databind.JsonNode"], |value| matches!(value, Value::Json(_))),
    (&["Throwable", "Exception"], |value| matches!(value, Value::Exception(_))),
    (&["Object"], |value| !value.is_null()),
];

fn is_instance(value: &Value, name: &str) -> Result<bool, String> {
    let short = name.strip_prefix("java.lang.").unwrap_or(name);
    match INSTANCES.iter().find(|(names, _)| names.contains(&short)) {
        Some((_, is)) => Ok(is(value)),
        None => {
            let known: Vec<_> = INSTANCES.iter().map(|(names, _)| names[0]).collect();
            Err(format!("'{name}' is no type that can be asked for: {}", known.join(", ")))
        }
    }
}
