//! Cuts an expression into characters, openings and closings of functions, each with its place in the
//! text: the parser above never counts bytes.

/// One character of an expression, or where a function begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// The byte where it begins.
    pub(super) at: usize,
    /// The byte after it.
    pub(super) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Char(char),
    /// A character that was written with a backslash: `\n`, `\t`, `\r`, `\}`.
    Escaped(char),
    /// `${` or `$simple{`.
    Open,
    /// `}`; outside of a function it is a brace like any other.
    Close,
}

impl Token {
    /// The character it stands for where it is plain text; none for the opening of a function.
    pub(super) fn char(&self) -> Option<char> {
        match self.kind {
            Kind::Char(found) | Kind::Escaped(found) => Some(found),
            Kind::Close => Some('}'),
            Kind::Open => None,
        }
    }

    /// Whether it is this very character, unescaped.
    pub(super) fn is(&self, wanted: char) -> bool {
        self.kind == Kind::Char(wanted)
    }

    pub(super) fn is_space(&self) -> bool {
        matches!(self.kind, Kind::Char(found) if found.is_whitespace())
    }

    pub(super) fn is_quote(&self) -> bool {
        self.is('\'') || self.is('"')
    }
}

/// Every character of `text`, in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = if rest.starts_with("${") {
            (Kind::Open, 2)
        } else if rest.starts_with("$simple{") {
            (Kind::Open, "$simple{".len())
        } else if let Some(escaped) = escape(rest) {
            (Kind::Escaped(escaped), 2)
        } else if first == '}' {
            (Kind::Close, 1)
        } else {
            (Kind::Char(first), first.len_utf8())
        };
        found.push(Token { kind, at, end: at + length });
        at += length;
    }
    found
}

/// What a backslash at the start of `rest` makes; before any other character it is a backslash.
fn escape(rest: &str) -> Option<char> {
    match rest.strip_prefix('\\')?.chars().next()? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        '}' => Some('}'),
        _ => None,
    }
}

/// The index of the token that closes the function opened at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

/// The index of the quote that ends the text opened at `open`; quotes inside of functions do not count.
pub(super) fn closing_quote(tokens: &[Token], open: usize) -> Option<usize> {
    let quote = tokens[open].kind;
    let mut index = open + 1;
    while index < tokens.len() {
        if tokens[index].kind == Kind::Open
            && let Some(end) = closing(tokens, index)
        {
            index = end + 1;
            continue;
        }
        if tokens[index].kind == quote {
            return Some(index);
        }
        index += 1;
    }
    None
}

/// The characters of `tokens` with escapes resolved, functions left as they are written in `text`.
pub(super) fn plain(text: &str, tokens: &[Token]) -> String {
    let mut plain = String::with_capacity(tokens.len());
    for token in tokens {
        match token.char() {
            Some(char) => plain.push(char),
            None => plain.push_str(&text[token.at..token.end]),
        }
    }
    plain
}

/// The text of `tokens` as it is written.
pub(super) fn raw<'a>(text: &'a str, tokens: &[Token]) -> &'a str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &text[first.at..last.end],
        _ => "",
    }
}

/// `tokens` without white space at both ends.
pub(super) fn trim(tokens: &[Token]) -> &[Token] {
    let start = tokens.iter().position(|token| !token.is_space()).unwrap_or(tokens.len());
    let end = tokens.iter().rposition(|token| !token.is_space()).map_or(start, |last| last + 1);
    &tokens[start..end]
}

/// A walk over tokens that steps over quoted texts, nested functions and parentheses: the indexes of
/// what stands at the top.
pub(super) fn top_level(tokens: &[Token]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut parentheses = 0usize;
    let mut index = 0;
    while index < tokens.len() {
        let token = &tokens[index];
        let skipped = match token.kind {
            Kind::Open => closing(tokens, index),
            Kind::Char('\'' | '"') => closing_quote(tokens, index),
            _ => None,
        };
        if let Some(end) = skipped {
            index = end + 1;
            continue;
        }
        if token.is('(') {
            parentheses += 1;
        } else if token.is(')') {
            parentheses = parentheses.saturating_sub(1);
        } else if parentheses == 0 {
            found.push(index);
        }
        index += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_of_the_text() {
        let text = "é${a}";
        let kinds: Vec<_> = tokens(text).iter().map(|token| (token.kind, token.at)).collect();
        assert_eq!(kinds, [(Kind::Char('é'), 0), (Kind::Open, 2), (Kind::Char('a'), 4), (Kind::Close, 5)]);
    }

    #[test]
    fn a_backslash_escapes_four_characters_and_stays_before_others() {
        let text = r"\n\}\d";
        assert_eq!(plain(text, &tokens(text)), "\n}\\d");
        assert_eq!(raw(text, &tokens(text)), text);
    }

    #[test]
    fn functions_nest() {
        let text = "${a${b}c}d}";
        let found = tokens(text);
        assert_eq!(closing(&found, 0).map(|end| found[end].at), Some(8));
        assert_eq!(closing(&tokens("${a"), 0), None);
    }
}
