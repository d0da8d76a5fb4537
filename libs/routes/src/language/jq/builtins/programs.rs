//! Functions whose arguments are programs: loops, filters, and whatever puts out several values.

use crate::exchange::{Map, Value};

use super::super::arithmetic::arithmetic;
use super::super::evaluate::{Flow, Machine, Out, Stop, fail, is_true};
use super::super::order::{self, compare};
use super::super::paths;
use super::super::syntax::{Node, Operator};
use super::collections::{elements, from_entries, list, to_entries};
use super::numbers;
use super::{Builtin, programs};

pub(super) static BUILTINS: &[Builtin] = &[
    programs("empty", 0, |_, _, _, _| Ok(())),
    programs("select", 1, |machine, arguments, input, out| {
        machine.run(&arguments[0], input, &mut |machine, holds| {
            if is_true(&holds) { out(machine, input.clone()) } else { Ok(()) }
        })
    }),
    programs("map", 1, |machine, arguments, input, out| {
        let mut mapped = Vec::new();
        machine.spend_on(input)?;
        for value in elements(input)? {
            mapped.extend(machine.all(&arguments[0], &value)?);
        }
        out(machine, Value::list(mapped))
    }),
    programs("map_values", 1, map_values),
    programs("recurse", 0, |machine, _, input, out| machine.below(input, out)),
    programs("recurse_down", 0, |machine, _, input, out| machine.below(input, out)),
    programs("recurse", 1, |machine, arguments, input, out| repeated(machine, &arguments[0], None, input, out)),
    programs("recurse", 2, |machine, arguments, input, out| {
        repeated(machine, &arguments[0], Some(&arguments[1]), input, out)
    }),
    programs("repeat", 1, |machine, arguments, input, out| repeated(machine, &arguments[0], None, input, out)),
    programs("while", 2, |machine, arguments, input, out| {
        let mut open = vec![input.clone()];
        while let Some(value) = open.pop() {
            machine.spend(1)?;
            if machine.first(&arguments[0], &value)?.is_some_and(|holds| is_true(&holds)) {
                out(machine, value.clone())?;
                open.extend(machine.all(&arguments[1], &value)?.into_iter().rev());
            }
        }
        Ok(())
    }),
    programs("until", 2, |machine, arguments, input, out| {
        let mut open = vec![input.clone()];
        while let Some(value) = open.pop() {
            machine.spend(1)?;
            if machine.first(&arguments[0], &value)?.is_some_and(|holds| is_true(&holds)) {
                out(machine, value)?;
            } else {
                open.extend(machine.all(&arguments[1], &value)?.into_iter().rev());
            }
        }
        Ok(())
    }),
    programs("range", 1, |machine, arguments, input, out| {
        machine.run(&arguments[0], input, &mut |machine, end| {
            count_up(machine, &Value::Integer(0), &end, &Value::Integer(1), out)
        })
    }),
    programs("range", 2, |machine, arguments, input, out| {
        machine.run(&arguments[0], input, &mut |machine, start| {
            machine
                .run(&arguments[1], input, &mut |machine, end| count_up(machine, &start, &end, &Value::Integer(1), out))
        })
    }),
    programs("range", 3, |machine, arguments, input, out| {
        machine.run(&arguments[0], input, &mut |machine, start| {
            machine.run(&arguments[1], input, &mut |machine, end| {
                machine.run(&arguments[2], input, &mut |machine, by| count_up(machine, &start, &end, &by, out))
            })
        })
    }),
    programs("first", 1, |machine, arguments, input, out| match machine.first(&arguments[0], input)? {
        Some(value) => out(machine, value),
        None => Ok(()),
    }),
    programs("last", 1, |machine, arguments, input, out| match machine.last(&arguments[0], input)? {
        Some(value) => out(machine, value),
        None => Ok(()),
    }),
    programs("nth", 2, |machine, arguments, input, out| {
        let index = machine.first(&arguments[0], input)?.unwrap_or_default();
        let index = numbers::argument(machine, &index)?;
        if index < 0.0 {
            return fail("out of bounds negative array index");
        }
        let wanted = order::whole(index).unwrap_or(i64::MAX).saturating_add(1);
        let mut last = None;
        let mut seen = 0;
        limited(machine, wanted, &arguments[1], input, &mut |_, value| {
            seen += 1;
            last = Some(value);
            Ok(())
        })?;
        match last {
            Some(value) if seen == wanted => out(machine, value),
            _ => Ok(()),
        }
    }),
    programs("limit", 2, |machine, arguments, input, out| {
        machine.run(&arguments[0], input, &mut |machine, count| {
            let count = order::whole(numbers::argument(machine, &count)?.ceil()).unwrap_or(i64::MAX);
            limited(machine, count, &arguments[1], input, out)
        })
    }),
    programs("isempty", 1, |machine, arguments, input, out| {
        let is_empty = machine.first(&arguments[0], input)?.is_none();
        out(machine, Value::Bool(is_empty))
    }),
    programs("any", 1, |machine, arguments, input, out| {
        machine.spend_on(input)?;
        let values = elements(input)?;
        quantified(machine, &values, &arguments[0], true, out)
    }),
    programs("all", 1, |machine, arguments, input, out| {
        machine.spend_on(input)?;
        let values = elements(input)?;
        quantified(machine, &values, &arguments[0], false, out)
    }),
    programs("any", 2, |machine, arguments, input, out| {
        let values = machine.all(&arguments[0], input)?;
        quantified(machine, &values, &arguments[1], true, out)
    }),
    programs("all", 2, |machine, arguments, input, out| {
        let values = machine.all(&arguments[0], input)?;
        quantified(machine, &values, &arguments[1], false, out)
    }),
    programs("add", 1, |machine, arguments, input, out| {
        let mut sum = Value::Null;
        for value in machine.all(&arguments[0], input)? {
            sum = arithmetic(machine, Operator::Add, &sum, &value)?;
        }
        out(machine, sum)
    }),
    programs("sort_by", 1, |machine, arguments, input, out| {
        let sorted = keyed(machine, &arguments[0], input)?.into_iter().map(|(_, value)| value).collect();
        out(machine, Value::list(sorted))
    }),
    programs("group_by", 1, |machine, arguments, input, out| {
        let groups = groups(machine, &arguments[0], input)?;
        out(machine, Value::list(groups.into_iter().map(Value::list).collect()))
    }),
    programs("unique_by", 1, |machine, arguments, input, out| {
        let groups = groups(machine, &arguments[0], input)?;
        out(machine, Value::list(groups.into_iter().filter_map(|group| group.into_iter().next()).collect()))
    }),
    programs("min_by", 1, |machine, arguments, input, out| {
        let first = keyed(machine, &arguments[0], input)?.into_iter().next();
        out(machine, first.map_or(Value::Null, |(_, value)| value))
    }),
    programs("max_by", 1, |machine, arguments, input, out| {
        let last = keyed(machine, &arguments[0], input)?.into_iter().next_back();
        out(machine, last.map_or(Value::Null, |(_, value)| value))
    }),
    programs("path", 1, |machine, arguments, input, out| {
        paths::walk(machine, &arguments[0], &[], input, &mut |machine, path, _| {
            out(machine, Value::list(path.to_vec()))
        })
    }),
    programs("paths", 0, |machine, _, input, out| named(machine, input, None, out)),
    programs("paths", 1, |machine, arguments, input, out| named(machine, input, Some(&arguments[0]), out)),
    programs("leaf_paths", 0, |machine, _, input, out| {
        paths::below(machine, &[], input, &mut |machine, path, value| {
            let is_leaf = !path.is_empty() && !matches!(value, Value::List(_) | Value::Map(_));
            if is_leaf { out(machine, Value::list(path.to_vec())) } else { Ok(()) }
        })
    }),
    programs("del", 1, |machine, arguments, input, out| {
        let mut places = Vec::new();
        paths::walk(machine, &arguments[0], &[], input, &mut |_, path, _| {
            places.push(path.to_vec());
            Ok(())
        })?;
        let tree = paths::delete(machine, input, places)?;
        out(machine, tree)
    }),
    programs("with_entries", 1, |machine, arguments, input, out| {
        let mut mapped = Vec::new();
        for entry in list(&to_entries(input)?)? {
            mapped.extend(machine.all(&arguments[0], entry)?);
        }
        let map = from_entries(&mapped)?;
        out(machine, map)
    }),
    programs("walk", 1, |machine, arguments, input, out| {
        for value in walked(machine, &arguments[0], input)? {
            out(machine, value)?;
        }
        Ok(())
    }),
    programs("values", 0, |machine, _, input, out| kept(machine, input, !input.is_null(), out)),
    programs("nulls", 0, |machine, _, input, out| kept(machine, input, input.is_null(), out)),
    programs("booleans", 0, |machine, _, input, out| kept(machine, input, order::type_name(input) == "boolean", out)),
    programs("numbers", 0, |machine, _, input, out| kept(machine, input, order::type_name(input) == "number", out)),
    programs("strings", 0, |machine, _, input, out| kept(machine, input, order::type_name(input) == "string", out)),
    programs("arrays", 0, |machine, _, input, out| kept(machine, input, matches!(input, Value::List(_)), out)),
    programs("objects", 0, |machine, _, input, out| kept(machine, input, matches!(input, Value::Map(_)), out)),
    programs("iterables", 0, |machine, _, input, out| {
        kept(machine, input, matches!(input, Value::List(_) | Value::Map(_)), out)
    }),
    programs("scalars", 0, |machine, _, input, out| {
        kept(machine, input, !matches!(input, Value::List(_) | Value::Map(_)), out)
    }),
];

fn kept(machine: &mut Machine<'_>, input: &Value, is_kept: bool, out: &mut Out<'_>) -> Flow {
    if is_kept { out(machine, input.clone()) } else { Ok(()) }
}

fn map_values(machine: &mut Machine<'_>, arguments: &[Node], input: &Value, out: &mut Out<'_>) -> Flow {
    let mapped = match input {
        Value::List(values) => {
            let mut mapped = Vec::new();
            for value in values.iter() {
                mapped.extend(machine.first(&arguments[0], value)?);
            }
            Value::list(mapped)
        }
        Value::Map(map) => {
            let mut mapped = Map::new();
            for (name, value) in map.iter() {
                if let Some(value) = machine.first(&arguments[0], value)? {
                    mapped.insert(name.clone(), value);
                }
            }
            Value::map(mapped)
        }
        other => return fail(format!("cannot iterate over {}", order::described(other))),
    };
    out(machine, mapped)
}

/// The input, what `next` makes of it, what it makes of that, and so on while `condition` holds.
fn repeated(
    machine: &mut Machine<'_>,
    next: &Node,
    condition: Option<&Node>,
    input: &Value,
    out: &mut Out<'_>,
) -> Flow {
    let mut open = vec![input.clone()];
    while let Some(value) = open.pop() {
        machine.spend(1)?;
        out(machine, value.clone())?;
        for next in machine.all(next, &value)?.into_iter().rev() {
            let holds = match condition {
                Some(condition) => machine.first(condition, &next)?.is_some_and(|holds| is_true(&holds)),
                None => true,
            };
            if holds {
                open.push(next);
            }
        }
    }
    Ok(())
}

fn count_up(machine: &mut Machine<'_>, start: &Value, end: &Value, by: &Value, out: &mut Out<'_>) -> Flow {
    let end = numbers::argument(machine, end)?;
    let step = numbers::argument(machine, by)?;
    let mut value = start.clone();
    loop {
        let now = numbers::argument(machine, &value)?;
        let is_over = if step > 0.0 { now >= end } else { now <= end || step == 0.0 };
        if is_over {
            return Ok(());
        }
        machine.spend(1)?;
        out(machine, value.clone())?;
        value = arithmetic(machine, Operator::Add, &value, by)?;
    }
}

/// The first outputs of `node`.
fn limited(machine: &mut Machine<'_>, count: i64, node: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
    if count <= 0 {
        return Ok(());
    }
    let mut left = count;
    let mut behind = false;
    let flow = machine.run(node, input, &mut |machine, value| {
        left -= 1;
        behind = true;
        out(machine, value)?;
        behind = false;
        if left == 0 { Err(Box::new(Stop::Break(usize::MAX))) } else { Ok(()) }
    });
    match flow {
        Err(stop) if !behind && left == 0 && matches!(*stop, Stop::Break(usize::MAX)) => Ok(()),
        flow => flow,
    }
}

/// Whether the condition decides for one of the values: `any` stops at the first true, `all` at the first false.
fn quantified(machine: &mut Machine<'_>, values: &[Value], condition: &Node, decides: bool, out: &mut Out<'_>) -> Flow {
    for value in values {
        for holds in machine.all(condition, value)? {
            if is_true(&holds) == decides {
                return out(machine, Value::Bool(decides));
            }
        }
    }
    out(machine, Value::Bool(!decides))
}

/// The elements of a list with what `key` puts out for each, in the order of that.
fn keyed(machine: &mut Machine<'_>, key: &Node, input: &Value) -> Flow<Vec<(Value, Value)>> {
    let values = list(input)?;
    let mut keyed = Vec::with_capacity(values.len());
    for value in values {
        keyed.push((Value::list(machine.all(key, value)?), value.clone()));
    }
    let weight = keyed.iter().map(|(key, _)| key.weight()).fold(0, usize::saturating_add);
    machine.spend(keyed.len().saturating_mul(8).saturating_add(weight / 8))?;
    keyed.sort_by(|(left, _), (right, _)| compare(left, right));
    Ok(keyed)
}

fn groups(machine: &mut Machine<'_>, key: &Node, input: &Value) -> Flow<Vec<Vec<Value>>> {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, value) in keyed(machine, key, input)? {
        match groups.last_mut() {
            Some((known, group)) if compare(known, &key).is_eq() => group.push(value),
            _ => groups.push((key, vec![value])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// The paths of all values below the input, or of those for which `condition` holds.
fn named(machine: &mut Machine<'_>, input: &Value, condition: Option<&Node>, out: &mut Out<'_>) -> Flow {
    paths::below(machine, &[], input, &mut |machine, path, value| {
        let holds = match condition {
            Some(condition) => machine.first(condition, value)?.is_some_and(|holds| is_true(&holds)),
            None => true,
        };
        if holds && !path.is_empty() { out(machine, Value::list(path.to_vec())) } else { Ok(()) }
    })
}

/// The tree with what `node` makes of every value, from the leaves up.
fn walked(machine: &mut Machine<'_>, node: &Node, input: &Value) -> Flow<Vec<Value>> {
    machine.deeper(|machine| {
        let inner = match input {
            Value::List(values) => {
                let mut inner = Vec::new();
                for value in values.iter() {
                    inner.extend(walked(machine, node, value)?);
                }
                Value::list(inner)
            }
            Value::Map(map) => {
                let mut inner = Map::new();
                for (name, value) in map.iter() {
                    if let Some(value) = walked(machine, node, value)?.into_iter().next() {
                        inner.insert(name.clone(), value);
                    }
                }
                Value::map(inner)
            }
            other => other.clone(),
        };
        machine.all(node, &inner)
    })
}
