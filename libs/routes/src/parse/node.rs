//! A YAML document as a tree with positions.

use std::ops::Range;

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A node of the document.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Mark,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Text, a number, a yes or no, or nothing: YAML does not tell before somebody asks.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Names and nodes in the order of the file.
    Map(Vec<(Name, Node)>),
}

/// A name of a map.
#[derive(Debug, Clone)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it begins.
    pub at: Mark,
}

/// A scalar.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// Its text, after quotes and escapes.
    pub text: String,
    /// Whether it was written without quotes, so that `true` and `~` are more than text.
    pub is_plain: bool,
    /// Where its content begins, beside the mark of the node.
    pub content: Content,
}

/// Where the characters of a scalar stand in the file.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// On the line of the mark, as many columns after it.
    Line(usize),
    /// From this line on, each line as many columns in.
    Block {
        /// The first line.
        line: usize,
        /// How many columns every line is indented.
        indent: usize,
    },
}

impl Node {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is written as nothing.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| {
            scalar.is_plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
        })
    }

    /// The node of this name, if it is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find_map(|(known, node)| (known.text == name).then_some(node)),
            _ => None,
        }
    }

    /// A word for what the node is, in messages.
    pub fn word(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(_) if self.is_null() => "nothing",
            Kind::Scalar(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The place of a byte range inside of the scalar's text.
    pub fn mark_of(&self, range: &Range<usize>) -> Mark {
        let Some(scalar) = self.scalar() else { return self.at };
        let before = scalar.text.get(..range.start.min(scalar.text.len())).unwrap_or("");
        match scalar.content {
            Content::Line(_) if before.contains('\n') => self.at,
            Content::Line(skip) => Mark { line: self.at.line, column: self.at.column + skip + before.chars().count() },
            Content::Block { line, indent } => {
                let above = before.matches('\n').count();
                let column = before.rsplit('\n').next().unwrap_or("").chars().count();
                Mark { line: line + above, column: indent + 1 + column }
            }
        }
    }
}
