//! Functions on lists and objects.

use crate::exchange::{Map, Text, Value};

use super::super::arithmetic::arithmetic;
use super::super::evaluate::{Flow, Machine, fail, is_true};
use super::super::format;
use super::super::order::{self, compare, described};
use super::super::paths;
use super::super::syntax::Operator;
use super::{Builtin, values};

pub(super) static BUILTINS: &[Builtin] = &[
    values("length", 0, length),
    values("utf8bytelength", 0, |_, input, _| match input {
        Value::Text(text) => Ok(count(text.len())),
        other => fail(format!("{} only strings have UTF-8 byte length", described(other))),
    }),
    values("keys", 0, |machine, input, _| {
        machine.spend_on(input)?;
        keys(input, true)
    }),
    values("keys_unsorted", 0, |_, input, _| keys(input, false)),
    values("has", 1, |_, input, arguments| has(input, &arguments[0])),
    values("in", 1, |_, input, arguments| has(&arguments[0], input)),
    values("contains", 1, |machine, input, arguments| contains(machine, input, &arguments[0]).map(Value::Bool)),
    values("inside", 1, |machine, input, arguments| contains(machine, &arguments[0], input).map(Value::Bool)),
    values("add", 0, |machine, input, _| {
        let mut sum = Value::Null;
        for value in elements(input)? {
            machine.spend(1)?;
            sum = arithmetic(machine, Operator::Add, &sum, &value)?;
        }
        Ok(sum)
    }),
    values("any", 0, |machine, input, _| {
        machine.spend_on(input)?;
        Ok(Value::Bool(elements(input)?.iter().any(is_true)))
    }),
    values("all", 0, |machine, input, _| {
        machine.spend_on(input)?;
        Ok(Value::Bool(elements(input)?.iter().all(is_true)))
    }),
    values("sort", 0, |machine, input, _| Ok(Value::list(sorted(machine, list(input)?)?))),
    values("unique", 0, |machine, input, _| {
        let mut values = sorted(machine, list(input)?)?;
        values.dedup_by(|left, right| compare(left, right).is_eq());
        Ok(Value::list(values))
    }),
    values("min", 0, |machine, input, _| Ok(sorted(machine, list(input)?)?.into_iter().next().unwrap_or_default())),
    values("max", 0, |machine, input, _| {
        Ok(sorted(machine, list(input)?)?.into_iter().next_back().unwrap_or_default())
    }),
    values("reverse", 0, |machine, input, _| match input {
        Value::Null => Ok(Value::list(Vec::new())),
        Value::Text(text) => {
            machine.grow(text.len())?;
            Ok(Value::from(text.chars().rev().collect::<String>()))
        }
        other => {
            let values = list(other)?;
            machine.spend(values.len())?;
            Ok(Value::list(values.iter().rev().cloned().collect()))
        }
    }),
    values("first", 0, |_, input, _| paths::get(input, &Value::Integer(0))),
    values("last", 0, |_, input, _| paths::get(input, &Value::Integer(-1))),
    values("nth", 1, |_, input, arguments| paths::get(input, &arguments[0])),
    values("flatten", 0, |machine, input, _| flatten(machine, input, 1_000)),
    values("flatten", 1, |machine, input, arguments| match arguments[0].to_integer() {
        Some(depth) if depth >= 0 => flatten(machine, input, depth),
        _ => fail("flatten depth must not be negative"),
    }),
    values("to_entries", 0, |machine, input, _| {
        machine.spend_on(input)?;
        to_entries(input)
    }),
    values("from_entries", 0, |machine, input, _| {
        let entries = elements(input)?;
        machine.spend(entries.len())?;
        from_entries(&entries)
    }),
    values("transpose", 0, |machine, input, _| transpose(machine, list(input)?)),
    values("getpath", 1, |_, input, arguments| paths::at(input, list(&arguments[0])?)),
    values("setpath", 2, |machine, input, arguments| {
        paths::set(machine, input, list(&arguments[0])?, arguments[1].clone())
    }),
    values("delpaths", 1, |machine, input, arguments| {
        let wanted: Flow<Vec<_>> = list(&arguments[0])?.iter().map(|path| list(path).map(<[Value]>::to_vec)).collect();
        paths::delete(machine, input, wanted?)
    }),
    values("indices", 1, |machine, input, arguments| indices(machine, input, &arguments[0])),
    values("index", 1, |machine, input, arguments| {
        Ok(list(&indices(machine, input, &arguments[0])?)
            .ok()
            .and_then(|found| found.first())
            .cloned()
            .unwrap_or_default())
    }),
    values("rindex", 1, |machine, input, arguments| {
        Ok(list(&indices(machine, input, &arguments[0])?)
            .ok()
            .and_then(|found| found.last())
            .cloned()
            .unwrap_or_default())
    }),
    values("toarray", 0, |_, input, _| {
        Ok(if matches!(input, Value::List(_)) { input.clone() } else { Value::list(vec![input.clone()]) })
    }),
    values("join", 1, |machine, input, arguments| {
        let mut out = String::new();
        for (index, value) in elements(input)?.iter().enumerate() {
            if index > 0 {
                out.push_str(&format::text(&arguments[0]));
            }
            match value {
                Value::Null => {}
                Value::List(_) | Value::Map(_) => return fail(format!("{} cannot be joined", described(value))),
                other => out.push_str(&format::text(other)),
            }
            machine.spend(1)?;
        }
        machine.grow(out.len())?;
        Ok(Value::from(out))
    }),
];

pub(super) fn count(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

pub(super) fn list(value: &Value) -> Flow<&[Value]> {
    match value {
        Value::List(values) => Ok(values),
        other => fail(format!("{} is no array", described(other))),
    }
}

/// The elements of a list, or the values of an object.
pub(super) fn elements(value: &Value) -> Flow<Vec<Value>> {
    match value {
        Value::List(values) => Ok(values.to_vec()),
        Value::Map(map) => Ok(map.iter().map(|(_, value)| value.clone()).collect()),
        other => fail(format!("cannot iterate over {}", described(other))),
    }
}

/// The values in order; sorting costs more steps the more there are.
pub(super) fn sorted(machine: &mut Machine<'_>, values: &[Value]) -> Flow<Vec<Value>> {
    let weight = values.iter().map(Value::weight).fold(0, usize::saturating_add);
    machine.spend(values.len().saturating_mul(8).saturating_add(weight / 8))?;
    let mut values = values.to_vec();
    values.sort_by(compare);
    Ok(values)
}

fn length(machine: &mut Machine<'_>, input: &Value, _: &[Value]) -> Flow<Value> {
    match input {
        Value::Null => Ok(Value::Integer(0)),
        Value::Text(text) => {
            machine.spend_on(input)?;
            Ok(count(text.chars().count()))
        }
        Value::List(values) => Ok(count(values.len())),
        Value::Map(map) => Ok(count(map.len())),
        Value::Integer(number) => Ok(Value::Integer(number.saturating_abs())),
        Value::Decimal(number) => Ok(Value::Decimal(number.abs())),
        other => fail(format!("{} has no length", described(other))),
    }
}

fn keys(input: &Value, is_sorted: bool) -> Flow<Value> {
    match input {
        Value::Map(map) => {
            let mut names: Vec<Text> = map.iter().map(|(name, _)| name.clone()).collect();
            if is_sorted {
                names.sort_unstable();
            }
            Ok(Value::list(names.into_iter().map(Value::Text).collect()))
        }
        Value::List(values) => Ok(Value::list((0..values.len()).map(count).collect())),
        other => fail(format!("{} has no keys", described(other))),
    }
}

fn has(input: &Value, key: &Value) -> Flow<Value> {
    match (input, key) {
        (Value::Map(map), Value::Text(name)) => Ok(Value::Bool(map.get(name).is_some())),
        (Value::List(values), Value::Integer(index)) => {
            Ok(Value::Bool(usize::try_from(*index).is_ok_and(|index| index < values.len())))
        }
        (input, key) => {
            fail(format!("cannot check whether {} has a {} key", order::type_name(input), order::type_name(key)))
        }
    }
}

/// Whether the second value is somewhere in the first, objects and lists all the way down.
fn contains(machine: &mut Machine<'_>, whole: &Value, part: &Value) -> Flow<bool> {
    machine.deeper(|machine| match (whole, part) {
        (Value::Map(whole), Value::Map(part)) => {
            for (name, part) in part.iter() {
                let Some(whole) = whole.get(name) else { return Ok(false) };
                if !contains(machine, whole, part)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::List(whole), Value::List(part)) => {
            for part in part.iter() {
                let mut is_found = false;
                for whole in whole.iter() {
                    if order::type_name(whole) == order::type_name(part) && contains(machine, whole, part)? {
                        is_found = true;
                        break;
                    }
                }
                if !is_found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Text(text), Value::Text(part)) => {
            machine.spend_on(whole)?;
            Ok(text.contains(part.as_str()))
        }
        (whole, part) if order::type_name(whole) == order::type_name(part) => Ok(compare(whole, part).is_eq()),
        (whole, part) => {
            fail(format!("{} and {} cannot have their containment checked", described(whole), described(part)))
        }
    })
}

fn flatten(machine: &mut Machine<'_>, input: &Value, depth: i64) -> Flow<Value> {
    let mut flat = Vec::new();
    flatten_into(machine, &elements(input)?, depth, &mut flat)?;
    Ok(Value::list(flat))
}

fn flatten_into(machine: &mut Machine<'_>, values: &[Value], depth: i64, flat: &mut Vec<Value>) -> Flow {
    machine.deeper(|machine| {
        for value in values {
            match value {
                Value::List(inner) if depth > 0 => flatten_into(machine, inner, depth - 1, flat)?,
                other => {
                    machine.spend(1)?;
                    flat.push(other.clone());
                }
            }
        }
        Ok(())
    })
}

pub(super) fn to_entries(input: &Value) -> Flow<Value> {
    match input {
        Value::Map(map) => {
            let entry = |(name, value): (&Text, &Value)| {
                let entry = [(Text::fixed("key"), Value::Text(name.clone())), (Text::fixed("value"), value.clone())];
                Value::map(entry.into_iter().collect())
            };
            Ok(Value::list(map.iter().map(entry).collect()))
        }
        other => fail(format!("{} has no keys", described(other))),
    }
}

pub(super) fn from_entries(entries: &[Value]) -> Flow<Value> {
    let mut map = Map::new();
    for entry in entries {
        let Value::Map(entry) = entry else { return fail(format!("{} is no entry", described(entry))) };
        let part =
            |names: &[&str]| names.iter().find_map(|name| entry.get(name).filter(|value| !value.is_null())).cloned();
        let key = match part(&["key", "k", "name", "Name", "Key", "K"]) {
            Some(Value::Text(name)) => name,
            Some(other @ (Value::Integer(_) | Value::Decimal(_) | Value::Bool(_))) => Text::from(format::text(&other)),
            None => Text::fixed("null"),
            Some(other) => return fail(format!("cannot use {} as object key", described(&other))),
        };
        let value = ["value", "v", "Value", "V"].iter().find_map(|name| entry.get(name)).cloned().unwrap_or_default();
        map.insert(key, value);
    }
    Ok(Value::map(map))
}

fn transpose(machine: &mut Machine<'_>, rows: &[Value]) -> Flow<Value> {
    let rows: Vec<_> = rows.iter().map(list).collect::<Flow<_>>()?;
    let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    machine.grow(rows.len().saturating_mul(width).saturating_mul(std::mem::size_of::<Value>()))?;
    let column =
        |index: usize| Value::list(rows.iter().map(|row| row.get(index).cloned().unwrap_or_default()).collect());
    Ok(Value::list((0..width).map(column).collect()))
}

/// Where a value stands in a list, or a text in a text (in characters).
fn indices(machine: &mut Machine<'_>, input: &Value, wanted: &Value) -> Flow<Value> {
    // Each place is compared with what is looked for.
    let places = input.weight().saturating_mul(1 + wanted.weight().min(input.weight()) / 64);
    machine.spend(places / 64)?;
    match (input, wanted) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Text(text), Value::Text(part)) if !part.is_empty() => {
            let found = text.char_indices().enumerate().filter(|(_, (at, _))| text[*at..].starts_with(part.as_str()));
            Ok(Value::list(found.map(|(index, _)| count(index)).collect()))
        }
        (Value::Text(_), Value::Text(_)) => Ok(Value::Null),
        (Value::List(_), Value::List(_)) => paths::get(input, wanted),
        (Value::List(values), wanted) => {
            let found = values.iter().enumerate().filter(|(_, value)| compare(value, wanted).is_eq());
            Ok(Value::list(found.map(|(index, _)| count(index)).collect()))
        }
        (input, _) => fail(format!("{} has no indices", described(input))),
    }
}
