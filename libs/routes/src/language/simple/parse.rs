//! Turns the text of an expression into its tree, once, when a route is loaded. Every mistake is
//! collected with its place; what is right around it is still checked.
//!
//! The same text is read in one of two ways, as Camel does: as a *value* it is a template in which only
//! `${…}` means something; as a *predicate* its operators are evaluated too.

use std::sync::Arc;

use crate::exchange::Value;
use crate::language::program::Program;
use crate::language::{Surroundings, SyntaxError, jq, jsonpath};

use super::call;
use super::lexer::{self, Kind, Token};
use super::operators::{self, Operator};
use super::syntax::{Comparison, Node};

/// Longest expression, in bytes: a template of a whole document fits, a document as such does not.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;
/// How deep functions may stand in functions: what people write has three.
const NESTING_MAX: usize = 16;
/// Most operators of a text: each makes the tree deeper.
const LINKS_MAX: usize = 200;

/// What an operator takes at its right.
const OPERANDS: &str = "a quoted text, a number, true, false, null or a function ${…}";

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    surroundings: &'a Surroundings,
    /// Operators so far.
    links: usize,
    pub(super) problems: Vec<SyntaxError>,
}

/// The tree of `text` read as a value.
///
/// # Errors
/// Every mistake in it.
pub(super) fn value(text: &str, surroundings: &Surroundings) -> Result<Node, Vec<SyntaxError>> {
    parsed(text, surroundings, |parser, tokens| parser.template(tokens))
}

/// The tree of `text` read as a predicate.
///
/// # Errors
/// Every mistake in it.
pub(super) fn predicate(text: &str, surroundings: &Surroundings) -> Result<Node, Vec<SyntaxError>> {
    parsed(text, surroundings, |parser, tokens| parser.predicate(tokens, Operands::Braced))
}

fn parsed(
    text: &str,
    surroundings: &Surroundings,
    read: impl FnOnce(&mut Parser<'_>, &[Token]) -> Node,
) -> Result<Node, Vec<SyntaxError>> {
    let mut parser = Parser { text, surroundings, links: 0, problems: Vec::new() };
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("an expression of {} bytes; {TEXT_BYTES_MAX} are allowed", text.len());
        return Err(vec![SyntaxError::new(0..0, message)]);
    }
    let tokens = lexer::tokens(text);
    parser.check_nesting(&tokens);
    if !parser.problems.is_empty() {
        return Err(parser.problems);
    }
    let node = read(&mut parser, &tokens);
    if parser.problems.is_empty() { Ok(node) } else { Err(parser.problems) }
}

/// How the left side of a comparison is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// `${body} == 'x'`.
    Braced,
    /// Inside of a function, where a name needs no braces of its own: `${body == 'x'}`.
    Bare,
}

impl Parser<'_> {
    pub(super) fn problem(&mut self, at: usize, message: impl Into<String>) -> Node {
        self.problems.push(SyntaxError::new(at..at, message));
        Node::Constant(Value::Null)
    }

    /// Counts an operator; false says that there are too many.
    fn link(&mut self, at: usize) -> bool {
        self.links += 1;
        if self.links == LINKS_MAX + 1 {
            self.problem(at, format!("an expression of more than {LINKS_MAX} operators"));
        }
        self.links <= LINKS_MAX
    }

    /// The program of another language that stands in a function.
    pub(super) fn program(&self, language: &str, text: &str) -> Result<Arc<dyn Program>, SyntaxError> {
        match language {
            "jq" => jq::program(text, self.surroundings),
            _ => jsonpath::program(text, self.surroundings),
        }
    }

    /// Refuses functions that do not end, and functions nested too deep for the walk below.
    fn check_nesting(&mut self, tokens: &[Token]) {
        let mut open = Vec::new();
        for token in tokens {
            match token.kind {
                Kind::Open if open.len() == NESTING_MAX => {
                    self.problem(token.at, format!("functions are nested more than {NESTING_MAX} deep"));
                    return;
                }
                Kind::Open => open.push(token.at),
                Kind::Close => {
                    open.pop();
                }
                _ => {}
            }
        }
        for at in open {
            self.problem(at, "this function has no closing brace }");
        }
    }

    /// A template: text with functions in it. One function alone keeps the type of its value.
    pub(super) fn template(&mut self, tokens: &[Token]) -> Node {
        if let Some(init) = lexer::raw(self.text, lexer::trim(tokens)).strip_prefix("$init{") {
            let at = self.text.len() - init.len();
            return self.problem(
                at,
                "$init{ blocks are not supported: set variables with the step setVariable before this one",
            );
        }
        let mut nodes = Vec::new();
        let mut plain = String::new();
        let mut index = 0;
        while index < tokens.len() {
            let token = &tokens[index];
            if token.kind == Kind::Open {
                push_text(&mut nodes, &mut plain);
                let (node, next) = self.function(tokens, index);
                nodes.push(node);
                index = next;
            } else if let Some((join, after)) = self.joining(tokens, index, &plain, !nodes.is_empty()) {
                if !self.link(token.at) {
                    return Node::Constant(Value::Null);
                }
                let left = match quoted(plain.trim_end()) {
                    Some(text) => Node::text(text),
                    None => nodes.pop().unwrap_or(Node::Constant(Value::Null)),
                };
                plain.clear();
                let (right, next) = self.joined(tokens, after);
                nodes.push(join.of(left, right));
                index = next;
            } else {
                plain.extend(token.char());
                index += 1;
            }
        }
        push_text(&mut nodes, &mut plain);
        match nodes.len() {
            0 => Node::text(""),
            1 => nodes.remove(0),
            _ => Node::Template(nodes),
        }
    }

    /// The function opened at `open`, with `++` or `--` behind it, and the index after it.
    fn function(&mut self, tokens: &[Token], open: usize) -> (Node, usize) {
        let close = lexer::closing(tokens, open).expect("nesting was checked before");
        let node = call::parse(self, &tokens[open + 1..close], tokens[open].at);
        let after = &tokens[close + 1..];
        let stepped = |sign: char| {
            let ends = after.get(2).is_none_or(Token::is_space);
            after.len() >= 2 && after[0].is(sign) && after[1].is(sign) && ends
        };
        if stepped('+') {
            (Node::Step { node: Box::new(node), by: 1 }, close + 3)
        } else if stepped('-') {
            (Node::Step { node: Box::new(node), by: -1 }, close + 3)
        } else {
            (node, close + 1)
        }
    }

    /// Whether a chain or elvis operator with spaces around it stands at `index`, behind a function or a
    /// quoted text: which, and the index after it.
    fn joining(&self, tokens: &[Token], index: usize, before: &str, follows: bool) -> Option<(Join, usize)> {
        let is_behind_node = follows && before.trim().is_empty() || quoted(before.trim_end()).is_some();
        if !is_behind_node || index == 0 || !tokens[index - 1].is_space() {
            return None;
        }
        let rest = lexer::raw(self.text, &tokens[index..]);
        let (join, length) = Join::at(rest)?;
        tokens.get(index + length).is_none_or(Token::is_space).then_some((join, index + length))
    }

    /// What stands at the right of a chain or elvis operator, and the index after it.
    fn joined(&mut self, tokens: &[Token], from: usize) -> (Node, usize) {
        let start = from + tokens[from..].iter().take_while(|token| token.is_space()).count();
        let Some(first) = tokens.get(start) else {
            let at = tokens.last().map_or(0, |token| token.end);
            return (self.problem(at, format!("this operator needs something at its right: {OPERANDS}")), tokens.len());
        };
        if first.kind == Kind::Open {
            return self.function(tokens, start);
        }
        if first.is_quote() {
            return match lexer::closing_quote(tokens, start) {
                Some(end) => (self.template(&tokens[start + 1..end]), end + 1),
                None => (self.problem(first.at, "this quote is not closed"), tokens.len()),
            };
        }
        let end = start + tokens[start..].iter().take_while(|token| !token.is_space()).count();
        let word = lexer::plain(self.text, &tokens[start..end]);
        (literal(&word).unwrap_or_else(|| Node::text(&word)), end)
    }

    /// A predicate: comparisons joined by `&&` and `||`, which bind alike, from the left.
    pub(super) fn predicate(&mut self, tokens: &[Token], operands: Operands) -> Node {
        let tokens = lexer::trim(tokens);
        if tokens.is_empty() {
            return Node::Constant(Value::Bool(false));
        }
        let mut index = 0;
        let (mut node, next) = self.comparison(tokens, index, operands);
        index = next;
        loop {
            index += tokens[index..].iter().take_while(|token| token.is_space()).count();
            let Some(token) = tokens.get(index) else { return node };
            if !self.link(token.at) {
                return node;
            }
            let rest = lexer::raw(self.text, &tokens[index..]);
            let all = rest.starts_with("&&");
            let (right, next) = if all || rest.starts_with("||") {
                if lexer::trim(&tokens[index + 2..]).is_empty() {
                    return self.problem(token.at, format!("{} needs a predicate at its right", &rest[..2]));
                }
                self.comparison(tokens, index + 2, operands)
            } else {
                // two predicates side by side: Camel wants both
                self.comparison(tokens, index, operands)
            };
            let all = all || !rest.starts_with("||");
            node = Node::Logical { all, left: Box::new(node), right: Box::new(right) };
            index = next;
        }
    }

    /// One operand, or two with an operator between; and the index after them. It always moves on.
    fn comparison(&mut self, tokens: &[Token], from: usize, operands: Operands) -> (Node, usize) {
        let start = from + tokens[from..].iter().take_while(|token| token.is_space()).count();
        let (mut left, mut index) = self.left(tokens, start, operands);
        loop {
            let at = index + tokens[index..].iter().take_while(|token| token.is_space()).count();
            let Some((operator, after)) = (at > index).then(|| self.operator(tokens, at)).flatten() else {
                return (left, index.max(from + 1).min(tokens.len()));
            };
            if !self.link(tokens[at].at) {
                return (left, tokens.len());
            }
            let (right, next) = self.right(tokens, after, operator);
            let comparison = Comparison::new(operator, left, right);
            left = match comparison {
                Ok(comparison) => Node::Compare(Box::new(comparison)),
                Err(message) => self.problem(tokens[at].at, message),
            };
            index = next;
        }
    }

    /// The operator that begins at `at`, and the index after it.
    fn operator(&self, tokens: &[Token], at: usize) -> Option<(Operator, usize)> {
        let rest = lexer::raw(self.text, tokens.get(at..)?);
        let (operator, length) = operators::at_start(rest)?;
        // what follows is white space, or nothing: then the operand is missed by name
        tokens.get(at + length).is_none_or(Token::is_space).then_some((operator, at + length))
    }

    /// The left side of a comparison.
    fn left(&mut self, tokens: &[Token], start: usize, operands: Operands) -> (Node, usize) {
        let Some(first) = tokens.get(start) else {
            let at = tokens.last().map_or(0, |token| token.end);
            return (self.problem(at, "a predicate is missing here"), tokens.len());
        };
        if first.is('!') && tokens.get(start + 1).is_some_and(|next| next.kind == Kind::Open) {
            let (node, next) = self.function(tokens, start + 1);
            return (Node::Not(Box::new(node)), next);
        }
        if first.kind == Kind::Open {
            return self.function(tokens, start);
        }
        if first.is_quote() {
            return self.quoted(tokens, start, true);
        }
        let end = self.word_end(tokens, start, operands);
        let word = lexer::plain(self.text, &tokens[start..end]);
        match (literal(&word), operands) {
            (Some(constant @ Node::Constant(Value::Bool(_) | Value::Null)), _) => (constant, end),
            (Some(constant), Operands::Bare) => (constant, end),
            (None, Operands::Bare) => (self.bare(&tokens[start..end]), end),
            (_, Operands::Braced) => (self.unexpected(&word, first.at), end),
        }
    }

    /// A function written without braces, in a predicate that stands in braces already.
    fn bare(&mut self, tokens: &[Token]) -> Node {
        let (negated, name) = match tokens.split_first() {
            Some((first, rest)) if first.is('!') => (true, rest),
            _ => (false, tokens),
        };
        let at = name.first().map_or(0, |token| token.at);
        let node = if negated { self.bare(name) } else { call::parse(self, name, at) };
        if negated { Node::Not(Box::new(node)) } else { node }
    }

    /// Where the word at `start` ends: at white space, for a bare function at the operator behind it.
    fn word_end(&self, tokens: &[Token], start: usize, operands: Operands) -> usize {
        if operands == Operands::Braced {
            return start + tokens[start..].iter().take_while(|token| !token.is_space()).count();
        }
        let rest = &tokens[start..];
        for index in lexer::top_level(rest) {
            let is_behind_space = index > 0 && rest[index - 1].is_space();
            let text = lexer::raw(self.text, &rest[index..]);
            if is_behind_space
                && (operators::at_start(text).is_some() || text.starts_with("&&") || text.starts_with("||"))
            {
                return start + lexer::trim(&rest[..index]).len();
            }
        }
        tokens.len()
    }

    /// The right side of a comparison.
    fn right(&mut self, tokens: &[Token], from: usize, operator: Operator) -> (Node, usize) {
        let start = from + tokens[from..].iter().take_while(|token| token.is_space()).count();
        let Some(first) = tokens.get(start) else {
            let at = tokens.last().map_or(0, |token| token.end);
            return (self.problem(at, format!("{} needs {OPERANDS} at its right", operator.text())), tokens.len());
        };
        if first.kind == Kind::Open {
            return self.function(tokens, start);
        }
        if first.is_quote() {
            return self.quoted(tokens, start, !operator.takes_pattern());
        }
        let end = start + tokens[start..].iter().take_while(|token| !token.is_space()).count();
        let word = lexer::plain(self.text, &tokens[start..end]);
        match literal(&word) {
            Some(constant) => (constant, end),
            None if operator.takes_range() && operators::range(&word).is_some() => (Node::text(&word), end),
            None => {
                let message = format!("{} needs {OPERANDS} at its right; write '{word}'", operator.text());
                (self.problem(first.at, message), end)
            }
        }
    }

    /// The quoted text at `start`. Backslashes stay in it; functions in it are evaluated unless it is a
    /// pattern.
    fn quoted(&mut self, tokens: &[Token], start: usize, with_functions: bool) -> (Node, usize) {
        let Some(end) = lexer::closing_quote(tokens, start) else {
            return (self.problem(tokens[start].at, "this quote is not closed"), tokens.len());
        };
        let inner = &tokens[start + 1..end];
        if !with_functions || inner.iter().all(|token| token.kind != Kind::Open) {
            return (Node::text(lexer::raw(self.text, inner)), end + 1);
        }
        (self.template(inner), end + 1)
    }

    fn unexpected(&mut self, word: &str, at: usize) -> Node {
        let message = match word {
            "=" | "===" | "=>" | "=<" => format!("unknown operator {word}: did you mean ==?"),
            "<>" | "!==" | "~=" => format!("unknown operator {word}: did you mean !=?"),
            "and" | "&" => format!("unknown operator {word}: use &&"),
            "or" | "|" => format!("unknown operator {word}: use ||"),
            "not" | "!" => format!("unknown operator {word}: negate the operator, as in != or !contains"),
            _ => format!("unexpected {word}: the left side of a predicate is a function ${{…}} or a quoted text"),
        };
        self.problem(at, message)
    }
}

/// An operator that joins two values into one.
#[derive(Clone, Copy)]
enum Join {
    Chain { null_safe: bool },
    Elvis,
}

impl Join {
    fn at(text: &str) -> Option<(Join, usize)> {
        [("?~>", Join::Chain { null_safe: true }), ("~>", Join::Chain { null_safe: false }), ("?:", Join::Elvis)]
            .into_iter()
            .find(|(operator, _)| text.starts_with(operator))
            .map(|(operator, join)| (join, operator.len()))
    }

    fn of(self, left: Node, right: Node) -> Node {
        let (left, right) = (Box::new(left), Box::new(right));
        match self {
            Join::Chain { null_safe } => Node::Chain { left, right, null_safe },
            Join::Elvis => Node::Elvis { left, right },
        }
    }
}

fn push_text(nodes: &mut Vec<Node>, plain: &mut String) {
    if !plain.is_empty() {
        nodes.push(Node::text(plain));
        plain.clear();
    }
}

/// What is between the quotes, if the whole text is one quoted text.
pub(super) fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    })
}

/// The value of a word that is written without quotes: a number, a truth or null.
pub(super) fn literal(word: &str) -> Option<Node> {
    let value = match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => number(word)?,
    };
    Some(Node::Constant(value))
}

fn number(word: &str) -> Option<Value> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.is_empty() || !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.parse().ok().map(Value::Integer);
    }
    let (whole, fraction) = digits.split_once('.')?;
    let is_decimal =
        [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_decimal.then(|| word.parse().ok().map(Value::Decimal)).flatten()
}
