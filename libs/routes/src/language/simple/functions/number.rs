//! Functions that work on numbers.

use rand::RngExt as _;

use crate::exchange::{Exception, Result, Value, class};

use super::super::evaluate::Run;
use super::super::syntax::Call;
use super::list::all_elements;
use super::{Function, Syntax};

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| {
            let value = run.source(call, 0)?;
            if value.is_null() { Ok(Value::Null) } else { Ok(Value::Integer(whole(&value)?.saturating_abs())) }
        },
    },
    Function {
        name: "average",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| {
            fold(call, run, |numbers| {
                numbers.iter().fold(0i64, |sum, number| sum.wrapping_add(*number)) / count(numbers)
            })
        },
    },
    Function {
        name: "ceil",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| rounded(call, run, f64::ceil),
    },
    Function {
        name: "floor",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| rounded(call, run, f64::floor),
    },
    Function {
        name: "max",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| fold(call, run, |numbers| numbers.iter().copied().max().unwrap_or(0)),
    },
    Function {
        name: "min",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| fold(call, run, |numbers| numbers.iter().copied().min().unwrap_or(0)),
    },
    Function { name: "random", since: "4.17", syntax: Syntax::Arguments(&["min,max", "max"]), evaluate: random },
    Function { name: "range", since: "4.18", syntax: Syntax::Arguments(&["min,max", "max"]), evaluate: range },
    Function {
        name: "sum",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| {
            fold(call, run, |numbers| numbers.iter().fold(0i64, |sum, number| sum.wrapping_add(*number)))
        },
    },
];

fn whole(value: &Value) -> Result<i64> {
    value.to_integer().ok_or_else(|| {
        let message = format!("a value of type {} is no whole number", value.type_name());
        Exception::new(&class::TYPE_CONVERSION, message)
    })
}

/// What `of` makes of all numbers among the values; nothing where there is none.
fn fold(call: &Call, run: &mut Run<'_>, of: impl Fn(&[i64]) -> i64) -> Result<Value> {
    let numbers: Vec<_> = all_elements(call, run)?.iter().filter_map(Value::to_integer).collect();
    Ok(if numbers.is_empty() { Value::Null } else { Value::Integer(of(&numbers)) })
}

fn count(numbers: &[i64]) -> i64 {
    i64::try_from(numbers.len()).unwrap_or(i64::MAX).max(1)
}

#[expect(clippy::cast_possible_truncation, reason = "as Java's cast to long does: cut to what fits")]
fn rounded(call: &Call, run: &mut Run<'_>, round: fn(f64) -> f64) -> Result<Value> {
    let value = run.source(call, 0)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let number = value.to_decimal().ok_or_else(|| {
        let message = format!("a value of type {} is no number", value.type_name());
        Exception::new(&class::TYPE_CONVERSION, message)
    })?;
    Ok(Value::Integer(round(number) as i64))
}

/// The bounds of `name(max)` and `name(min,max)`.
fn bounds(call: &Call, run: &mut Run<'_>) -> Result<(i64, i64)> {
    let min = if call.arguments[0].is_some() { run.integer(call, 0)? } else { 0 };
    Ok((min, run.integer(call, 1)?))
}

fn random(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let (min, max) = bounds(call, run)?;
    if min >= max {
        return Err(Exception::new(&class::ILLEGAL_ARGUMENT, "bound must be greater than origin"));
    }
    Ok(Value::Integer(rand::rng().random_range(min..max)))
}

fn range(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let (min, max) = bounds(call, run)?;
    run.spend(max.saturating_sub(min).max(0).unsigned_abs())?;
    Ok(Value::list((min..max).map(Value::Integer).collect()))
}
