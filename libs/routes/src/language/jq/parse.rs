//! The text of a jq program into its tree. What could reach outside, or run without an end that can be
//! seen, is not part of the language here: functions of one's own, modules, the environment, input.

use crate::exchange::{Text, Value};
use crate::language::SyntaxError;

use super::builtins::{self, Builtin};
use super::format::Format;
use super::lexer::{Kind, Piece, Token, tokens};
use super::syntax::{Assign, Fold, Node, Operator, Part, Pattern};

const TEXT_BYTES_MAX: usize = 32 * 1024;
/// How deep a program may nest, pipes included: the evaluation takes a few frames of the stack for each.
const DEPTH_MAX: usize = 96;

/// Most operators: each makes the tree deeper.
const LINKS_MAX: usize = 400;

const KEYWORDS: &[&str] = &[
    "and", "or", "if", "then", "elif", "else", "end", "as", "reduce", "foreach", "try", "catch", "label", "import",
    "include", "def", "__loc__",
];

/// A program and how many slots its bindings need.
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) slots: usize,
}

/// The tree of `text`.
///
/// # Errors
/// The first mistake in it.
pub(super) fn program(text: &str) -> Result<Parsed, SyntaxError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SyntaxError::new(0..0, format!("a program of more than {TEXT_BYTES_MAX} bytes")));
    }
    let mut parser =
        Parser { text, tokens: tokens(text, 0, text.len())?, next: 0, scope: Vec::new(), slots: 0, depth: 0, links: 0 };
    if parser.tokens.is_empty() {
        return Ok(Parsed { node: Node::Identity, slots: 0 });
    }
    let node = parser.pipe()?;
    match parser.tokens.get(parser.next) {
        None => Ok(Parsed { node, slots: parser.slots }),
        Some(_) => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    next: usize,
    /// Names of variables and labels that are known here, with their slots.
    scope: Vec<(String, usize)>,
    slots: usize,
    depth: usize,
    /// Operators that stand in a row so far.
    links: usize,
}

type Parse<T = Node> = Result<T, SyntaxError>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.at)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Kind::Sign(found)) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(found)) if found == word)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.next += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parse<()> {
        if self.eat(sign) || self.eat_word(sign) { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    fn error<T>(&self, at: usize, reason: impl Into<String>) -> Parse<T> {
        Err(SyntaxError::new(at..at, reason))
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let at = self.at();
        match self.tokens.get(self.next) {
            Some(token) => SyntaxError::new(
                token.at..token.end,
                format!("unexpected {}: {wanted} is wanted", &self.text[token.at..token.end]),
            ),
            None => SyntaxError::new(at..at, format!("the program ends where {wanted} is wanted")),
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth == DEPTH_MAX {
            return self.error(self.at(), format!("a program nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// `a | b`, and what reaches as far to the right as a pipe.
    fn pipe(&mut self) -> Parse {
        self.deeper(|parser| {
            if parser.is_word("def") {
                return parser.error(parser.at(), "functions of one's own are not supported; write the program out");
            }
            if parser.eat_word("label") {
                let known = parser.scope.len();
                let slot = parser.binding()?;
                parser.expect("|")?;
                let body = parser.pipe()?;
                parser.scope.truncate(known);
                return Ok(Node::Label(slot, Box::new(body)));
            }
            let left = parser.comma()?;
            if parser.eat("|") {
                let right = parser.pipe()?;
                return Ok(Node::Pipe(Box::new(left), Box::new(right)));
            }
            Ok(left)
        })
    }

    /// Counts an operator.
    fn link(&mut self) -> Parse<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            self.error(self.at(), format!("a program of more than {LINKS_MAX} operators"))
        } else {
            Ok(())
        }
    }

    fn comma(&mut self) -> Parse {
        let mut left = self.alternative()?;
        while self.eat(",") {
            self.link()?;
            left = Node::Comma(Box::new(left), Box::new(self.alternative()?));
        }
        Ok(left)
    }

    /// `a // b`, which binds to the right, above the assignments.
    fn alternative(&mut self) -> Parse {
        let left = self.assign()?;
        if self.eat("//") {
            let right = self.deeper(Self::alternative)?;
            return Ok(Node::Alternative(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn assign(&mut self) -> Parse {
        let left = self.or()?;
        let by = match self.peek() {
            Some(Kind::Sign("=")) => Assign::Set,
            Some(Kind::Sign("|=")) => Assign::Update,
            Some(Kind::Sign("+=")) => Assign::By(Operator::Add),
            Some(Kind::Sign("-=")) => Assign::By(Operator::Subtract),
            Some(Kind::Sign("*=")) => Assign::By(Operator::Multiply),
            Some(Kind::Sign("/=")) => Assign::By(Operator::Divide),
            Some(Kind::Sign("%=")) => Assign::By(Operator::Modulo),
            Some(Kind::Sign("//=")) => Assign::Alternative,
            _ => return Ok(left),
        };
        self.next += 1;
        let right = self.deeper(Self::alternative)?;
        Ok(Node::Assign { by, left: Box::new(left), right: Box::new(right) })
    }

    fn or(&mut self) -> Parse {
        let mut left = self.and()?;
        while self.eat_word("or") {
            self.link()?;
            left = Node::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parse {
        let mut left = self.comparison()?;
        while self.eat_word("and") {
            self.link()?;
            left = Node::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Parse {
        let left = self.sum()?;
        let operator = match self.peek() {
            Some(Kind::Sign("==")) => Operator::Equal,
            Some(Kind::Sign("!=")) => Operator::NotEqual,
            Some(Kind::Sign("<")) => Operator::Less,
            Some(Kind::Sign("<=")) => Operator::LessOrEqual,
            Some(Kind::Sign(">")) => Operator::Greater,
            Some(Kind::Sign(">=")) => Operator::GreaterOrEqual,
            _ => return Ok(left),
        };
        self.next += 1;
        Ok(Node::Binary(operator, Box::new(left), Box::new(self.sum()?)))
    }

    fn sum(&mut self) -> Parse {
        let mut left = self.product()?;
        loop {
            let operator = if self.eat("+") {
                Operator::Add
            } else if self.eat("-") {
                Operator::Subtract
            } else {
                return Ok(left);
            };
            self.link()?;
            left = Node::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Parse {
        let mut left = self.unary()?;
        loop {
            let operator = if self.eat("*") {
                Operator::Multiply
            } else if self.eat("/") {
                Operator::Divide
            } else if self.eat("%") {
                Operator::Modulo
            } else {
                return Ok(left);
            };
            self.link()?;
            left = Node::Binary(operator, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Parse {
        if self.eat("-") {
            return Ok(Node::Negate(Box::new(self.deeper(Self::unary)?)));
        }
        self.postfix()
    }

    /// A term with `.name`, `[…]`, `?` and `as` behind it.
    fn postfix(&mut self) -> Parse {
        let mut node = self.term()?;
        let mut length = 0;
        loop {
            length += 1;
            if length > DEPTH_MAX {
                return self.error(self.at(), format!("a path of more than {DEPTH_MAX} steps"));
            }
            node = match self.peek() {
                Some(Kind::Field(name)) => {
                    let key = Node::Literal(Value::from(name.as_str()));
                    self.next += 1;
                    Node::Member { of: Box::new(node), key: Box::new(key) }
                }
                Some(Kind::Sign("."))
                    if matches!(self.tokens.get(self.next + 1).map(|token| &token.kind), Some(Kind::Text(_))) =>
                {
                    self.next += 1;
                    let key = self.text(Format::Text)?;
                    Node::Member { of: Box::new(node), key: Box::new(key) }
                }
                Some(Kind::Sign("."))
                    if matches!(self.tokens.get(self.next + 1).map(|token| &token.kind), Some(Kind::Sign("["))) =>
                {
                    self.next += 1;
                    self.bracket(node)?
                }
                Some(Kind::Sign("[")) => self.bracket(node)?,
                Some(Kind::Sign("?")) => {
                    self.next += 1;
                    optional(node)
                }
                Some(Kind::Word(word)) if word == "as" => return self.bind(node),
                _ => return Ok(node),
            };
        }
    }

    /// `source as pattern | body`.
    fn bind(&mut self, source: Node) -> Parse {
        self.next += 1;
        let known = self.scope.len();
        let pattern = self.pattern()?;
        if self.is_sign("?//") {
            return self.error(self.at(), "?// is not supported; use // on the values");
        }
        self.expect("|")?;
        let body = self.pipe()?;
        self.scope.truncate(known);
        Ok(Node::Bind { source: Box::new(source), pattern, body: Box::new(body) })
    }

    /// `$name`, which is known from here on.
    fn binding(&mut self) -> Parse<usize> {
        let Some(Kind::Variable(name)) = self.peek().cloned() else { return Err(self.unexpected("$name")) };
        self.next += 1;
        self.scope.push((name, self.slots));
        self.slots += 1;
        Ok(self.slots - 1)
    }

    fn pattern(&mut self) -> Parse<Pattern> {
        self.deeper(|parser| {
            if parser.eat("[") {
                let mut patterns = vec![parser.pattern()?];
                while parser.eat(",") {
                    patterns.push(parser.pattern()?);
                }
                parser.expect("]")?;
                return Ok(Pattern::Array(patterns));
            }
            if parser.eat("{") {
                let mut entries = vec![parser.pattern_entry()?];
                while parser.eat(",") {
                    entries.push(parser.pattern_entry()?);
                }
                parser.expect("}")?;
                return Ok(Pattern::Object(entries));
            }
            parser.binding().map(Pattern::Slot)
        })
    }

    fn pattern_entry(&mut self) -> Parse<(Node, Option<usize>, Option<Pattern>)> {
        if let Some(Kind::Variable(name)) = self.peek().cloned() {
            let slot = self.binding()?;
            let inner = if self.eat(":") { Some(self.pattern()?) } else { None };
            return Ok((Node::Literal(Value::from(name)), Some(slot), inner));
        }
        let key = self.key()?;
        self.expect(":")?;
        Ok((key, None, Some(self.pattern()?)))
    }

    /// `[…]` behind a term.
    fn bracket(&mut self, of: Node) -> Parse {
        self.expect("[")?;
        let of = Box::new(of);
        if self.eat("]") {
            return Ok(Node::Each(of));
        }
        if self.eat(":") {
            let to = Some(Box::new(self.pipe()?));
            self.expect("]")?;
            return Ok(Node::Slice { of, from: None, to });
        }
        let key = Box::new(self.pipe()?);
        if self.eat(":") {
            let to = if self.is_sign("]") { None } else { Some(Box::new(self.pipe()?)) };
            self.expect("]")?;
            return Ok(Node::Slice { of, from: Some(key), to });
        }
        self.expect("]")?;
        Ok(Node::Member { of, key })
    }

    fn term(&mut self) -> Parse {
        let at = self.at();
        let Some(kind) = self.peek().cloned() else { return Err(self.unexpected("a value")) };
        match kind {
            Kind::Number(number, written) => {
                self.next += 1;
                let value = written.parse().map_or(Value::Decimal(number), Value::Integer);
                Ok(Node::Literal(value))
            }
            Kind::Text(_) => self.text(Format::Text),
            Kind::Format(name) => {
                self.next += 1;
                let Some(format) = Format::find(&name) else {
                    return self.error(at, format!("@{name} is no format: there are {}", Format::names()));
                };
                if matches!(self.peek(), Some(Kind::Text(_))) { self.text(format) } else { Ok(Node::Format(format)) }
            }
            Kind::Field(name) => {
                self.next += 1;
                let key = Node::Literal(Value::from(name));
                Ok(Node::Member { of: Box::new(Node::Identity), key: Box::new(key) })
            }
            Kind::Variable(name) => self.variable(&name, at),
            Kind::Word(word) => self.word(&word, at),
            Kind::Sign(sign) => self.sign(sign),
        }
    }

    fn variable(&mut self, name: &str, at: usize) -> Parse {
        self.next += 1;
        if let Some((_, slot)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(Node::Variable(*slot));
        }
        match name {
            "ENV" | "__prog_args" | "__loc__" => {
                self.error(at, format!("${name} is not supported: a program sees its message alone"))
            }
            _ => self.error(
                at,
                format!("${name} is not known here: bind it with `… as ${name} |`, or use variable(\"{name}\")"),
            ),
        }
    }

    fn sign(&mut self, sign: &'static str) -> Parse {
        match sign {
            ".." => {
                self.next += 1;
                Ok(Node::Below)
            }
            "." => {
                self.next += 1;
                if matches!(self.peek(), Some(Kind::Text(_))) {
                    let key = self.text(Format::Text)?;
                    return Ok(Node::Member { of: Box::new(Node::Identity), key: Box::new(key) });
                }
                Ok(Node::Identity)
            }
            "(" => {
                self.next += 1;
                let inner = self.pipe()?;
                self.expect(")")?;
                Ok(inner)
            }
            "[" => {
                self.next += 1;
                if self.eat("]") {
                    return Ok(Node::Array(None));
                }
                let inner = self.pipe()?;
                self.expect("]")?;
                Ok(Node::Array(Some(Box::new(inner))))
            }
            "{" => self.object(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn object(&mut self) -> Parse {
        self.expect("{")?;
        let mut entries = Vec::new();
        while !self.is_sign("}") {
            entries.push(self.deeper(Self::entry)?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(Node::Object(entries))
    }

    fn entry(&mut self) -> Parse<(Node, Node)> {
        let at = self.at();
        if let Some(Kind::Variable(name)) = self.peek().cloned() {
            let value = self.variable(&name, at)?;
            return Ok((Node::Literal(Value::from(name)), value));
        }
        let is_short = matches!(self.peek(), Some(Kind::Word(_) | Kind::Text(_)));
        let before = self.next;
        let key = self.key()?;
        if self.eat(":") {
            return Ok((key, self.entry_value()?));
        }
        if !is_short {
            return Err(self.unexpected(":"));
        }
        // `{a}` is `{a: .a}`
        let after = self.next;
        self.next = before;
        let again = self.key()?;
        self.next = after;
        Ok((again, Node::Member { of: Box::new(Node::Identity), key: Box::new(key) }))
    }

    /// A value in an object: everything but a comma.
    fn entry_value(&mut self) -> Parse {
        let left = self.alternative()?;
        if self.eat("|") {
            let right = self.deeper(Self::entry_value)?;
            return Ok(Node::Pipe(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    /// A key of an object: a name, a text, or a program in parentheses.
    fn key(&mut self) -> Parse {
        match self.peek().cloned() {
            Some(Kind::Word(word)) => {
                self.next += 1;
                Ok(Node::Literal(Value::from(word)))
            }
            Some(Kind::Text(_)) => self.text(Format::Text),
            Some(Kind::Sign("(")) => {
                self.next += 1;
                let inner = self.pipe()?;
                self.expect(")")?;
                Ok(inner)
            }
            _ => Err(self.unexpected("a key")),
        }
    }

    /// A text, whose programs are written in a format.
    fn text(&mut self, format: Format) -> Parse {
        let Some(Kind::Text(pieces)) = self.peek().cloned() else { return Err(self.unexpected("a text")) };
        self.next += 1;
        if let [Piece::Text(plain)] = pieces.as_slice() {
            return Ok(Node::Literal(Value::from(plain.as_str())));
        }
        let mut parts = Vec::new();
        for piece in pieces {
            parts.push(match piece {
                Piece::Text(plain) => Part::Text(Text::from(plain)),
                Piece::Program(from, to) => Part::Node(self.inner(from, to)?),
            });
        }
        Ok(Node::Text { format, parts })
    }

    /// A program in a text, which sees the variables around it.
    fn inner(&mut self, from: usize, to: usize) -> Parse {
        let outer = std::mem::replace(&mut self.tokens, tokens(self.text, from, to)?);
        let next = std::mem::replace(&mut self.next, 0);
        let parsed = self.pipe().and_then(|node| {
            if self.next < self.tokens.len() { Err(self.unexpected("a parenthesis")) } else { Ok(node) }
        });
        self.tokens = outer;
        self.next = next;
        parsed
    }

    fn word(&mut self, word: &str, at: usize) -> Parse {
        self.next += 1;
        match word {
            "null" => Ok(Node::Literal(Value::Null)),
            "true" => Ok(Node::Literal(Value::Bool(true))),
            "false" => Ok(Node::Literal(Value::Bool(false))),
            "if" => self.deeper(Self::condition),
            "try" => {
                let body = Box::new(self.deeper(Self::handled)?);
                let catch = if self.eat_word("catch") { Some(Box::new(self.deeper(Self::handled)?)) } else { None };
                Ok(Node::Try { body, catch })
            }
            "reduce" | "foreach" => self.deeper(|parser| parser.fold(word == "reduce")),
            "break" => {
                let Some(Kind::Variable(name)) = self.peek().cloned() else { return Err(self.unexpected("$label")) };
                match self.scope.iter().rev().find(|(known, _)| *known == name) {
                    Some((_, slot)) => {
                        self.next += 1;
                        Ok(Node::Break(*slot))
                    }
                    None => self.error(at, format!("there is no label ${name}")),
                }
            }
            "def" => self.error(at, "functions of one's own are not supported; write the program out"),
            "import" | "include" => self.error(at, "modules are not supported; write the program out"),
            _ if KEYWORDS.contains(&word) => {
                self.next -= 1;
                Err(self.unexpected("a value"))
            }
            _ => self.deeper(|parser| parser.call(word, at)),
        }
    }

    /// The body of `try`: one term with its path.
    fn handled(&mut self) -> Parse {
        if self.eat("-") {
            return Ok(Node::Negate(Box::new(self.deeper(Self::handled)?)));
        }
        self.postfix()
    }

    /// What stands behind `if`.
    fn condition(&mut self) -> Parse {
        let condition = Box::new(self.pipe()?);
        self.expect("then")?;
        let yes = Box::new(self.pipe()?);
        let no = if self.eat_word("elif") {
            return Ok(Node::If { condition, yes, no: Some(Box::new(self.deeper(Self::condition)?)) });
        } else if self.eat_word("else") {
            Some(Box::new(self.pipe()?))
        } else {
            None
        };
        self.expect("end")?;
        Ok(Node::If { condition, yes, no })
    }

    fn fold(&mut self, is_reduce: bool) -> Parse {
        let known = self.scope.len();
        // `as` belongs to the fold, and not to its source
        let source = self.source()?;
        self.expect("as")?;
        let pattern = self.pattern()?;
        self.expect("(")?;
        let start = self.pipe()?;
        self.expect(";")?;
        let update = self.pipe()?;
        let extract = if !is_reduce && self.eat(";") { Some(self.pipe()?) } else { None };
        self.expect(")")?;
        self.scope.truncate(known);
        let fold = Box::new(Fold { source, pattern, start, update, extract });
        Ok(if is_reduce { Node::Reduce(fold) } else { Node::Foreach(fold) })
    }

    /// A term with its path, up to `as`.
    fn source(&mut self) -> Parse {
        let end = self.tokens[self.next..].iter().scan(0i32, |depth, token| {
            match token.kind {
                Kind::Sign("(" | "[" | "{") => *depth += 1,
                Kind::Sign(")" | "]" | "}") => *depth -= 1,
                _ => {}
            }
            Some((*depth, token.kind == Kind::Word("as".to_owned())))
        });
        let Some(length) = end.collect::<Vec<_>>().iter().position(|(depth, is_as)| *depth == 0 && *is_as) else {
            return Err(self.unexpected("`as` behind a term"));
        };
        let rest = self.tokens.split_off(self.next + length);
        let parsed = self.postfix();
        let is_whole = self.next == self.tokens.len();
        self.tokens.extend(rest);
        if is_whole { parsed } else { parsed.and_then(|_| Err(self.unexpected("`as`"))) }
    }

    fn call(&mut self, name: &str, at: usize) -> Parse {
        if name == "constant" {
            return self.constant();
        }
        let mut arguments = Vec::new();
        if self.eat("(") {
            arguments.push(self.pipe()?);
            while self.eat(";") {
                arguments.push(self.pipe()?);
            }
            self.expect(")")?;
        }
        match builtins::find(name, arguments.len()) {
            Some(builtin) => Ok(Node::Call(builtin, arguments)),
            None => self.error(at, builtins::refusal(name, arguments.len())),
        }
    }

    /// `constant(word)`: what is in the parentheses as it is written.
    fn constant(&mut self) -> Parse {
        self.expect("(")?;
        let from = self.at();
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get(self.next) {
            match token.kind {
                Kind::Sign("(") => depth += 1,
                Kind::Sign(")") if depth == 0 => {
                    let written = self.text[from..token.at].trim();
                    let plain = written.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(written);
                    let value = Value::from(plain);
                    self.next += 1;
                    return Ok(Node::Literal(value));
                }
                Kind::Sign(")") => depth -= 1,
                _ => {}
            }
            self.next += 1;
        }
        Err(self.unexpected(")"))
    }
}

/// `?` behind a path: its last step alone may fail.
fn optional(node: Node) -> Node {
    let attempt = |step: Node| Node::Try { body: Box::new(step), catch: None };
    match node {
        Node::Member { of, key } if matches!(*key, Node::Literal(_)) => {
            Node::Pipe(of, Box::new(attempt(Node::Member { of: Box::new(Node::Identity), key })))
        }
        Node::Each(of) => Node::Pipe(of, Box::new(attempt(Node::Each(Box::new(Node::Identity))))),
        other => attempt(other),
    }
}

/// Whether two builtins are the same row of the table.
impl PartialEq for Builtin {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}
