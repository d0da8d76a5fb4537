//! What has been read and checked: elements with their options.

use std::sync::Arc;

use crate::exchange::{Class, Kind};
use crate::language::{Expression, Predicate};
use crate::parse::Mark;
use crate::steps::StepKind;

use super::spec::Spec;
use super::uri::EndpointText;

/// A checked element of a route file.
#[derive(Debug)]
pub struct Element {
    /// What it is.
    pub spec: &'static Spec,
    /// Where it begins.
    pub at: Mark,
    /// Its `id`, if it has one.
    pub id: Option<String>,
    /// The expression that stands inline in it.
    pub expression: Option<Compiled>,
    /// The data format that stands inline in it.
    pub data_format: Option<Box<Element>>,
    pub(super) values: Vec<(&'static str, Mark, Given)>,
    /// What the file names, read or not; [`INLINE`] for what stands inline.
    pub(super) seen: Vec<&'static str>,
}

pub(super) const INLINE: &str = "(inline)";

/// A checked step.
#[derive(Debug)]
pub struct Step {
    /// Which step.
    pub kind: &'static StepKind,
    /// What the file says of it.
    pub element: Element,
}

/// An expression that its language has compiled.
#[derive(Debug, Clone)]
pub enum Compiled {
    /// Where a value is wanted.
    Value(Arc<dyn Expression>),
    /// Where a condition is wanted.
    Condition(Arc<dyn Predicate>),
}

/// The value of an option.
#[derive(Debug)]
pub enum Given {
    /// Text.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// A time, in milliseconds.
    Duration(u64),
    /// A Java class.
    Kind(Kind),
    /// An endpoint.
    Uri(EndpointText),
    /// Texts.
    Texts(Vec<String>),
    /// Exception classes.
    Classes(Vec<&'static Class>),
    /// An expression.
    Expression(Compiled),
    /// Steps.
    Steps(Vec<Step>),
    /// An element.
    One(Box<Element>),
    /// Elements.
    Many(Vec<Element>),
}

impl Element {
    /// An element that says nothing.
    pub(super) fn empty(spec: &'static Spec, at: Mark) -> Self {
        Self { spec, at, id: None, expression: None, data_format: None, values: Vec::new(), seen: Vec::new() }
    }

    /// What the file says of an option.
    pub fn given(&self, name: &str) -> Option<&Given> {
        debug_assert!(self.spec.option(name).is_some(), "{} has no option {name}", self.spec.name);
        self.values.iter().find_map(|(known, _, given)| (*known == name).then_some(given))
    }

    /// Where an option stands; the element's place if it is not there.
    pub fn mark_of(&self, name: &str) -> Mark {
        self.values.iter().find_map(|(known, at, _)| (*known == name).then_some(*at)).unwrap_or(self.at)
    }

    /// A text, or one of several words.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.given(name)? {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A yes or no; no if it is not there.
    pub fn is_on(&self, name: &str) -> bool {
        self.flag(name).unwrap_or(false)
    }

    /// A yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.given(name)? {
            Given::Bool(yes) => Some(*yes),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.given(name)? {
            Given::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number that counts things.
    pub fn count(&self, name: &str) -> Option<usize> {
        self.integer(name).and_then(|number| usize::try_from(number).ok())
    }

    /// A number.
    pub fn decimal(&self, name: &str) -> Option<f64> {
        match self.given(name)? {
            Given::Decimal(number) => Some(*number),
            _ => None,
        }
    }

    /// A time, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Option<u64> {
        match self.given(name)? {
            Given::Duration(ms) => Some(*ms),
            _ => None,
        }
    }

    /// A Java class that stands for a kind of value.
    pub fn kind(&self, name: &str) -> Option<Kind> {
        match self.given(name)? {
            Given::Kind(kind) => Some(*kind),
            _ => None,
        }
    }

    /// An endpoint.
    pub fn uri(&self, name: &str) -> Option<&EndpointText> {
        match self.given(name)? {
            Given::Uri(uri) => Some(uri),
            _ => None,
        }
    }

    /// Texts; none if it is not there.
    pub fn texts(&self, name: &str) -> &[String] {
        match self.given(name) {
            Some(Given::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// Exception classes; none if it is not there.
    pub fn classes(&self, name: &str) -> &[&'static Class] {
        match self.given(name) {
            Some(Given::Classes(classes)) => classes,
            _ => &[],
        }
    }

    /// Steps; none if it is not there.
    pub fn steps(&self, name: &str) -> &[Step] {
        match self.given(name) {
            Some(Given::Steps(steps)) => steps,
            _ => &[],
        }
    }

    /// An element.
    pub fn one(&self, name: &str) -> Option<&Element> {
        match self.given(name)? {
            Given::One(element) => Some(element),
            _ => None,
        }
    }

    /// Elements; none if it is not there.
    pub fn many(&self, name: &str) -> &[Element] {
        match self.given(name) {
            Some(Given::Many(elements)) => elements,
            _ => &[],
        }
    }

    /// The expression of an option whose value is used.
    pub fn value(&self, name: &str) -> Option<Arc<dyn Expression>> {
        match self.given(name)? {
            Given::Expression(Compiled::Value(expression)) => Some(Arc::clone(expression)),
            _ => None,
        }
    }

    /// The condition of an option.
    pub fn condition(&self, name: &str) -> Option<Arc<dyn Predicate>> {
        match self.given(name)? {
            Given::Expression(Compiled::Condition(predicate)) => Some(Arc::clone(predicate)),
            _ => None,
        }
    }

    /// The inline expression whose value is used.
    pub fn inline_value(&self) -> Option<Arc<dyn Expression>> {
        match &self.expression {
            Some(Compiled::Value(expression)) => Some(Arc::clone(expression)),
            _ => None,
        }
    }

    /// The inline condition.
    pub fn inline_condition(&self) -> Option<Arc<dyn Predicate>> {
        match &self.expression {
            Some(Compiled::Condition(predicate)) => Some(Arc::clone(predicate)),
            _ => None,
        }
    }
}
