//! The operators of jq: sums of numbers, texts, lists and objects, and comparisons.

use std::cmp::Ordering;

use crate::exchange::{Map, Value};

use super::evaluate::{Flow, Machine, fail};
use super::order;
use super::syntax::Operator;

/// What an operator makes of two values.
pub(super) fn arithmetic(machine: &mut Machine<'_>, operator: Operator, left: &Value, right: &Value) -> Flow<Value> {
    if operator.compares() {
        let smaller = if left.weight() < right.weight() { left } else { right };
        machine.spend_on(smaller)?;
    }
    let ordered = |wanted: fn(Ordering) -> bool| Ok(Value::Bool(wanted(order::compare(left, right))));
    match operator {
        Operator::Equal => ordered(Ordering::is_eq),
        Operator::NotEqual => ordered(Ordering::is_ne),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::Add => add(machine, left, right),
        Operator::Subtract => subtract(machine, left, right),
        Operator::Multiply => multiply(machine, left, right),
        Operator::Divide => divide(machine, left, right),
        Operator::Modulo => modulo(left, right),
    }
}

fn no_operator<T>(left: &Value, right: &Value, what: &str) -> Flow<T> {
    fail(format!("{} and {} cannot be {what}", order::described(left), order::described(right)))
}

fn add(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Flow<Value> {
    Ok(match (left, right) {
        (Value::Null, other) | (other, Value::Null) => other.clone(),
        (Value::Integer(left), Value::Integer(right)) if left.checked_add(*right).is_some() => {
            Value::Integer(left + right)
        }
        (Value::Text(left), Value::Text(right)) => {
            machine.grow(left.len() + right.len())?;
            Value::from(format!("{left}{right}"))
        }
        (Value::List(left), Value::List(right)) => {
            machine.grow((left.len() + right.len()) * std::mem::size_of::<Value>())?;
            Value::list(left.iter().chain(right.iter()).cloned().collect())
        }
        (Value::Map(left), Value::Map(right)) => {
            machine.spend(left.len() + right.len())?;
            let mut map = Map::clone(left);
            for (name, value) in right.iter() {
                map.insert(name.clone(), value.clone());
            }
            Value::map(map)
        }
        _ => match order::numbers(left, right) {
            Some((left, right)) => order::number(left + right),
            None => return no_operator(left, right, "added"),
        },
    })
}

fn subtract(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Flow<Value> {
    Ok(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) if left.checked_sub(*right).is_some() => {
            Value::Integer(left - right)
        }
        (Value::List(left), Value::List(right)) => {
            machine.spend(left.len().saturating_mul(right.len().max(1)))?;
            let is_kept = |value: &&Value| !right.iter().any(|other| order::compare(value, other).is_eq());
            Value::list(left.iter().filter(is_kept).cloned().collect())
        }
        _ => match order::numbers(left, right) {
            Some((left, right)) => order::number(left - right),
            None => return no_operator(left, right, "subtracted"),
        },
    })
}

fn multiply(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Flow<Value> {
    Ok(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) if left.checked_mul(*right).is_some() => {
            Value::Integer(left * right)
        }
        (Value::Text(text), count) | (count, Value::Text(text))
            if count.to_decimal().is_some() && !matches!(count, Value::Text(_)) =>
        {
            let count = count.to_decimal().unwrap_or(0.0);
            if count <= 0.0 {
                return Ok(Value::Null);
            }
            let count = usize::try_from(order::whole(count.max(1.0).ceil()).unwrap_or(i64::MAX)).unwrap_or(usize::MAX);
            machine.grow(text.len().saturating_mul(count))?;
            Value::from(text.repeat(count))
        }
        (Value::Map(left), Value::Map(right)) => merged(machine, left, right)?,
        _ => match order::numbers(left, right) {
            Some((left, right)) => order::number(left * right),
            None => return no_operator(left, right, "multiplied"),
        },
    })
}

/// Objects merged all the way down.
fn merged(machine: &mut Machine<'_>, left: &Map, right: &Map) -> Flow<Value> {
    machine.deeper(|machine| {
        machine.spend(left.len() + right.len())?;
        let mut map = left.clone();
        for (name, value) in right.iter() {
            let value = match (left.get(name), value) {
                (Some(Value::Map(left)), Value::Map(right)) => merged(machine, left, right)?,
                _ => value.clone(),
            };
            map.insert(name.clone(), value);
        }
        Ok(Value::map(map))
    })
}

fn divide(machine: &mut Machine<'_>, left: &Value, right: &Value) -> Flow<Value> {
    match (left, right) {
        (Value::Text(text), Value::Text(separator)) => {
            machine.spend(text.len())?;
            Ok(order::split(text, separator))
        }
        _ => match order::numbers(left, right) {
            Some((_, 0.0)) => no_operator(left, right, "divided because the divisor is zero"),
            Some((left, right)) => Ok(order::number(left / right)),
            None => no_operator(left, right, "divided"),
        },
    }
}

fn modulo(left: &Value, right: &Value) -> Flow<Value> {
    let Some((dividend, divisor)) = order::numbers(left, right) else { return no_operator(left, right, "divided") };
    match (order::whole(dividend.trunc()), order::whole(divisor.trunc())) {
        (_, Some(0)) => no_operator(left, right, "divided because the divisor is zero"),
        (Some(dividend), Some(divisor)) => Ok(Value::Integer(dividend.wrapping_rem(divisor.wrapping_abs()))),
        _ => Ok(Value::Integer(0)),
    }
}
