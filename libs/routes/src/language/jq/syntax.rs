//! The tree of a jq program.

use crate::exchange::{Text, Value};

use super::builtins::Builtin;
use super::format::Format;

/// A part of a program.
#[derive(Debug)]
pub(super) enum Node {
    /// `.`
    Identity,
    /// `..`
    Below,
    Literal(Value),
    /// A text with programs in it.
    Text {
        format: Format,
        parts: Vec<Part>,
    },
    /// `@base64` alone.
    Format(Format),
    /// `.a`, `.["a"]`, `.[0]`
    Member {
        of: Box<Node>,
        key: Box<Node>,
    },
    /// `.[1:3]`
    Slice {
        of: Box<Node>,
        from: Option<Box<Node>>,
        to: Option<Box<Node>>,
    },
    /// `.[]`
    Each(Box<Node>),
    Array(Option<Box<Node>>),
    Object(Vec<(Node, Node)>),
    Negate(Box<Node>),
    Pipe(Box<Node>, Box<Node>),
    Comma(Box<Node>, Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    /// `a // b`
    Alternative(Box<Node>, Box<Node>),
    If {
        condition: Box<Node>,
        yes: Box<Node>,
        no: Option<Box<Node>>,
    },
    Try {
        body: Box<Node>,
        catch: Option<Box<Node>>,
    },
    Reduce(Box<Fold>),
    Foreach(Box<Fold>),
    /// `source as pattern | body`
    Bind {
        source: Box<Node>,
        pattern: Pattern,
        body: Box<Node>,
    },
    /// The value in a slot; each binding has a slot of its own.
    Variable(usize),
    Call(&'static Builtin, Vec<Node>),
    /// `path = value`, `path |= value`, `path += value` and the like.
    Assign {
        by: Assign,
        left: Box<Node>,
        right: Box<Node>,
    },
    Label(usize, Box<Node>),
    Break(usize),
}

/// `reduce` and `foreach`.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) source: Node,
    pub(super) pattern: Pattern,
    pub(super) start: Node,
    pub(super) update: Node,
    pub(super) extract: Option<Node>,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(Text),
    Node(Node),
}

/// What is on the left of a binding.
#[derive(Debug)]
pub(super) enum Pattern {
    Slot(usize),
    Array(Vec<Pattern>),
    /// The key, and what its value is bound to.
    Object(Vec<(Node, Option<usize>, Option<Pattern>)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// Whether it compares whole values.
    pub(super) fn compares(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assign {
    Set,
    /// `|=`
    Update,
    /// `+=` and the like.
    By(Operator),
    /// `//=`
    Alternative,
}
