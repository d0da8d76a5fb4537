//! jq, as far as a message goes: the language of jq 1.6 and most of its functions, with Camel's
//! `header`, `property`, `variable`, `constant` and `body`.
//!
//! It is an interpreter of its own, and not a library, because a library's loops cannot be stopped:
//! here steps, bytes and depth are counted. Functions of one's own, modules, the environment, further
//! input, `debug` and `halt` are refused when the route is loaded.

mod arithmetic;
mod builtins;
mod evaluate;
mod format;
mod lexer;
mod order;
mod parse;
mod paths;
mod syntax;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

use crate::exchange::{Exception, Exchange, Kind, Result, Value, class};

use self::evaluate::{Machine, Stop, uncaught};
use self::syntax::Node;
use super::program::{Input, Program, SOURCE};
use super::{Expression, Language, LanguageOption, OptionValues, Predicate, Source, Surroundings, SyntaxError};

/// Patterns that a program keeps compiled.
const PATTERNS_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// How its functions are called, with the number of their arguments, in order.
pub fn functions() -> Vec<String> {
    builtins::all()
}

/// The language.
#[derive(Debug)]
pub(super) struct Jq;

impl Language for Jq {
    fn name(&self) -> &'static str {
        "jq"
    }

    fn options(&self) -> &'static [LanguageOption] {
        const OPTIONS: &[LanguageOption] = &[
            LanguageOption { name: "resultType", values: OptionValues::Kind, about: "the type of the value" },
            SOURCE,
        ];
        OPTIONS
    }

    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError> {
        Ok(Arc::new(Compiled::new(source)?))
    }

    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError> {
        Ok(Arc::new(Compiled::new(source)?))
    }
}

/// A program for the function `jq(…)` of simple.
pub(super) fn program(text: &str, surroundings: &Surroundings) -> Result<Arc<dyn Program>, SyntaxError> {
    Ok(Arc::new(Ready::new(text, surroundings)?))
}

/// A program that is ready to run.
#[derive(Debug)]
struct Ready {
    node: Node,
    slots: usize,
    surroundings: Surroundings,
    patterns: Mutex<HashMap<String, Regex>>,
}

impl Ready {
    fn new(text: &str, surroundings: &Surroundings) -> Result<Self, SyntaxError> {
        let parsed = parse::program(text)?;
        Ok(Self {
            node: parsed.node,
            slots: parsed.slots,
            surroundings: surroundings.clone(),
            patterns: Mutex::default(),
        })
    }

    /// Every output for `input`.
    fn outputs(&self, input: &Value, exchange: &Exchange) -> Result<Vec<Value>> {
        let patterns = |written: &str| self.pattern(written);
        let Surroundings { steps_max, bytes_max, .. } = self.surroundings;
        let now_ms = self.surroundings.clock.now_ms();
        let mut machine = Machine::new(exchange, now_ms, &patterns, self.slots, steps_max, bytes_max);
        machine.all(&self.node, input.plain()).map_err(|stop| match *stop {
            Stop::Error(message) => Exception::new(&class::JQ, uncaught(&message)),
            Stop::Break(_) => Exception::new(&class::JQ, "break"),
            Stop::Limit(message) => Exception::new(&class::EXPRESSION_EVALUATION, message),
        })
    }

    fn pattern(&self, written: &str) -> Result<Regex, String> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(written) {
            return Ok(known.clone());
        }
        let made = RegexBuilder::new(written).size_limit(PATTERN_BYTES_MAX).build();
        let made = made.map_err(|_| "not a pattern that is supported".to_owned())?;
        if patterns.len() == PATTERNS_MAX {
            patterns.clear();
        }
        patterns.insert(written.to_owned(), made.clone());
        Ok(made)
    }
}

impl Program for Ready {
    /// One output is the answer, several are a list, none is nothing.
    fn answer(&self, input: &Value, exchange: &Exchange) -> Result<Value> {
        let mut outputs = self.outputs(input, exchange)?;
        Ok(match outputs.len() {
            0 => Value::Null,
            1 => node(outputs.remove(0)),
            _ => Value::list(outputs.into_iter().map(node).collect()),
        })
    }
}

/// An output as Camel leaves it; a null is nothing.
fn node(output: Value) -> Value {
    if output.is_null() { output } else { Value::json(output) }
}

#[derive(Debug)]
struct Compiled {
    input: Input,
    program: Ready,
    kind: Kind,
}

impl Compiled {
    fn new(source: &Source<'_>) -> Result<Self, SyntaxError> {
        let program = Ready::new(source.text, source.surroundings)?;
        Ok(Self { input: Input::of(source)?, program, kind: source.result_type() })
    }
}

impl Expression for Compiled {
    fn evaluate(&self, exchange: &Exchange, _wanted: Kind) -> Result<Value> {
        let answer = self.input.run(&self.program, exchange)?;
        match &answer {
            Value::List(outputs) if self.kind == Kind::Text => {
                let plain = outputs.iter().map(|output| output.plain().clone()).collect();
                Value::list(plain).convert(Kind::Text)
            }
            Value::List(outputs) if self.kind != Kind::Any => {
                let converted: Result<Vec<_>> = outputs.iter().map(|output| output.convert(self.kind)).collect();
                converted.map(Value::list)
            }
            answer => answer.convert(self.kind),
        }
    }
}

impl Predicate for Compiled {
    /// Only a truth is true, or several outputs; a text or a number is not, as in Camel.
    fn matches(&self, exchange: &Exchange) -> Result<bool> {
        Ok(match self.input.run(&self.program, exchange)? {
            Value::List(outputs) => !outputs.is_empty(),
            answer => matches!(answer.plain(), Value::Bool(true)),
        })
    }
}
