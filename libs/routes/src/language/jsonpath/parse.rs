//! The text of a path into its steps, with the place of whatever is wrong.

use regex::RegexBuilder;

use crate::exchange::{Text, Value};
use crate::language::SyntaxError;

use super::filter::{Call, Filter, OPERATORS, Operand, Operator};
use super::select::{Function, Path, Step};

const TEXT_BYTES_MAX: usize = 16 * 1024;
const DEPTH_MAX: usize = 32;
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

const FUNCTIONS: &[(&str, Function)] = &[
    ("length()", Function::Length),
    ("size()", Function::Length),
    ("min()", Function::Min),
    ("max()", Function::Max),
    ("sum()", Function::Sum),
    ("avg()", Function::Average),
    ("keys()", Function::Keys),
    ("first()", Function::First),
    ("last()", Function::Last),
];

/// The path that `text` is.
///
/// # Errors
/// The first mistake in it.
pub(super) fn path(text: &str) -> Result<Path, SyntaxError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SyntaxError::new(0..0, format!("a path of more than {TEXT_BYTES_MAX} bytes")));
    }
    let trimmed = text.trim();
    let mut parser = Parser { text, at: text.len() - text.trim_start().len(), depth: 0 };
    let end = parser.at + trimmed.len();
    if trimmed.is_empty() {
        return Err(SyntaxError::new(0..0, "no path"));
    }
    let is_rooted = parser.eat("$") || parser.eat("@");
    let path = parser.steps(false, !is_rooted)?;
    if parser.at < end {
        return Err(parser.error("unexpected"));
    }
    Ok(path)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn error(&self, what: &str) -> SyntaxError {
        let rest: String = self.rest().chars().take(20).collect();
        let found = if rest.is_empty() { "the end of the path".to_owned() } else { rest };
        SyntaxError::new(self.at..self.at, format!("{what} at {found}"))
    }

    fn expect(&mut self, wanted: &str) -> Result<(), SyntaxError> {
        if self.eat(wanted) { Ok(()) } else { Err(self.error(&format!("{wanted} is missing"))) }
    }

    /// The steps of a path behind `$` or `@`; a path without either begins with a name.
    fn steps(&mut self, is_relative: bool, begins_with_name: bool) -> Result<Path, SyntaxError> {
        let start = self.at;
        let mut steps = Vec::new();
        let mut function = None;
        if begins_with_name && !self.rest().starts_with(['[', '.']) {
            self.named(&mut steps, &mut function)?;
        }
        while function.is_none() {
            if self.eat("..") {
                steps.push(Step::Below);
                if self.rest().starts_with('[') {
                    self.bracket(&mut steps)?;
                } else {
                    self.named(&mut steps, &mut function)?;
                }
            } else if self.eat(".") {
                if self.rest().starts_with('[') {
                    self.bracket(&mut steps)?;
                } else {
                    self.named(&mut steps, &mut function)?;
                }
            } else if self.rest().starts_with('[') {
                self.bracket(&mut steps)?;
            } else {
                break;
            }
        }
        let text = Text::from(format!("{}{}", if is_relative { "@" } else { "$" }, &self.text[start..self.at]));
        Ok(Path { is_relative, steps, function, text })
    }

    /// A name, `*`, or a function at the end.
    fn named(&mut self, steps: &mut Vec<Step>, function: &mut Option<Function>) -> Result<(), SyntaxError> {
        if self.eat("*") {
            steps.push(Step::All);
            return Ok(());
        }
        if let Some((name, found)) = FUNCTIONS.iter().find(|(name, _)| self.rest().starts_with(name)) {
            self.at += name.len();
            *function = Some(*found);
            return Ok(());
        }
        let length =
            self.rest().find(|char: char| ".[]()=!<>&|,'\" \t\r\n".contains(char)).unwrap_or(self.rest().len());
        if length == 0 {
            return Err(self.error("a name is missing"));
        }
        if self.rest()[length..].starts_with('(') {
            let known: Vec<_> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            return Err(self.error(&format!("no such function (there are {})", known.join(", "))));
        }
        steps.push(Step::Names(vec![Text::from(&self.rest()[..length])]));
        self.at += length;
        Ok(())
    }

    /// `[…]`.
    fn bracket(&mut self, steps: &mut Vec<Step>) -> Result<(), SyntaxError> {
        self.expect("[")?;
        self.spaces();
        let step = if self.eat("*") {
            Step::All
        } else if self.eat("?") {
            self.spaces();
            Step::Filter(self.any()?)
        } else if self.rest().starts_with(['\'', '"']) {
            let mut names = vec![self.string()?];
            while self.comma() {
                names.push(self.string()?);
            }
            Step::Names(names)
        } else {
            self.places()?
        };
        self.spaces();
        self.expect("]")?;
        steps.push(step);
        Ok(())
    }

    fn comma(&mut self) -> bool {
        self.spaces();
        let found = self.eat(",");
        self.spaces();
        found
    }

    /// `[0]`, `[0,2]`, `[1:3]`, `[::2]`.
    fn places(&mut self) -> Result<Step, SyntaxError> {
        let first = self.integer()?;
        self.spaces();
        if self.eat(":") {
            self.spaces();
            let end = self.integer()?;
            self.spaces();
            let by = if self.eat(":") { self.integer()?.unwrap_or(1) } else { 1 };
            if by == 0 {
                return Err(self.error("a step of 0"));
            }
            return Ok(Step::Slice { start: first, end, by });
        }
        let mut indexes = vec![first.ok_or_else(|| self.error("a name in quotes, a number, * or ?(…) is missing"))?];
        while self.comma() {
            indexes.push(self.integer()?.ok_or_else(|| self.error("a number is missing"))?);
        }
        Ok(Step::Indexes(indexes))
    }

    fn integer(&mut self) -> Result<Option<i64>, SyntaxError> {
        let digits = self.rest().strip_prefix('-').unwrap_or(self.rest());
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Ok(None);
        }
        let length = self.rest().len() - digits.len() + count;
        let number = self.rest()[..length].parse().map_err(|_| self.error("a number that is too long"))?;
        self.at += length;
        Ok(Some(number))
    }

    /// A text in quotes.
    fn string(&mut self) -> Result<Text, SyntaxError> {
        let mut chars = self.rest().char_indices();
        let Some((_, quote)) = chars.next().filter(|(_, char)| *char == '\'' || *char == '"') else {
            return Err(self.error("a text in quotes is missing"));
        };
        let mut text = String::new();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                _ if char == quote => {
                    self.at += at + char.len_utf8();
                    return Ok(Text::from(text));
                }
                _ => text.push(char),
            }
        }
        Err(self.error("this quote is not closed"))
    }

    fn any(&mut self) -> Result<Filter, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(&format!("a condition nested more than {DEPTH_MAX} deep")));
        }
        let mut filters = vec![self.all()?];
        while self.joined("||") {
            filters.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::Any(filters) })
    }

    fn all(&mut self) -> Result<Filter, SyntaxError> {
        let mut filters = vec![self.condition()?];
        while self.joined("&&") {
            filters.push(self.condition()?);
        }
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::All(filters) })
    }

    fn joined(&mut self, operator: &str) -> bool {
        self.spaces();
        let found = self.eat(operator);
        self.spaces();
        found
    }

    fn condition(&mut self) -> Result<Filter, SyntaxError> {
        self.spaces();
        let mut negated = false;
        while self.eat("!") {
            negated = !negated;
            self.spaces();
        }
        let filter = if self.eat("(") {
            let inner = self.any()?;
            self.spaces();
            self.expect(")")?;
            inner
        } else {
            self.comparison()?
        };
        Ok(if negated { Filter::Not(Box::new(filter)) } else { filter })
    }

    fn comparison(&mut self) -> Result<Filter, SyntaxError> {
        let left = self.operand()?;
        self.spaces();
        let Some((_, operator)) = OPERATORS.iter().find(|(text, _)| self.is_operator(text)).copied() else {
            return Ok(match left {
                Operand::Path(path) => Filter::Exists(path),
                value => Filter::Value(value),
            });
        };
        let written = OPERATORS.iter().find(|(_, known)| *known == operator).map_or("", |(text, _)| *text);
        self.at += written.len();
        self.spaces();
        let right = self.operand()?;
        if operator == Operator::Matches && !matches!(right, Operand::Pattern(_)) {
            return Err(self.error("=~ needs a pattern between slashes"));
        }
        Ok(Filter::Compare { left, operator, right })
    }

    /// Whether the operator stands here; one of letters ends before the next letter.
    fn is_operator(&self, text: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(text) else { return false };
        !text.starts_with(|first: char| first.is_alphabetic())
            || !after.starts_with(|next: char| next.is_alphanumeric())
    }

    fn operand(&mut self) -> Result<Operand, SyntaxError> {
        self.spaces();
        let rest = self.rest();
        if self.eat("@") {
            return Ok(Operand::Path(self.steps(true, false)?));
        }
        if self.eat("$") {
            return Ok(Operand::Path(self.steps(false, false)?));
        }
        if rest.starts_with(['\'', '"']) {
            return Ok(Operand::Literal(Value::Text(self.string()?)));
        }
        if rest.starts_with('/') {
            return self.pattern();
        }
        if self.eat("[") {
            return self.list();
        }
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if self.eat(word) {
                return Ok(Operand::Literal(value));
            }
        }
        for (name, call) in [("length(", Call::Length), ("count(", Call::Count), ("value(", Call::Value)] {
            if self.eat(name) {
                let operand = self.operand()?;
                self.spaces();
                self.expect(")")?;
                return Ok(Operand::Call(call, Box::new(operand)));
            }
        }
        for (name, whole) in [("match(", true), ("search(", false)] {
            if self.eat(name) {
                return self.matches(whole);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<Operand, SyntaxError> {
        let length = self
            .rest()
            .find(|char: char| !(char.is_ascii_digit() || "+-.eE".contains(char)))
            .unwrap_or(self.rest().len());
        let written = &self.rest()[..length];
        let value = match (written.parse::<i64>(), written.parse::<f64>()) {
            (Ok(number), _) => Value::Integer(number),
            (_, Ok(number)) if written.contains(|char: char| char.is_ascii_digit()) => Value::Decimal(number),
            _ => return Err(self.error("a path @…, a text in quotes, a number, true, false or null is missing")),
        };
        self.at += length;
        Ok(Operand::Literal(value))
    }

    fn list(&mut self) -> Result<Operand, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(&format!("a list nested more than {DEPTH_MAX} deep")));
        }
        let mut values = Vec::new();
        self.spaces();
        if !self.rest().starts_with(']') {
            values.push(self.operand()?);
            while self.comma() {
                values.push(self.operand()?);
            }
        }
        self.expect("]")?;
        self.depth -= 1;
        Ok(Operand::List(values))
    }

    /// `/pattern/` and `/pattern/i`.
    fn pattern(&mut self) -> Result<Operand, SyntaxError> {
        let inner = &self.rest()[1..];
        let mut escaped = false;
        let end = inner.char_indices().find(|(_, char)| {
            let ends = *char == '/' && !escaped;
            escaped = *char == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else { return Err(self.error("this pattern has no slash at its end")) };
        let pattern = inner[..end].replace("\\/", "/");
        let ignores_case = inner[end + 1..].starts_with('i');
        let regex = self.regex(&pattern, true, ignores_case)?;
        self.at += end + 2 + usize::from(ignores_case);
        Ok(Operand::Pattern(regex))
    }

    fn matches(&mut self, whole: bool) -> Result<Operand, SyntaxError> {
        let text = Box::new(self.operand()?);
        if !self.comma() {
            return Err(self.error(", is missing"));
        }
        let pattern = self.string()?;
        let pattern = self.regex(&pattern, whole, false)?;
        self.spaces();
        self.expect(")")?;
        Ok(Operand::Matches { text, pattern })
    }

    fn regex(&self, pattern: &str, whole: bool, ignores_case: bool) -> Result<regex::Regex, SyntaxError> {
        let written = if whole { format!("^(?:{pattern})$") } else { pattern.to_owned() };
        RegexBuilder::new(&written)
            .case_insensitive(ignores_case)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|_| self.error(&format!("{pattern} is no pattern that is supported")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_place() {
        for (text, at) in
            [("$.a[", 4), ("$.a[?(@.b ==)]", 12), ("$.", 2), ("$.a.foo()", 4), ("$.a['b]", 4), ("$[1:2:0]", 7)]
        {
            assert_eq!(path(text).map(|_| ()).unwrap_err().range.start, at, "{text}");
        }
        assert!(path(&"$[?(".repeat(100)).is_err());
        assert!(path(&format!("$[?({}1", "[".repeat(1000))).is_err());
    }
}
