//! The tree of an expression: what the parser makes and the evaluation walks.

use std::sync::Arc;

use regex::Regex;

use crate::exchange::{Kind, Text, Value};
use crate::language::program::Program;

use super::date::Date;
use super::functions::Function;
use super::operators::{self, Operator};

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    /// Parts that are written one after the other, as text.
    Template(Vec<Node>),
    Call(Box<Call>),
    /// `${…}++` and `${…}--`.
    Step {
        node: Box<Node>,
        by: i64,
    },
    Compare(Box<Comparison>),
    /// Both, or one of the two.
    Logical {
        all: bool,
        left: Box<Node>,
        right: Box<Node>,
    },
    Not(Box<Node>),
    Ternary {
        condition: Box<Node>,
        yes: Box<Node>,
        no: Box<Node>,
    },
    /// `left ?: right`.
    Elvis {
        left: Box<Node>,
        right: Box<Node>,
    },
    /// `left ~> right`: the left value is the body of the right side.
    Chain {
        left: Box<Node>,
        right: Box<Node>,
        null_safe: bool,
    },
    /// `$param`: the value that the chain hands on.
    Parameter,
}

impl Node {
    pub(super) fn text(text: &str) -> Node {
        Node::Constant(Value::from(text))
    }
}

/// A function with what it is called with.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: &'static Function,
    /// The byte of the expression where the function begins.
    pub(super) at: usize,
    /// In the order of the function's parameters; `None` for one that was left out.
    pub(super) arguments: Vec<Option<Argument>>,
    /// The steps into the value: `.name`, `[0]`, `.size()`.
    pub(super) path: Vec<Access>,
    /// The whole key with its path, where it may be a name with dots in it: it is looked up first.
    pub(super) full: Option<Text>,
    /// `int:` and the like before the name.
    pub(super) result: Option<Kind>,
}

#[derive(Debug)]
pub(super) enum Argument {
    /// A value, or a function that is evaluated when the value is wanted.
    Node(Node),
    /// The text as it is written, for the languages inside of the language.
    Raw(String),
    Kind(Kind),
    /// A program of another language.
    Program(Arc<dyn Program>),
    Date(Date),
}

/// One step into a value.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) kind: AccessKind,
    /// Written `?.`: nothing is answered where there is nothing to step into.
    pub(super) null_safe: bool,
}

#[derive(Debug)]
pub(super) enum AccessKind {
    /// `.name`: the member of an object, or a getter of a known type.
    Name(String),
    /// `[key]` and `[0]`; the key may hold functions.
    Key(Node),
    /// `[last]`, `[last-1]`.
    FromEnd(usize),
    /// `.name(…)`.
    Method { name: String, arguments: Vec<Node> },
}

/// Two values with an operator between.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) operator: Operator,
    pub(super) left: Node,
    pub(super) right: Node,
    /// The pattern, where the right side is one that never changes.
    pub(super) pattern: Option<Regex>,
}

impl Comparison {
    /// # Errors
    /// What is wrong with a right side that is known already: a pattern, a range, a type.
    pub(super) fn new(operator: Operator, left: Node, right: Node) -> Result<Comparison, String> {
        let mut pattern = None;
        if let Node::Constant(value) = &right {
            pattern = operators::check_right(operator, value)?;
        }
        Ok(Comparison { operator, left, right, pattern })
    }
}
