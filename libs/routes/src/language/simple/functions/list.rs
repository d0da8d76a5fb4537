//! Functions that make lists and maps and work on them. None changes a value in place: the answer is a
//! new list or map.

use rand::seq::SliceRandom as _;

use crate::exchange::{Exception, Map, Result, Text, Value, class};

use super::super::evaluate::Run;
use super::super::operators;
use super::super::syntax::{Argument, Call};
use super::{Function, Syntax};

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "collate", since: "4.17", syntax: Syntax::Arguments(&["number"]), evaluate: collate },
    Function {
        name: "createEmpty",
        since: "4.23",
        syntax: Syntax::Arguments(&["kind{list|map|set|string}"]),
        evaluate: create_empty,
    },
    Function {
        name: "distinct",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| on_elements(call, run, distinct),
    },
    Function {
        name: "empty",
        since: "4.17",
        syntax: Syntax::Arguments(&["kind{list|map|set|string}"]),
        evaluate: create_empty,
    },
    Function { name: "filter", since: "4.18", syntax: Syntax::Arguments(&["exp,predicate"]), evaluate: filter },
    Function { name: "forEach", since: "4.18", syntax: Syntax::Arguments(&["exp,fun"]), evaluate: for_each },
    Function { name: "list", since: "4.17", syntax: Syntax::Arguments(&["values..."]), evaluate: list },
    Function { name: "listAdd", since: "4.18", syntax: Syntax::Arguments(&["source,fun", "fun"]), evaluate: list_add },
    Function {
        name: "listRemove",
        since: "4.18",
        syntax: Syntax::Arguments(&["source,fun", "fun"]),
        evaluate: list_remove,
    },
    Function { name: "map", since: "4.17", syntax: Syntax::Arguments(&["pairs..."]), evaluate: map },
    Function {
        name: "mapAdd",
        since: "4.18",
        syntax: Syntax::Arguments(&["source,key,fun", "key,fun"]),
        evaluate: map_add,
    },
    Function {
        name: "mapRemove",
        since: "4.18",
        syntax: Syntax::Arguments(&["source,key", "key"]),
        evaluate: map_remove,
    },
    Function {
        name: "reverse",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| on_elements(call, run, |elements| elements.into_iter().rev().collect()),
    },
    Function {
        name: "shuffle",
        since: "4.18",
        syntax: Syntax::Arguments(&["values..."]),
        evaluate: |call, run| {
            on_elements(call, run, |mut elements| {
                elements.shuffle(&mut rand::rng());
                elements
            })
        },
    },
    Function { name: "size", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: size },
    Function { name: "skip", since: "4.17", syntax: Syntax::Arguments(&["number"]), evaluate: skip },
    Function { name: "sort", since: "4.18", syntax: Syntax::Arguments(&["exp,reverse", "exp", ""]), evaluate: sort },
    Function {
        name: "split",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp,separator", "separator", ""]),
        evaluate: split,
    },
];

/// The elements of a value, each of which counts as a step.
fn elements(value: &Value, run: &mut Run<'_>) -> Result<Vec<Value>> {
    let elements = operators::elements(value);
    run.spend(elements.len() as u64)?;
    Ok(elements)
}

/// The elements of all arguments, or of the body where there is none.
pub(super) fn all_elements(call: &Call, run: &mut Run<'_>) -> Result<Vec<Value>> {
    if call.arguments.is_empty() {
        let body = run.body();
        return elements(&body, run);
    }
    let mut found = Vec::new();
    for index in 0..call.arguments.len() {
        let value = run.value(call, index)?;
        found.extend(elements(&value, run)?);
    }
    Ok(found)
}

fn on_elements(call: &Call, run: &mut Run<'_>, change: impl Fn(Vec<Value>) -> Vec<Value>) -> Result<Value> {
    Ok(Value::list(change(all_elements(call, run)?)))
}

fn distinct(elements: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    elements.into_iter().filter(|element| seen.insert((element.type_name(), element.to_text()))).collect()
}

fn list(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let values: Result<Vec<_>> = (0..call.arguments.len()).map(|index| run.value(call, index)).collect();
    Ok(Value::list(values?))
}

fn map(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let mut map = Map::new();
    for index in (1..call.arguments.len()).step_by(2) {
        let key = run.text(call, index - 1)?.unwrap_or_default();
        map.insert(key, run.value(call, index)?);
    }
    Ok(Value::map(map))
}

fn create_empty(call: &Call, _: &mut Run<'_>) -> Result<Value> {
    let Some(Argument::Raw(kind)) = &call.arguments[0] else { return Ok(Value::Null) };
    Ok(match kind.as_str() {
        "map" => Value::map(Map::new()),
        "string" => Value::Text(Text::EMPTY),
        _ => Value::list(Vec::new()),
    })
}

fn size(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    Ok(Value::Integer(size_of(&run.source(call, 0)?)))
}

/// How many elements a value has; what has none counts as one.
pub(in crate::language::simple) fn size_of(value: &Value) -> i64 {
    let size = match value.plain() {
        Value::Null => 0,
        Value::List(values) => values.len(),
        Value::Map(map) => map.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 1,
    };
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn collate(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let size = usize::try_from(run.integer(call, 0)?).ok().filter(|size| *size > 0);
    let size = size.ok_or_else(|| Exception::new(&class::ILLEGAL_ARGUMENT, "collate needs a size above 0"))?;
    let body = run.body();
    let elements = elements(&body, run)?;
    Ok(Value::list(elements.chunks(size).map(|chunk| Value::list(chunk.to_vec())).collect()))
}

fn skip(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let count = usize::try_from(run.integer(call, 0)?).unwrap_or(0);
    let body = run.body();
    let elements = elements(&body, run)?;
    Ok(Value::list(elements.into_iter().skip(count).collect()))
}

fn split(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.source(call, 0)?.to_text() else { return Ok(Value::Null) };
    let separator = run.text(call, 1)?.unwrap_or(Text::fixed(","));
    let mut parts: Vec<_> = match separator.as_str() {
        "" => text.chars().map(|char| Value::from(char.to_string())).collect(),
        separator => text.split(separator).map(|part| Value::Text(text.part(part))).collect(),
    };
    run.spend(parts.len() as u64)?;
    // as in Java, empty parts at the end are no parts
    while parts.len() > 1 && parts.last().is_some_and(|last| matches!(last, Value::Text(text) if text.is_empty())) {
        parts.pop();
    }
    Ok(Value::list(parts))
}

/// `sort()`, `sort(true)`, `sort(exp)`, `sort(exp,true)`.
fn sort(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let first = run.source(call, 0)?;
    let is_order = matches!(&first, Value::Text(word) if word == "true" || word == "false");
    let (source, reverse) = match &call.arguments {
        arguments if is_order && arguments[0].is_some() && arguments[1].is_none() => (run.body(), first.is_true()),
        _ => (first, run.value(call, 1)?.to_bool().unwrap_or(false)),
    };
    let mut elements = elements(&source, run)?;
    elements.sort_by(|left, right| operators::compare(left, right).unwrap_or(std::cmp::Ordering::Equal));
    if reverse {
        elements.reverse();
    }
    Ok(Value::list(elements))
}

fn for_each(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let source = run.value(call, 0)?;
    let mut answers = Vec::new();
    for element in elements(&source, run)? {
        let answer = run.with_body(element, |run| run.value(call, 1))?;
        if !answer.is_null() {
            answers.push(answer);
        }
    }
    Ok(Value::list(answers))
}

fn filter(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let source = run.value(call, 0)?;
    let mut kept = Vec::new();
    for element in elements(&source, run)? {
        if run.with_body(element.clone(), |run| run.holds(call, 1))? {
            kept.push(element);
        }
    }
    Ok(Value::list(kept))
}

fn list_add(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let source = run.source(call, 0)?;
    let mut elements = elements(&source.to_list(), run)?;
    let added = run.value(call, 1)?;
    if !added.is_null() {
        elements.push(added);
    }
    Ok(Value::list(elements))
}

/// A whole number names a place, `last` the last one, everything else the element itself.
fn list_remove(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let source = run.source(call, 0)?;
    let mut elements = elements(&source.to_list(), run)?;
    let removed = run.value(call, 1)?;
    let place = match removed.plain() {
        Value::Integer(place) => usize::try_from(*place).ok().filter(|place| *place < elements.len()),
        Value::Text(word) if word == "last" => elements.len().checked_sub(1),
        Value::Text(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|place| *place < elements.len())
        }
        removed => elements.iter().position(|element| operators::equal(element, removed, false)),
    };
    if let Some(place) = place {
        elements.remove(place);
    }
    Ok(Value::list(elements))
}

fn map_of(call: &Call, run: &mut Run<'_>) -> Result<Map> {
    match run.source(call, 0)?.plain() {
        Value::Map(map) => {
            run.spend(map.len() as u64)?;
            Ok(Map::clone(map))
        }
        other => Err(Exception::new(
            &class::TYPE_CONVERSION,
            format!("{} needs a map, not a value of type {}", call.function.name, other.type_name()),
        )),
    }
}

fn map_add(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let mut map = map_of(call, run)?;
    let (key, value) = (run.text(call, 1)?.unwrap_or_default(), run.value(call, 2)?);
    map.insert(key, value);
    Ok(Value::map(map))
}

fn map_remove(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let mut map = map_of(call, run)?;
    map.remove(&run.text(call, 1)?.unwrap_or_default());
    Ok(Value::map(map))
}
