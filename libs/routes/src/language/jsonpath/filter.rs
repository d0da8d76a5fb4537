//! The conditions in `[?(…)]`.

use std::cmp::Ordering;

use regex::Regex;

use crate::exchange::Value;

use super::select::{Failure, Path, Search};

/// A condition on an element.
#[derive(Debug)]
pub(super) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Not(Box<Filter>),
    /// Whether the path is there.
    Exists(Path),
    /// A value that counts as a condition of its own: `true`, `match(…)`.
    Value(Operand),
    Compare {
        left: Operand,
        operator: Operator,
        right: Operand,
    },
}

#[derive(Debug)]
pub(super) enum Operand {
    Literal(Value),
    Path(Path),
    Pattern(Regex),
    List(Vec<Operand>),
    /// `length(x)`, `count(x)`, `value(x)`.
    Call(Call, Box<Operand>),
    /// `match(x, 'pattern')`, of the whole text, and `search`, of a part of it.
    Matches {
        text: Box<Operand>,
        pattern: Regex,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Length,
    Count,
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    Contains,
    Size,
    Empty,
    SubsetOf,
    AnyOf,
    NoneOf,
}

/// How each operator is written; longer ones first.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=~", Operator::Matches),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("subsetof", Operator::SubsetOf),
    ("contains", Operator::Contains),
    ("noneof", Operator::NoneOf),
    ("anyof", Operator::AnyOf),
    ("empty", Operator::Empty),
    ("size", Operator::Size),
    ("nin", Operator::NotIn),
    ("in", Operator::In),
];

impl Filter {
    pub(super) fn holds<'v>(&self, current: &'v Value, search: &mut Search<'v>) -> Result<bool, Failure> {
        match self {
            Filter::Any(filters) => {
                for filter in filters {
                    if filter.holds(current, search)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Filter::All(filters) => {
                for filter in filters {
                    if !filter.holds(current, search)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Filter::Not(filter) => Ok(!filter.holds(current, search)?),
            Filter::Exists(path) => match path.value(current, search) {
                Ok(Value::List(found)) if !path.is_definite() => Ok(!found.is_empty()),
                Ok(_) => Ok(true),
                Err(Failure::NotFound { .. }) => Ok(false),
                Err(stopped) => Err(stopped),
            },
            Filter::Value(operand) => Ok(matches!(operand.value(current, search)?, Some(Value::Bool(true)))),
            Filter::Compare { left, operator, right } => {
                if let (Operator::Matches, Operand::Pattern(pattern)) = (operator, right) {
                    let text = left.value(current, search)?;
                    return Ok(matches!(text, Some(Value::Text(text)) if pattern.is_match(&text)));
                }
                let (left, right) = (left.value(current, search)?, right.value(current, search)?);
                Ok(operator.holds(left.as_ref(), right.as_ref()))
            }
        }
    }
}

impl Operand {
    /// The value, or nothing where a path is missing.
    fn value<'v>(&self, current: &'v Value, search: &mut Search<'v>) -> Result<Option<Value>, Failure> {
        match self {
            Operand::Literal(value) => Ok(Some(value.clone())),
            Operand::Pattern(_) => Ok(None),
            Operand::Path(path) => match path.value(current, search) {
                Ok(value) => Ok(Some(value)),
                Err(Failure::NotFound { .. }) => Ok(None),
                Err(stopped) => Err(stopped),
            },
            Operand::List(operands) => {
                let mut values = Vec::new();
                for operand in operands {
                    values.extend(operand.value(current, search)?);
                }
                Ok(Some(Value::list(values)))
            }
            Operand::Call(call, operand) => {
                let value = operand.value(current, search)?;
                Ok(call.answer(value.as_ref()))
            }
            Operand::Matches { text, pattern } => {
                let text = text.value(current, search)?;
                Ok(Some(Value::Bool(matches!(text, Some(Value::Text(text)) if pattern.is_match(&text)))))
            }
        }
    }
}

impl Call {
    fn answer(self, value: Option<&Value>) -> Option<Value> {
        let length = match (self, value?) {
            (Call::Value, Value::List(values)) => return values.first().cloned(),
            (Call::Value, value) => return Some(value.clone()),
            (_, Value::List(values)) => values.len(),
            (Call::Count, _) => 1,
            (Call::Length, Value::Map(map)) => map.len(),
            (Call::Length, Value::Text(text)) => text.chars().count(),
            (Call::Length, _) => return None,
        };
        i64::try_from(length).ok().map(Value::Integer)
    }
}

impl Operator {
    fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let order = || compare(left?, right?);
        let both = |holds: fn(&Value, &Value) -> bool| matches!((left, right), (Some(left), Some(right)) if holds(left, right));
        match self {
            Operator::Equal => same(left, right),
            Operator::NotEqual => !same(left, right),
            Operator::Less => order() == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => order() == Some(Ordering::Greater),
            Operator::GreaterOrEqual => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            Operator::Matches => false,
            Operator::In => both(|left, right| list(right).iter().any(|element| same(Some(left), Some(element)))),
            Operator::NotIn => !both(|left, right| list(right).iter().any(|element| same(Some(left), Some(element)))),
            Operator::Contains => both(|left, right| match (left, right) {
                (Value::Text(left), Value::Text(right)) => left.contains(right.as_str()),
                (left, right) => list(left).iter().any(|element| same(Some(element), Some(right))),
            }),
            Operator::Size => both(|left, right| size(left).is_some() && size(left) == right.to_integer()),
            Operator::Empty => {
                both(|left, right| size(left).is_some() && Some(size(left) == Some(0)) == right.to_bool())
            }
            Operator::SubsetOf => both(|left, right| list(left).iter().all(|element| has(right, element))),
            Operator::AnyOf => both(|left, right| list(left).iter().any(|element| has(right, element))),
            Operator::NoneOf => both(|left, right| !list(left).iter().any(|element| has(right, element))),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        _ => &[],
    }
}

fn has(values: &Value, wanted: &Value) -> bool {
    list(values).iter().any(|element| same(Some(element), Some(wanted)))
}

fn size(value: &Value) -> Option<i64> {
    let size = match value {
        Value::List(values) => values.len(),
        Value::Map(map) => map.len(),
        Value::Text(text) => text.chars().count(),
        _ => return None,
    };
    i64::try_from(size).ok()
}

/// Equality without turning one type into another; numbers by their size.
fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => left == right || compare(left, right) == Some(Ordering::Equal),
        _ => false,
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (
            Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_),
            Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_),
        ) => left.to_decimal()?.partial_cmp(&right.to_decimal()?),
        _ => None,
    }
}
