//! Runs a jq program: each part hands its outputs on, one after the other. Steps, bytes and depth are
//! counted, so that no program and no document can run away with the engine.

use regex::Regex;

use crate::exchange::{Exchange, Map, Text, Value, write_json};

use super::arithmetic::arithmetic;
use super::builtins::Body;
use super::order;
use super::paths;
use super::syntax::{Assign, Fold, Node, Operator, Part, Pattern};

/// How deep an evaluation may nest: a few frames of the stack each.
const DEPTH_MAX: usize = 256;

/// How many bytes of a value are walked through in about the time of a step.
const BYTES_A_STEP: usize = 64;

/// Why an evaluation ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// What `error` and wrong types raise, and `try` catches.
    Error(Value),
    /// `break`, up to the label in this slot.
    Break(usize),
    /// A limit; nothing catches it.
    Limit(String),
}

pub(super) type Flow<T = ()> = Result<T, Box<Stop>>;
/// What takes the outputs.
pub(super) type Out<'o> = dyn FnMut(&mut Machine<'_>, Value) -> Flow + 'o;

/// One evaluation.
pub(super) struct Machine<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) now_ms: i64,
    pub(super) patterns: &'a dyn Fn(&str) -> Result<Regex, String>,
    slots: Vec<Value>,
    steps_left: u64,
    bytes_left: usize,
    depth: usize,
}

pub(super) fn fail<T>(message: impl Into<Text>) -> Flow<T> {
    Err(Box::new(Stop::Error(Value::Text(message.into()))))
}

impl<'a> Machine<'a> {
    pub(super) fn new(
        exchange: &'a Exchange,
        now_ms: i64,
        patterns: &'a dyn Fn(&str) -> Result<Regex, String>,
        slots: usize,
        steps_max: u64,
        bytes_max: usize,
    ) -> Self {
        Self {
            exchange,
            now_ms,
            patterns,
            slots: vec![Value::Null; slots],
            steps_left: steps_max,
            bytes_left: bytes_max,
            depth: 0,
        }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Flow {
        match self.steps_left.checked_sub(steps as u64) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => Err(Box::new(Stop::Limit("a program that takes too many steps was stopped".to_owned()))),
        }
    }

    /// Pays for work that takes the longer the more a value holds.
    pub(super) fn spend_on(&mut self, value: &Value) -> Flow {
        self.spend(value.weight() / BYTES_A_STEP)
    }

    pub(super) fn grow(&mut self, bytes: usize) -> Flow {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(Box::new(Stop::Limit("a program that builds too much was stopped".to_owned()))),
        }
    }

    /// The value, if it is not nested too deeply to be walked through.
    fn bounded(value: Value) -> Flow<Value> {
        value
            .bounded()
            .map_err(|exception| Box::new(Stop::Limit(exception.message().map(Text::to_string).unwrap_or_default())))
    }

    /// Goes one level deeper for as long as `work` takes.
    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Flow<T>) -> Flow<T> {
        self.spend(1)?;
        if self.depth == DEPTH_MAX {
            return Err(Box::new(Stop::Limit(format!("a program that nests more than {DEPTH_MAX} deep was stopped"))));
        }
        self.depth += 1;
        let answer = work(self);
        self.depth -= 1;
        answer
    }

    /// Hands every output of `node` for `input` to `out`.
    pub(super) fn run(&mut self, node: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        self.deeper(|machine| machine.node(node, input, out))
    }

    fn node(&mut self, node: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        match node {
            Node::Identity => out(self, input.clone()),
            Node::Literal(value) => out(self, value.clone()),
            Node::Variable(slot) => {
                let value = self.slots[*slot].clone();
                out(self, value)
            }
            Node::Pipe(left, right) => self.run(left, input, &mut |machine, value| machine.run(right, &value, out)),
            Node::Comma(left, right) => {
                self.run(left, input, out)?;
                self.run(right, input, out)
            }
            Node::Member { of, key } => self.member(of, key, input, out),
            Node::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref(), input, out),
            Node::Each(of) => self.run(of, input, &mut |machine, value| machine.each(&value, out)),
            Node::Below => self.below(input, out),
            Node::Array(inner) => self.array(inner.as_deref(), input, out),
            Node::Object(entries) => self.object(entries, input, Map::new(), out),
            Node::Text { format, parts } => self.text(*format, parts, input, String::new(), out),
            Node::Format(format) => {
                let text = format.write(input).map_or_else(fail, Ok)?;
                self.grow(text.len())?;
                out(self, Value::from(text))
            }
            Node::Negate(inner) => self.run(inner, input, &mut |machine, value| {
                let negated = arithmetic(machine, Operator::Subtract, &Value::Integer(0), &value)?;
                out(machine, negated)
            }),
            Node::Binary(operator, left, right) => self.binary(*operator, left, right, input, out),
            Node::And(..) | Node::Or(..) => self.logical(node, input, out),
            Node::Alternative(left, right) => self.alternative(left, right, input, out),
            Node::If { condition, yes, no } => {
                self.run(condition, input, &mut |machine, value| match (is_true(&value), no) {
                    (true, _) => machine.run(yes, input, out),
                    (false, Some(no)) => machine.run(no, input, out),
                    (false, None) => out(machine, input.clone()),
                })
            }
            Node::Try { body, catch } => self.attempt(body, catch.as_deref(), input, out),
            Node::Reduce(fold) => self.reduce(fold, input, out),
            Node::Foreach(fold) => self.foreach(fold, input, out),
            Node::Bind { source, pattern, body } => self.run(source, input, &mut |machine, value| {
                machine.bind(pattern, &value, &mut |machine| machine.run(body, input, out))
            }),
            Node::Label(slot, body) => match self.run(body, input, out) {
                Err(stop) if matches!(*stop, Stop::Break(broken) if broken == *slot) => Ok(()),
                flow => flow,
            },
            Node::Break(slot) => Err(Box::new(Stop::Break(*slot))),
            Node::Assign { by, left, right } => self.assign(*by, left, right, input, out),
            Node::Call(builtin, arguments) => match builtin.body {
                Body::Values(answer) => self.call(answer, arguments, input, &[], out),
                Body::Programs(run) => {
                    run(self, arguments, input, &mut |machine, value| out(machine, Self::bounded(value)?))
                }
            },
        }
    }

    /// Every output of `node`, collected.
    pub(super) fn all(&mut self, node: &Node, input: &Value) -> Flow<Vec<Value>> {
        let mut found = Vec::new();
        self.run(node, input, &mut |machine, value| {
            machine.grow(std::mem::size_of::<Value>())?;
            found.push(value);
            Ok(())
        })?;
        Ok(found)
    }

    /// The last output of `node`; nothing where there is none.
    pub(super) fn last(&mut self, node: &Node, input: &Value) -> Flow<Option<Value>> {
        let mut last = None;
        self.run(node, input, &mut |_, value| {
            last = Some(value);
            Ok(())
        })?;
        Ok(last)
    }

    fn member(&mut self, of: &Node, key: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        if let Node::Literal(key) = key {
            return match of {
                Node::Identity => {
                    let found = paths::get(input, key)?;
                    out(self, found)
                }
                of => self.run(of, input, &mut |machine, value| {
                    let found = paths::get(&value, key)?;
                    out(machine, found)
                }),
            };
        }
        self.run(of, input, &mut |machine, value| {
            machine.run(key, input, &mut |machine, key| {
                let found = paths::get(&value, &key)?;
                out(machine, found)
            })
        })
    }

    fn slice(&mut self, of: &Node, from: Option<&Node>, to: Option<&Node>, input: &Value, out: &mut Out<'_>) -> Flow {
        let nothing = Node::Literal(Value::Null);
        self.run(of, input, &mut |machine, value| {
            machine.run(to.unwrap_or(&nothing), input, &mut |machine, to| {
                machine.run(from.unwrap_or(&nothing), input, &mut |machine, from| {
                    let found = paths::slice(&value, &from, &to)?;
                    out(machine, found)
                })
            })
        })
    }

    /// Each element of a list, or each value of an object.
    fn each(&mut self, value: &Value, out: &mut Out<'_>) -> Flow {
        match value {
            Value::List(values) => {
                for value in values.iter() {
                    self.spend(1)?;
                    out(self, value.clone())?;
                }
                Ok(())
            }
            Value::Map(map) => {
                for (_, value) in map.iter() {
                    self.spend(1)?;
                    out(self, value.clone())?;
                }
                Ok(())
            }
            other => fail(format!("cannot iterate over {}", order::described(other))),
        }
    }

    /// The value and everything below it.
    pub(super) fn below(&mut self, value: &Value, out: &mut Out<'_>) -> Flow {
        self.deeper(|machine| {
            out(machine, value.clone())?;
            match value {
                Value::List(values) => values.iter().try_for_each(|value| machine.below(value, out)),
                Value::Map(map) => map.iter().try_for_each(|(_, value)| machine.below(value, out)),
                _ => Ok(()),
            }
        })
    }

    fn array(&mut self, inner: Option<&Node>, input: &Value, out: &mut Out<'_>) -> Flow {
        let values = match inner {
            Some(inner) => self.all(inner, input)?,
            None => Vec::new(),
        };
        let list = Self::bounded(Value::list(values))?;
        out(self, list)
    }

    /// An object: every combination of what keys and values put out.
    fn object(&mut self, entries: &[(Node, Node)], input: &Value, built: Map, out: &mut Out<'_>) -> Flow {
        let Some(((key, value), rest)) = entries.split_first() else {
            let object = Self::bounded(Value::map(built))?;
            return out(self, object);
        };
        let mut values = self.all(value, input)?;
        if let (Node::Literal(Value::Text(key)), 1) = (key, values.len()) {
            let mut built = built;
            built.insert(key.clone(), values.remove(0));
            return self.deeper(|machine| machine.object(rest, input, built, out));
        }
        let keys = self.all(key, input)?;
        for key in &keys {
            let Value::Text(key) = key else {
                return fail(format!("object keys must be strings, and not {}", order::described(key)));
            };
            for value in &values {
                self.spend(built.len() + 1)?;
                let mut more = built.clone();
                more.insert(key.clone(), value.clone());
                self.deeper(|machine| machine.object(rest, input, more, out))?;
            }
        }
        Ok(())
    }

    /// A text with programs in it: every combination of their outputs.
    fn text(
        &mut self,
        format: super::format::Format,
        parts: &[Part],
        input: &Value,
        built: String,
        out: &mut Out<'_>,
    ) -> Flow {
        let Some((part, rest)) = parts.split_first() else {
            self.grow(built.len())?;
            return out(self, Value::from(built));
        };
        match part {
            Part::Text(plain) => self.text(format, rest, input, built + plain, out),
            Part::Node(node) => self.run(node, input, &mut |machine, value| {
                let written = format.write(&value).map_or_else(fail, Ok)?;
                machine.grow(built.len() + written.len())?;
                machine.text(format, rest, input, format!("{built}{written}"), out)
            }),
        }
    }

    fn binary(&mut self, operator: Operator, left: &Node, right: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        self.run(right, input, &mut |machine, right| {
            machine.run(left, input, &mut |machine, left| {
                let answer = arithmetic(machine, operator, &left, &right)?;
                out(machine, Self::bounded(answer)?)
            })
        })
    }

    fn logical(&mut self, node: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        let (left, right, decides) = match node {
            Node::And(left, right) => (left, right, false),
            Node::Or(left, right) => (left, right, true),
            _ => return Ok(()),
        };
        self.run(left, input, &mut |machine, value| {
            if is_true(&value) == decides {
                return out(machine, Value::Bool(decides));
            }
            machine.run(right, input, &mut |machine, value| out(machine, Value::Bool(is_true(&value))))
        })
    }

    /// What is neither false nor null at the left, or everything at the right.
    fn alternative(&mut self, left: &Node, right: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        let mut is_found = false;
        let mut failure = None;
        let flow = self.run(left, input, &mut |machine, value| {
            if is_true(&value) {
                is_found = true;
                return out(machine, value).map_err(|stop| {
                    failure = Some(stop);
                    Box::new(Stop::Break(usize::MAX))
                });
            }
            Ok(())
        });
        match (flow, failure) {
            // what failed behind is no failure of the left side
            (_, Some(stop)) => Err(stop),
            (Err(stop), None) if !matches!(*stop, Stop::Error(_)) => Err(stop),
            _ if is_found => Ok(()),
            _ => self.run(right, input, out),
        }
    }

    fn attempt(&mut self, body: &Node, catch: Option<&Node>, input: &Value, out: &mut Out<'_>) -> Flow {
        let mut behind = None;
        let flow = self.run(body, input, &mut |machine, value| {
            out(machine, value).map_err(|stop| {
                behind = Some(stop);
                Box::new(Stop::Break(usize::MAX))
            })
        });
        if let Some(stop) = behind {
            return Err(stop);
        }
        match flow {
            Err(stop) => match (*stop, catch) {
                (Stop::Error(message), Some(catch)) => self.run(catch, &message, out),
                (Stop::Error(_), None) => Ok(()),
                (stop, _) => Err(Box::new(stop)),
            },
            Ok(()) => Ok(()),
        }
    }

    fn reduce(&mut self, fold: &Fold, input: &Value, out: &mut Out<'_>) -> Flow {
        self.run(&fold.start, input, &mut |machine, start| {
            let mut state = start;
            machine.run(&fold.source, input, &mut |machine, value| {
                machine.bind(&fold.pattern, &value, &mut |machine| {
                    let before = std::mem::take(&mut state);
                    state = machine.last(&fold.update, &before)?.unwrap_or_default();
                    Ok(())
                })
            })?;
            out(machine, std::mem::take(&mut state))
        })
    }

    fn foreach(&mut self, fold: &Fold, input: &Value, out: &mut Out<'_>) -> Flow {
        self.run(&fold.start, input, &mut |machine, start| {
            let mut state = start;
            machine.run(&fold.source, input, &mut |machine, value| {
                machine.bind(&fold.pattern, &value, &mut |machine| {
                    let before = std::mem::take(&mut state);
                    machine.run(&fold.update, &before, &mut |machine, value| {
                        state = value.clone();
                        match &fold.extract {
                            Some(extract) => machine.run(extract, &value, out),
                            None => out(machine, value),
                        }
                    })
                })
            })
        })
    }

    /// Binds a pattern, and works with that; keys of the pattern may have several outputs.
    fn bind(&mut self, pattern: &Pattern, value: &Value, work: &mut dyn FnMut(&mut Machine<'_>) -> Flow) -> Flow {
        match pattern {
            Pattern::Slot(slot) => {
                self.slots[*slot] = value.clone();
                work(self)
            }
            Pattern::Array(patterns) => self.bind_elements(patterns, 0, value, work),
            Pattern::Object(entries) => self.bind_entries(entries, value, work),
        }
    }

    fn bind_elements(
        &mut self,
        patterns: &[Pattern],
        index: i64,
        value: &Value,
        work: &mut dyn FnMut(&mut Machine<'_>) -> Flow,
    ) -> Flow {
        let Some((first, rest)) = patterns.split_first() else { return work(self) };
        let element = paths::get(value, &Value::Integer(index))?;
        self.bind(first, &element, &mut |machine| {
            machine.deeper(|machine| machine.bind_elements(rest, index + 1, value, work))
        })
    }

    fn bind_entries(
        &mut self,
        entries: &[(Node, Option<usize>, Option<Pattern>)],
        value: &Value,
        work: &mut dyn FnMut(&mut Machine<'_>) -> Flow,
    ) -> Flow {
        let Some(((key, slot, inner), rest)) = entries.split_first() else { return work(self) };
        for key in self.all(key, value)? {
            let found = paths::get(value, &key)?;
            if let Some(slot) = slot {
                self.slots[*slot] = found.clone();
            }
            match inner {
                Some(inner) => self.bind(inner, &found, &mut |machine| {
                    machine.deeper(|machine| machine.bind_entries(rest, value, work))
                })?,
                None => self.deeper(|machine| machine.bind_entries(rest, value, work))?,
            }
        }
        Ok(())
    }

    fn assign(&mut self, by: Assign, left: &Node, right: &Node, input: &Value, out: &mut Out<'_>) -> Flow {
        if by == Assign::Update {
            let updated = paths::update(self, left, input, &mut |machine, value| machine.first(right, value))?;
            return out(self, Self::bounded(updated)?);
        }
        self.run(right, input, &mut |machine, value| {
            let updated = paths::update(machine, left, input, &mut |machine, old| {
                Ok(Some(match by {
                    Assign::By(operator) => arithmetic(machine, operator, old, &value)?,
                    Assign::Alternative if is_true(old) => old.clone(),
                    _ => value.clone(),
                }))
            })?;
            out(machine, Self::bounded(updated)?)
        })
    }

    /// The first output of `node`.
    pub(super) fn first(&mut self, node: &Node, input: &Value) -> Flow<Option<Value>> {
        let mut first = None;
        let flow = self.run(node, input, &mut |_, value| {
            first = Some(value);
            Err(Box::new(Stop::Break(usize::MAX)))
        });
        match flow {
            Err(stop) if !(matches!(*stop, Stop::Break(usize::MAX)) && first.is_some()) => Err(stop),
            _ => Ok(first),
        }
    }

    /// A function of values: every combination of what its arguments put out.
    fn call(
        &mut self,
        answer: fn(&mut Machine<'_>, &Value, &[Value]) -> Flow<Value>,
        arguments: &[Node],
        input: &Value,
        values: &[Value],
        out: &mut Out<'_>,
    ) -> Flow {
        let Some((first, rest)) = arguments.split_first() else {
            let value = Self::bounded(answer(self, input, values)?)?;
            return out(self, value);
        };
        self.run(first, input, &mut |machine, value| {
            let mut longer = values.to_vec();
            longer.push(value);
            machine.call(answer, rest, input, &longer, out)
        })
    }
}

/// What counts as true in jq: everything but false and null.
pub(super) fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// The message of an error that nothing caught.
pub(super) fn uncaught(message: &Value) -> String {
    match message {
        Value::Text(text) => text.to_string(),
        other => format!("{} (not a string)", write_json(other)),
    }
}
