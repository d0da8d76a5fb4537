//! Functions on numbers, types and times.

use jiff::Timestamp;

use crate::exchange::Value;

use super::super::evaluate::{Flow, Machine, fail};
use super::super::order;
use super::{Builtin, values};

pub(super) static BUILTINS: &[Builtin] = &[
    values("abs", 0, |_, input, _| math(input, f64::abs)),
    values("fabs", 0, |_, input, _| math(input, f64::abs)),
    values("floor", 0, |_, input, _| math(input, f64::floor)),
    values("ceil", 0, |_, input, _| math(input, f64::ceil)),
    values("round", 0, |_, input, _| math(input, f64::round)),
    values("trunc", 0, |_, input, _| math(input, f64::trunc)),
    values("sqrt", 0, |_, input, _| math(input, f64::sqrt)),
    values("exp", 0, |_, input, _| math(input, f64::exp)),
    values("log", 0, |_, input, _| math(input, f64::ln)),
    values("log2", 0, |_, input, _| math(input, f64::log2)),
    values("log10", 0, |_, input, _| math(input, f64::log10)),
    values("pow", 2, |_, _, arguments| match order::numbers(&arguments[0], &arguments[1]) {
        Some((base, exponent)) => Ok(order::number(base.powf(exponent))),
        None => fail("pow needs two numbers"),
    }),
    values("infinite", 0, |_, _, _| Ok(Value::Decimal(f64::INFINITY))),
    values("nan", 0, |_, _, _| Ok(Value::Decimal(f64::NAN))),
    values("isnan", 0, |_, input, _| of_number(input, f64::is_nan)),
    values("isinfinite", 0, |_, input, _| of_number(input, f64::is_infinite)),
    values("isnormal", 0, |_, input, _| of_number(input, f64::is_normal)),
    values("type", 0, |_, input, _| Ok(Value::fixed(order::type_name(input)))),
    values("not", 0, |_, input, _| Ok(Value::Bool(matches!(input, Value::Null | Value::Bool(false))))),
    values("now", 0, |machine, _, _| Ok(seconds(machine.now_ms))),
    values("todate", 0, |_, input, _| date(input)),
    values("todateiso8601", 0, |_, input, _| date(input)),
    values("fromdate", 0, |_, input, _| from_date(input)),
    values("fromdateiso8601", 0, |_, input, _| from_date(input)),
    values("tonumber", 0, |_, input, _| match input {
        Value::Text(text) => match (text.parse::<i64>(), input.to_decimal()) {
            (Ok(number), _) => Ok(Value::Integer(number)),
            (_, Some(number)) => Ok(order::number(number)),
            _ => fail(format!("{} cannot be parsed as a number", order::described(input))),
        },
        Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_) => Ok(input.clone()),
        other => fail(format!("{} cannot be parsed as a number", order::described(other))),
    }),
    values("error", 0, |_, input, _| Err(Box::new(super::super::evaluate::Stop::Error(input.clone())))),
    values("error", 1, |_, _, arguments| Err(Box::new(super::super::evaluate::Stop::Error(arguments[0].clone())))),
];

fn float(input: &Value) -> Flow<f64> {
    match input {
        Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_) => Ok(input.to_decimal().unwrap_or(f64::NAN)),
        other => fail(format!("{} number required", order::described(other))),
    }
}

fn math(input: &Value, function: fn(f64) -> f64) -> Flow<Value> {
    // a decimal, also where there is no fraction, as in Camel
    Ok(Value::Decimal(function(float(input)?)))
}

fn of_number(input: &Value, is: fn(f64) -> bool) -> Flow<Value> {
    Ok(Value::Bool(is(float(input)?)))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit")]
fn seconds(time_ms: i64) -> Value {
    order::number(time_ms as f64 / 1000.0)
}

fn date(input: &Value) -> Flow<Value> {
    let seconds = order::whole(float(input)?.floor());
    match seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
        Some(time) => Ok(Value::from(time.to_string())),
        None => fail(format!("{} is no time", order::described(input))),
    }
}

fn from_date(input: &Value) -> Flow<Value> {
    match input {
        Value::Text(text) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Value::Integer(time.as_second())),
            Err(_) => fail(format!("date \"{text}\" does not match format \"%Y-%m-%dT%H:%M:%SZ\"")),
        },
        other => fail(format!("{} is no date", order::described(other))),
    }
}

/// The number of an argument.
pub(super) fn argument(_: &mut Machine<'_>, value: &Value) -> Flow<f64> {
    float(value)
}
