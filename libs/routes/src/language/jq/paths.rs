//! Places in a JSON tree: reading, setting and deleting them, and what a program names as places.

use crate::exchange::{Map, Text, Value};

use super::builtins::{self, Body};
use super::evaluate::{Flow, Machine, Stop, fail, is_true};
use super::order;
use super::syntax::Node;

/// Longest list that setting an index may make.
const INDEX_MAX: usize = 1_000_000;

/// `value[key]`.
pub(super) fn get(value: &Value, key: &Value) -> Flow<Value> {
    match (value, key) {
        (Value::Map(map), Value::Text(name)) => Ok(map.get(name).cloned().unwrap_or_default()),
        (Value::List(values), Value::Integer(_) | Value::Decimal(_)) => {
            let index = key.to_integer().and_then(|index| place(index, values.len()));
            Ok(index.and_then(|index| values.get(index)).cloned().unwrap_or_default())
        }
        (Value::Null, Value::Text(_) | Value::Integer(_) | Value::Decimal(_) | Value::Null) => Ok(Value::Null),
        (value, Value::Map(bounds)) => {
            let bound = |name: &str| bounds.get(name).cloned().unwrap_or_default();
            slice(value, &bound("start"), &bound("end"))
        }
        (Value::List(values), Value::List(wanted)) => Ok(indexes(values, wanted)),
        (value, Value::Text(name)) => fail(format!("cannot index {} with \"{name}\"", order::type_name(value))),
        (value, key) => fail(format!("cannot index {} with {}", order::type_name(value), order::type_name(key))),
    }
}

/// Where a list begins in another.
fn indexes(values: &[Value], wanted: &[Value]) -> Value {
    if wanted.is_empty() {
        return Value::Null;
    }
    let is_here = |window: &[Value]| window.iter().zip(wanted).all(|(left, right)| order::compare(left, right).is_eq());
    let found = values.windows(wanted.len()).enumerate().filter(|(_, window)| is_here(window));
    Value::list(found.map(|(index, _)| Value::Integer(i64::try_from(index).unwrap_or(i64::MAX))).collect())
}

/// An index, counted from the end where it is negative.
fn place(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}

/// `value[from:to]`.
pub(super) fn slice(value: &Value, from: &Value, to: &Value) -> Flow<Value> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::List(values) => {
            let (from, to) = bounds(from, to, values.len())?;
            Ok(Value::list(values[from..to].to_vec()))
        }
        Value::Text(text) => {
            let (from, to) = bounds(from, to, text.chars().count())?;
            Ok(Value::from(text.chars().skip(from).take(to - from).collect::<String>()))
        }
        other => fail(format!("cannot index {} with an object", order::type_name(other))),
    }
}

fn bounds(from: &Value, to: &Value, length: usize) -> Flow<(usize, usize)> {
    let bound = |value: &Value, default: usize, round: fn(f64) -> f64| match value {
        Value::Null => Ok(default),
        Value::Integer(_) | Value::Decimal(_) => {
            let index = value.to_decimal().and_then(|number| order::whole(round(number))).unwrap_or(0);
            Ok(place(index, length).unwrap_or(0).min(length))
        }
        _ => fail("start and end of a slice must be numbers"),
    };
    let (from, to) = (bound(from, 0, f64::floor)?, bound(to, length, f64::ceil)?);
    Ok((from, to.max(from)))
}

/// The value at a path; nothing where the path leads nowhere.
pub(super) fn at(value: &Value, path: &[Value]) -> Flow<Value> {
    path.iter().try_fold(value.clone(), |value, key| if value.is_null() { Ok(Value::Null) } else { get(&value, key) })
}

/// The tree with another value at a path.
pub(super) fn set(machine: &mut Machine<'_>, value: &Value, path: &[Value], new: Value) -> Flow<Value> {
    let Some((key, rest)) = path.split_first() else { return Ok(new) };
    machine.deeper(|machine| {
        let old = get(value, key)?;
        let inner = set(machine, &old, rest, new)?;
        replace(machine, value, key, inner)
    })
}

fn replace(machine: &mut Machine<'_>, value: &Value, key: &Value, new: Value) -> Flow<Value> {
    match (value, key) {
        (Value::Map(_) | Value::Null, Value::Text(name)) => {
            let mut map = match value {
                Value::Map(map) => Map::clone(map),
                _ => Map::new(),
            };
            machine.spend(map.len())?;
            map.insert(name.clone(), new);
            Ok(Value::map(map))
        }
        (Value::List(_) | Value::Null, Value::Integer(_) | Value::Decimal(_)) => {
            let mut values = match value {
                Value::List(values) => values.to_vec(),
                _ => Vec::new(),
            };
            machine.spend(values.len())?;
            let Some(index) = key.to_integer().and_then(|index| place(index, values.len())) else {
                return fail("out of bounds negative array index");
            };
            if index >= INDEX_MAX {
                return fail(format!("an index of {index}; lists are no longer than {INDEX_MAX}"));
            }
            if index >= values.len() {
                machine.grow((index - values.len()) * std::mem::size_of::<Value>())?;
                values.resize(index + 1, Value::Null);
            }
            values[index] = new;
            Ok(Value::list(values))
        }
        (Value::List(values), Value::Map(range)) => {
            let bound = |name: &str| range.get(name).cloned().unwrap_or_default();
            let (from, to) = bounds(&bound("start"), &bound("end"), values.len())?;
            let Value::List(new) = &new else { return fail("a slice of a list can only become a list") };
            machine.spend(values.len() + new.len())?;
            Ok(Value::list(values[..from].iter().chain(new.iter()).chain(&values[to..]).cloned().collect()))
        }
        (value, key) => fail(format!("cannot set {} of {}", order::type_name(key), order::type_name(value))),
    }
}

/// The tree without what is at the paths.
pub(super) fn delete(machine: &mut Machine<'_>, value: &Value, mut paths: Vec<Vec<Value>>) -> Flow<Value> {
    // the last places first, so that the others stay where they are
    paths.sort_by(|left, right| order::compare(&Value::list(right.clone()), &Value::list(left.clone())));
    paths.dedup();
    paths.iter().try_fold(value.clone(), |value, path| delete_one(machine, &value, path))
}

fn delete_one(machine: &mut Machine<'_>, value: &Value, path: &[Value]) -> Flow<Value> {
    let Some((key, rest)) = path.split_first() else { return Ok(Value::Null) };
    machine.deeper(|machine| {
        if value.is_null() {
            return Ok(Value::Null);
        }
        if !rest.is_empty() {
            let old = get(value, key)?;
            if old.is_null() {
                return Ok(value.clone());
            }
            let inner = delete_one(machine, &old, rest)?;
            return replace(machine, value, key, inner);
        }
        match (value, key) {
            (Value::Map(map), Value::Text(name)) => {
                machine.spend(map.len())?;
                let mut map = Map::clone(map);
                map.remove(name);
                Ok(Value::map(map))
            }
            (Value::List(values), Value::Integer(index)) => {
                machine.spend(values.len())?;
                let mut values = values.to_vec();
                if let Some(index) = place(*index, values.len()).filter(|index| *index < values.len()) {
                    values.remove(index);
                }
                Ok(Value::list(values))
            }
            (Value::List(_), Value::Map(_)) => replace(machine, value, key, Value::list(Vec::new())),
            (value, key) => fail(format!("cannot delete {} of {}", order::type_name(key), order::type_name(value))),
        }
    })
}

/// What takes a place: its path and the value that is there.
pub(super) type Place<'o> = dyn FnMut(&mut Machine<'_>, &[Value], &Value) -> Flow + 'o;

/// Hands every place that `node` names to `out`.
pub(super) fn walk(machine: &mut Machine<'_>, node: &Node, path: &[Value], value: &Value, out: &mut Place<'_>) -> Flow {
    machine.deeper(|machine| match node {
        Node::Identity => out(machine, path, value),
        Node::Below => below(machine, path, value, out),
        Node::Member { of, key } => walk(machine, of, path, value, &mut |machine, path, inner| {
            for key in machine.all(key, value)? {
                step(machine, path, inner, key, out)?;
            }
            Ok(())
        }),
        Node::Slice { of, from, to } => walk(machine, of, path, value, &mut |machine, path, inner| {
            let bound = |machine: &mut Machine<'_>, node: &Option<Box<Node>>| match node {
                Some(node) => machine.first(node, value).map(Option::unwrap_or_default),
                None => Ok(Value::Null),
            };
            let range = [(Text::fixed("start"), bound(machine, from)?), (Text::fixed("end"), bound(machine, to)?)];
            step(machine, path, inner, Value::map(range.into_iter().collect()), out)
        }),
        Node::Each(of) => walk(machine, of, path, value, &mut |machine, path, value| each(machine, path, value, out)),
        Node::Pipe(left, right) => {
            walk(machine, left, path, value, &mut |machine, path, value| walk(machine, right, path, value, out))
        }
        Node::Comma(left, right) => {
            walk(machine, left, path, value, out)?;
            walk(machine, right, path, value, out)
        }
        Node::If { condition, yes, no } => {
            for holds in machine.all(condition, value)? {
                match (is_true(&holds), no) {
                    (true, _) => walk(machine, yes, path, value, out)?,
                    (false, Some(no)) => walk(machine, no, path, value, out)?,
                    (false, None) => out(machine, path, value)?,
                }
            }
            Ok(())
        }
        Node::Alternative(left, right) => {
            let mut places = Vec::new();
            let flow = walk(machine, left, path, value, &mut |_, path, value| {
                if is_true(value) {
                    places.push((path.to_vec(), value.clone()));
                }
                Ok(())
            });
            match flow {
                Err(stop) if !matches!(*stop, Stop::Error(_)) => Err(stop),
                _ if places.is_empty() => walk(machine, right, path, value, out),
                _ => places.iter().try_for_each(|(path, value)| out(machine, path, value)),
            }
        }
        Node::Try { body, .. } => {
            let mut places = Vec::new();
            let flow = walk(machine, body, path, value, &mut |_, path, value| {
                places.push((path.to_vec(), value.clone()));
                Ok(())
            });
            places.iter().try_for_each(|(path, value)| out(machine, path, value))?;
            match flow {
                Err(stop) if !matches!(*stop, Stop::Error(_)) => Err(stop),
                _ => Ok(()),
            }
        }
        Node::Call(builtin, arguments) => called(machine, builtin, arguments, path, value, out),
        _ => fail("this is no path: only .a, .[…], .., select, first, recurse and getpath name places"),
    })
}

fn step(machine: &mut Machine<'_>, path: &[Value], value: &Value, key: Value, out: &mut Place<'_>) -> Flow {
    let found = get(value, &key)?;
    let mut longer = path.to_vec();
    longer.push(key);
    machine.spend(longer.len())?;
    out(machine, &longer, &found)
}

fn each(machine: &mut Machine<'_>, path: &[Value], value: &Value, out: &mut Place<'_>) -> Flow {
    match value {
        Value::List(values) => (0..values.len()).try_for_each(|index| {
            let key = Value::Integer(i64::try_from(index).unwrap_or(i64::MAX));
            step(machine, path, value, key, out)
        }),
        Value::Map(map) => {
            map.iter().try_for_each(|(name, _)| step(machine, path, value, Value::Text(name.clone()), out))
        }
        Value::Null => Ok(()),
        other => fail(format!("cannot iterate over {}", order::described(other))),
    }
}

/// A place and all below it.
pub(super) fn below(machine: &mut Machine<'_>, path: &[Value], value: &Value, out: &mut Place<'_>) -> Flow {
    machine.deeper(|machine| {
        out(machine, path, value)?;
        match value {
            Value::List(_) | Value::Map(_) => {
                each(machine, path, value, &mut |machine, path, value| below(machine, path, value, out))
            }
            _ => Ok(()),
        }
    })
}

fn called(
    machine: &mut Machine<'_>,
    builtin: &builtins::Builtin,
    arguments: &[Node],
    path: &[Value],
    value: &Value,
    out: &mut Place<'_>,
) -> Flow {
    match (builtin.name, arguments) {
        ("empty", _) => Ok(()),
        ("select", [condition]) => {
            let holds = machine.all(condition, value)?;
            holds.iter().filter(|holds| is_true(holds)).try_for_each(|_| out(machine, path, value))
        }
        ("recurse", []) => below(machine, path, value, out),
        ("first", []) => step(machine, path, value, Value::Integer(0), out),
        ("last", []) => step(machine, path, value, Value::Integer(-1), out),
        ("first", [node]) => {
            let mut first = None;
            let flow = walk(machine, node, path, value, &mut |_, path, value| {
                first = Some((path.to_vec(), value.clone()));
                Err(Box::new(Stop::Break(usize::MAX)))
            });
            match (flow, first) {
                (_, Some((path, value))) => out(machine, &path, &value),
                (flow, None) => flow,
            }
        }
        ("getpath", [node]) => {
            for keys in machine.all(node, value)? {
                let Value::List(keys) = &keys else { return fail("a path must be a list") };
                let mut longer = path.to_vec();
                longer.extend(keys.iter().cloned());
                out(machine, &longer, &at(value, keys)?)?;
            }
            Ok(())
        }
        _ => match builtin.body {
            // what fails fails here too
            Body::Values(_) if builtin.name == "error" => {
                machine.run(&Node::Literal(Value::Null), value, &mut |_, _| fail("error"))
            }
            _ => fail(format!("{} names no place", builtin.name)),
        },
    }
}

/// The tree in which every place that `node` names has what `new` makes of its value; a place for which it
/// makes nothing is deleted.
pub(super) fn update(
    machine: &mut Machine<'_>,
    node: &Node,
    input: &Value,
    new: &mut dyn FnMut(&mut Machine<'_>, &Value) -> Flow<Option<Value>>,
) -> Flow<Value> {
    let mut places = Vec::new();
    walk(machine, node, &[], input, &mut |machine, path, _| {
        machine.grow((path.len() + 1) * std::mem::size_of::<Value>())?;
        places.push(path.to_vec());
        Ok(())
    })?;
    let mut tree = input.clone();
    let mut deleted = Vec::new();
    for path in places {
        let old = at(&tree, &path)?;
        match new(machine, &old)? {
            Some(value) => tree = set(machine, &tree, &path, value)?,
            None => deleted.push(path),
        }
    }
    if deleted.is_empty() { Ok(tree) } else { delete(machine, &tree, deleted) }
}
