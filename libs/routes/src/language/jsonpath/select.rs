//! What a path selects from a JSON tree.

use crate::exchange::{Text, Value};

use super::filter::Filter;

/// A path, from the root or, in a filter, from the element that is asked about.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) is_relative: bool,
    pub(super) steps: Vec<Step>,
    /// What is done with the values at the end.
    pub(super) function: Option<Function>,
    /// The path as it is written.
    pub(super) text: Text,
}

#[derive(Debug)]
pub(super) enum Step {
    Names(Vec<Text>),
    Indexes(Vec<i64>),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        by: i64,
    },
    All,
    Filter(Filter),
    /// Everything below, and the value itself, to which the next step applies.
    Below,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Length,
    Min,
    Max,
    Sum,
    Average,
    Keys,
    First,
    Last,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    NotFound { message: String, is_leaf: bool },
    Stopped,
}

/// The tree that is asked, and how many steps are left.
pub(super) struct Search<'v> {
    pub(super) root: &'v Value,
    pub(super) steps_left: u64,
}

impl Search<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), Failure> {
        self.steps_left = self.steps_left.checked_sub(steps as u64).ok_or(Failure::Stopped)?;
        Ok(())
    }
}

impl Path {
    /// Whether it can name only one value.
    pub(super) fn is_definite(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Names(names) => names.len() == 1,
            Step::Indexes(indexes) => indexes.len() == 1,
            _ => false,
        })
    }

    pub(super) fn answer(&self, root: &Value, steps_max: u64) -> Result<Value, Failure> {
        let mut search = Search { root, steps_left: steps_max };
        self.value(root, &mut search)
    }

    /// The value that it names, or the list of those; `current` is where a relative path begins.
    pub(super) fn value<'v>(&self, current: &'v Value, search: &mut Search<'v>) -> Result<Value, Failure> {
        let start = if self.is_relative { current } else { search.root };
        if self.is_definite() {
            let found = self.one(start.plain(), search)?;
            return Ok(match self.function {
                Some(function) => function.apply(found, search)?,
                None => found.clone(),
            });
        }
        let found = self.many(start.plain(), search)?;
        match self.function {
            Some(function @ (Function::Length | Function::Keys)) => {
                let answers: Result<Vec<_>, _> = found.iter().map(|value| function.apply(value, search)).collect();
                let mut answers = answers?;
                Ok(if answers.len() == 1 { answers.remove(0) } else { Value::list(answers) })
            }
            Some(function) => function.apply(&Value::list(found.into_iter().cloned().collect()), search),
            None => Ok(Value::list(found.into_iter().cloned().collect())),
        }
    }

    fn one<'v>(&self, start: &'v Value, search: &mut Search<'v>) -> Result<&'v Value, Failure> {
        let mut value = start;
        for (index, step) in self.steps.iter().enumerate() {
            search.spend(1)?;
            let next = match step {
                Step::Names(names) => member(value, &names[0]),
                Step::Indexes(indexes) => element(value, indexes[0]),
                _ => None,
            };
            value = next.ok_or_else(|| Failure::NotFound {
                message: format!("no results for path {}", self.text),
                is_leaf: index + 1 == self.steps.len() && matches!((step, value), (Step::Names(_), Value::Map(_))),
            })?;
        }
        Ok(value)
    }

    fn many<'v>(&self, start: &'v Value, search: &mut Search<'v>) -> Result<Vec<&'v Value>, Failure> {
        let mut values = vec![start];
        let mut is_indefinite = false;
        for step in &self.steps {
            let mut next = Vec::new();
            for value in values {
                select(step, value, &mut next, search)?;
            }
            // a name that is missing before anything was searched for is a mistake in the path
            if next.is_empty() && !is_indefinite && matches!(step, Step::Names(names) if names.len() == 1) {
                return Err(Failure::NotFound {
                    message: format!("no results for path {}", self.text),
                    is_leaf: false,
                });
            }
            is_indefinite |= !matches!(step, Step::Names(names) if names.len() == 1)
                && !matches!(step, Step::Indexes(indexes) if indexes.len() == 1);
            values = next;
        }
        Ok(values)
    }
}

fn select<'v>(
    step: &Step,
    value: &'v Value,
    found: &mut Vec<&'v Value>,
    search: &mut Search<'v>,
) -> Result<(), Failure> {
    search.spend(1)?;
    match step {
        Step::Names(names) => found.extend(names.iter().filter_map(|name| member(value, name))),
        Step::Indexes(indexes) => found.extend(indexes.iter().filter_map(|index| element(value, *index))),
        Step::Slice { start, end, by } => {
            if let Value::List(values) = value {
                search.spend(values.len())?;
                slice(values, *start, *end, *by, found);
            }
        }
        Step::All => {
            let before = found.len();
            children(value, found);
            search.spend(found.len() - before)?;
        }
        Step::Filter(filter) => {
            let mut candidates = Vec::new();
            match value {
                Value::List(_) => children(value, &mut candidates),
                // Camel's library asks an object itself, RFC 9535 its members
                Value::Map(_) => candidates.push(value),
                _ => {}
            }
            for candidate in candidates {
                search.spend(1)?;
                if filter.holds(candidate, search)? {
                    found.push(candidate);
                }
            }
        }
        Step::Below => below(value, found, search)?,
    }
    Ok(())
}

/// The value and everything below it, from the top; the tree is no deeper than the reader of JSON allows.
fn below<'v>(value: &'v Value, found: &mut Vec<&'v Value>, search: &mut Search<'v>) -> Result<(), Failure> {
    search.spend(1)?;
    if matches!(value, Value::List(_) | Value::Map(_)) {
        found.push(value);
        let mut inner = Vec::new();
        children(value, &mut inner);
        for child in inner {
            below(child, found, search)?;
        }
    }
    Ok(())
}

fn children<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::List(values) => found.extend(values.iter()),
        Value::Map(map) => found.extend(map.iter().map(|(_, value)| value)),
        _ => {}
    }
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Map(map) => map.get(name),
        _ => None,
    }
}

/// The element at an index; a negative one counts from the end.
fn element(value: &Value, index: i64) -> Option<&Value> {
    let Value::List(values) = value else { return None };
    let index = if index < 0 { index + i64::try_from(values.len()).ok()? } else { index };
    usize::try_from(index).ok().and_then(|index| values.get(index))
}

fn slice<'v>(values: &'v [Value], start: Option<i64>, end: Option<i64>, by: i64, found: &mut Vec<&'v Value>) {
    let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
    let place = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
    let (low, high) = if by > 0 {
        (place(start.unwrap_or(0)).clamp(0, length), place(end.unwrap_or(length)).clamp(0, length))
    } else {
        (
            place(end.unwrap_or(-length - 1)).clamp(-1, length - 1),
            place(start.unwrap_or(length - 1)).clamp(-1, length - 1),
        )
    };
    let at = |index: i64| usize::try_from(index).ok().and_then(|index| values.get(index));
    let step = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).max(1);
    if by > 0 {
        found.extend((low..high).step_by(step).filter_map(at));
    } else {
        found.extend((low + 1..=high).rev().step_by(step).filter_map(at));
    }
}

impl Function {
    fn apply(self, value: &Value, search: &mut Search<'_>) -> Result<Value, Failure> {
        let elements: &[Value] = match value {
            Value::List(values) => values,
            _ => &[],
        };
        search.spend(elements.len())?;
        let numbers = || {
            elements
                .iter()
                .filter(|element| matches!(element, Value::Integer(_) | Value::Decimal(_)))
                .filter_map(Value::to_decimal)
        };
        let count = |count: usize| Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        Ok(match self {
            Function::Length => match value {
                Value::List(values) => count(values.len()),
                Value::Map(map) => count(map.len()),
                Value::Text(text) => count(text.chars().count()),
                _ => Value::Null,
            },
            Function::Min => numbers().reduce(f64::min).map_or(Value::Null, Value::Decimal),
            Function::Max => numbers().reduce(f64::max).map_or(Value::Null, Value::Decimal),
            Function::Sum => Value::Decimal(numbers().sum()),
            #[expect(clippy::cast_precision_loss, reason = "there are no 2^53 elements")]
            Function::Average => {
                let all: Vec<_> = numbers().collect();
                if all.is_empty() { Value::Null } else { Value::Decimal(all.iter().sum::<f64>() / all.len() as f64) }
            }
            Function::Keys => match value {
                Value::Map(map) => Value::list(map.iter().map(|(name, _)| Value::Text(name.clone())).collect()),
                _ => Value::Null,
            },
            Function::First => elements.first().cloned().unwrap_or_default(),
            Function::Last => elements.last().cloned().unwrap_or_default(),
        })
    }
}
