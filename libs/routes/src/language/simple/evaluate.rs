//! Walks the tree of an expression for one exchange, with a limit on steps and on what is built.

use std::fmt::Write as _;

use crate::exchange::{Exception, Exchange, Kind, Result, Text, Value, class};
use crate::language::Surroundings;

use super::methods;
use super::syntax::{Access, AccessKind, Argument, Call, Node};

/// One evaluation.
pub(super) struct Run<'a> {
    exchange: &'a Exchange,
    surroundings: &'a Surroundings,
    /// The body that a chain or a loop hands on, instead of the exchange's.
    body: Option<Value>,
    steps_left: u64,
    bytes_left: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(exchange: &'a Exchange, surroundings: &'a Surroundings) -> Self {
        Self {
            exchange,
            surroundings,
            body: None,
            steps_left: surroundings.steps_max,
            bytes_left: surroundings.bytes_max,
        }
    }

    pub(super) fn exchange(&self) -> &'a Exchange {
        self.exchange
    }

    pub(super) fn surroundings(&self) -> &'a Surroundings {
        self.surroundings
    }

    /// The body that functions see.
    pub(super) fn body(&self) -> Value {
        self.body.clone().unwrap_or_else(|| self.exchange.message.body.value().clone())
    }

    /// The body that a chain or a loop handed on.
    pub(super) fn own_body(&self) -> Option<Value> {
        self.body.clone()
    }

    /// Takes steps off what is left.
    pub(super) fn spend(&mut self, steps: u64) -> Result<()> {
        match self.steps_left.checked_sub(steps) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => {
                Err(stopped(format!("an expression of more than {} steps was stopped", self.surroundings.steps_max)))
            }
        }
    }

    /// Takes bytes off what may be built.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<()> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => Err(stopped(format!(
                "an expression that builds more than {} bytes was stopped",
                self.surroundings.bytes_max
            ))),
        }
    }

    /// Works with another body.
    pub(super) fn with_body<T>(&mut self, body: Value, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.body.replace(body);
        let answer = work(self);
        self.body = before;
        answer
    }

    /// The value of a node.
    pub(super) fn node(&mut self, node: &Node) -> Result<Value> {
        self.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Template(parts) => {
                let mut out = String::new();
                for part in parts {
                    self.append(part, &mut out)?;
                }
                self.grow(out.len())?;
                Ok(Value::from(out))
            }
            Node::Call(call) => self.call(call),
            Node::Step { node, by } => {
                let value = self.node(node)?;
                let number = value.to_integer().ok_or_else(|| self.no_number(&value))?;
                let number = Value::Integer(number.wrapping_add(*by));
                if matches!(value, Value::Text(_)) { number.convert(Kind::Text) } else { Ok(number) }
            }
            Node::Compare(_) | Node::Logical { .. } | Node::Not(_) => self.condition(node).map(Value::Bool),
            Node::Ternary { condition, yes, no } => {
                let chosen = if self.condition(condition)? { yes } else { no };
                self.node(chosen)
            }
            Node::Elvis { left, right } => {
                let value = self.node(left)?;
                let is_nothing = !value.is_true() || matches!(value.plain(), Value::Integer(0));
                if is_nothing { self.node(right) } else { Ok(value) }
            }
            Node::Chain { left, right, null_safe } => {
                let value = self.node(left)?;
                if value.is_null() && *null_safe {
                    return Ok(Value::Null);
                }
                self.with_body(value, |run| run.node(right))
            }
            Node::Parameter => Ok(self.body()),
        }
    }

    /// The value of a node where text is wanted.
    pub(super) fn text_of(&mut self, node: &Node) -> Result<Option<Text>> {
        match dated(node) {
            Some(date) => Ok(date.text(self)?.map(Text::from)),
            None => Ok(self.node(node)?.to_text()),
        }
    }

    /// Writes the value of a node behind `out`; nothing is written for nothing.
    fn append(&mut self, node: &Node, out: &mut String) -> Result<()> {
        if let Some(date) = dated(node) {
            out.push_str(&date.text(self)?.unwrap_or_default());
            return Ok(());
        }
        match self.node(node)? {
            Value::Text(text) => out.push_str(&text),
            // writing to a string cannot fail
            Value::Integer(number) => drop(write!(out, "{number}")),
            value => out.push_str(&value.to_text().unwrap_or_default()),
        }
        Ok(())
    }

    /// Whether a node holds as a condition.
    pub(super) fn condition(&mut self, node: &Node) -> Result<bool> {
        match node {
            Node::Compare(comparison) => {
                self.spend(1)?;
                let left = self.node(&comparison.left)?;
                let right = self.node(&comparison.right)?;
                comparison.operator.holds(&left, &right, comparison.pattern.as_ref())
            }
            Node::Logical { all, left, right } => {
                let holds = self.condition(left)?;
                if holds == *all { self.condition(right) } else { Ok(holds) }
            }
            Node::Not(node) => Ok(!self.condition(node)?),
            _ => Ok(self.node(node)?.is_true()),
        }
    }

    fn call(&mut self, call: &Call) -> Result<Value> {
        let mut value = match &call.full {
            Some(full) => match self.named(call, full)? {
                Some(found) => return self.converted(call, found),
                None => (call.function.evaluate)(call, self)?,
            },
            None => (call.function.evaluate)(call, self)?,
        };
        // what is not there has no path either
        let is_absent = value.is_null();
        if !is_absent {
            for access in &call.path {
                if value.is_null() && access.null_safe {
                    break;
                }
                value = self.access(&value, access)?;
            }
        }
        self.converted(call, value)
    }

    fn converted(&self, call: &Call, value: Value) -> Result<Value> {
        match call.result {
            Some(kind) => value.convert(kind),
            None => Ok(value),
        }
    }

    /// The value whose whole name, dots and all, is `full`.
    fn named(&self, call: &Call, full: &Text) -> Result<Option<Value>> {
        let found = match call.function.name {
            "header" | "headers" => self.exchange.message.header(full).cloned(),
            "exchangeProperty" => self.exchange.properties.get(full).cloned(),
            _ => self.exchange.variables.get(full),
        };
        Ok(found.filter(|value| !value.is_null()))
    }

    fn access(&mut self, value: &Value, access: &Access) -> Result<Value> {
        self.spend(1)?;
        if value.is_null() {
            return Err(Exception::new(
                &class::NULL_POINTER,
                "a step into a value that is null; write ?. where it may be",
            ));
        }
        match &access.kind {
            AccessKind::Name(name) => methods::get(value, name, access.null_safe),
            AccessKind::Key(key) => {
                let key = self.node(key)?;
                match (methods::at(value, &key), value.plain()) {
                    (Some(found), _) => Ok(found),
                    (None, Value::Map(_)) => Ok(Value::Null),
                    (None, _) => outside(access, &key.to_text().unwrap_or_default(), value),
                }
            }
            AccessKind::FromEnd(back) => match value.plain() {
                Value::List(values) => match values.len().checked_sub(back + 1).and_then(|place| values.get(place)) {
                    Some(found) => Ok(found.clone()),
                    None => outside(access, &format!("last-{back}"), value),
                },
                _ => methods::at(value, &Value::fixed("last")).map_or(Ok(Value::Null), Ok),
            },
            AccessKind::Method { name, arguments } => {
                let arguments: Result<Vec<_>> = arguments.iter().map(|argument| self.node(argument)).collect();
                let answer = methods::call(value, name, &arguments?)?;
                if let Value::Text(text) = &answer {
                    self.grow(text.len())?;
                }
                Ok(answer)
            }
        }
    }

    /// The value of an argument; nothing for one that was left out.
    pub(super) fn value(&mut self, call: &Call, index: usize) -> Result<Value> {
        match call.arguments.get(index) {
            Some(Some(Argument::Node(node))) => self.node(node),
            Some(Some(Argument::Raw(text))) => Ok(Value::from(text.as_str())),
            _ => Ok(Value::Null),
        }
    }

    /// The value of an argument, or the body where it was left out.
    pub(super) fn source(&mut self, call: &Call, index: usize) -> Result<Value> {
        match call.arguments.get(index) {
            Some(Some(_)) => self.value(call, index),
            _ => Ok(self.body()),
        }
    }

    /// The text of an argument.
    pub(super) fn text(&mut self, call: &Call, index: usize) -> Result<Option<Text>> {
        match call.arguments.get(index) {
            Some(Some(Argument::Node(node))) => self.text_of(node),
            _ => Ok(self.value(call, index)?.to_text()),
        }
    }

    /// The whole number of an argument.
    pub(super) fn integer(&mut self, call: &Call, index: usize) -> Result<i64> {
        let value = self.value(call, index)?;
        value.to_integer().ok_or_else(|| self.no_number(&value))
    }

    /// Whether an argument holds as a condition.
    pub(super) fn holds(&mut self, call: &Call, index: usize) -> Result<bool> {
        match call.arguments.get(index) {
            Some(Some(Argument::Node(node))) => self.condition(node),
            _ => Ok(false),
        }
    }

    /// The type that an argument names.
    pub(super) fn kind(&self, call: &Call, index: usize) -> Kind {
        match call.arguments.get(index) {
            Some(Some(Argument::Kind(kind))) => *kind,
            _ => Kind::Any,
        }
    }

    fn no_number(&self, value: &Value) -> Exception {
        let message = match value.to_text() {
            Some(text) => format!("{text} is no whole number"),
            None => "a number is wanted, and there is nothing".to_owned(),
        };
        Exception::new(&class::TYPE_CONVERSION, message)
    }
}

/// The date, if the node is one without a path: as text it looks different.
fn dated(node: &Node) -> Option<&super::date::Date> {
    match node {
        Node::Call(call) if call.path.is_empty() && call.result.is_none() => match call.arguments.first() {
            Some(Some(Argument::Date(date))) => Some(date),
            _ => None,
        },
        _ => None,
    }
}

/// An element that is not there.
fn outside(access: &Access, place: &str, value: &Value) -> Result<Value> {
    if access.null_safe {
        return Ok(Value::Null);
    }
    let message = format!("there is no element {place} in a value of type {}", value.type_name());
    Err(Exception::new(&class::INDEX_OUT_OF_BOUNDS, message))
}

fn stopped(message: String) -> Exception {
    Exception::new(&class::EXPRESSION_EVALUATION, message)
}
