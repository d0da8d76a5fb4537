//! Cuts a jq program into tokens.

use crate::language::SyntaxError;

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name or a key word.
    Word(String),
    /// `.name`
    Field(String),
    /// `$name`
    Variable(String),
    /// `@name`
    Format(String),
    Number(f64, String),
    /// A text: pieces, and the tokens of the programs between them.
    Text(Vec<Piece>),
    /// An operator or a bracket.
    Sign(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// A program in `\(…)`: where it begins and ends.
    Program(usize, usize),
}

/// Longer ones first.
const SIGNS: &[&str] = &[
    "?//=", "?//", "//=", "..", "|=", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "//", "|", ",", "=", "<",
    ">", "+", "-", "*", "/", "%", ".", "[", "]", "(", ")", "{", "}", ":", ";", "?",
];

/// The tokens between two places of a text.
///
/// # Errors
/// What is no token.
pub(super) fn tokens(text: &str, from: usize, to: usize) -> Result<Vec<Token>, SyntaxError> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let rest = &text[at..to];
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if first == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        let (kind, length) = token(text, at, to)?;
        found.push(Token { kind, at, end: at + length });
        at += length;
    }
    Ok(found)
}

fn token(text: &str, at: usize, to: usize) -> Result<(Kind, usize), SyntaxError> {
    let rest = &text[at..to];
    let first = rest.chars().next().unwrap_or(' ');
    if first == '"' {
        return string(text, at, to);
    }
    let name_after = |skip: usize| {
        let name: String = rest[skip..].chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
        (!name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())).then_some(name)
    };
    let prefixed = |kind: fn(String) -> Kind| name_after(1).map(|name| (1 + name.len(), kind(name)));
    let found = match first {
        '.' => prefixed(Kind::Field),
        '$' => prefixed(Kind::Variable),
        '@' => prefixed(Kind::Format),
        _ => None,
    };
    if let Some((length, kind)) = found {
        return Ok((kind, length));
    }
    if first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit()) {
        let bytes = rest.as_bytes();
        let length = bytes
            .iter()
            .enumerate()
            .take_while(|(index, byte)| {
                let is_sign = **byte == b'+' || **byte == b'-';
                let after_exponent = *index > 0 && matches!(bytes[index - 1], b'e' | b'E');
                byte.is_ascii_digit() || matches!(**byte, b'.' | b'e' | b'E') || is_sign && after_exponent
            })
            .count();
        let written = &rest[..length];
        return match written.parse() {
            Ok(number) => Ok((Kind::Number(number, written.to_owned()), length)),
            Err(_) => Err(SyntaxError::new(at..at + length, format!("{written} is no number"))),
        };
    }
    if let Some(name) = name_after(0) {
        let length = name.len();
        return Ok((Kind::Word(name), length));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok((Kind::Sign(sign), sign.len())),
        None => Err(SyntaxError::new(at..at + first.len_utf8(), format!("{first} means nothing in jq"))),
    }
}

/// A text, from its first quote to its last.
fn string(text: &str, at: usize, to: usize) -> Result<(Kind, usize), SyntaxError> {
    let open = || SyntaxError::new(at..at + 1, "this quote is not closed");
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut place = at + 1;
    loop {
        let char = text[place..to].chars().next().ok_or_else(open)?;
        place += char.len_utf8();
        match char {
            '"' => break,
            '\\' => {
                let escaped = text[place..to].chars().next().ok_or_else(open)?;
                if escaped == '(' {
                    let end = program_end(text, place + 1, to).ok_or_else(open)?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Program(place + 1, end));
                    place = end + 1;
                    continue;
                }
                place += escaped.len_utf8();
                plain.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => unicode(text, &mut place, to)
                        .ok_or_else(|| SyntaxError::new(place..place, r"four hexadecimal digits belong behind \u"))?,
                    '"' | '\\' | '/' => escaped,
                    _ => return Err(SyntaxError::new(place - 2..place, format!(r"\{escaped} is no escape of jq"))),
                });
            }
            _ => plain.push(char),
        }
    }
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok((Kind::Text(pieces), place - at))
}

/// Where the program in `\(…)` ends: at its parenthesis.
fn program_end(text: &str, from: usize, to: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_text = false;
    let mut chars = text[from..to].char_indices();
    while let Some((offset, char)) = chars.next() {
        match char {
            '\\' if in_text => {
                // a program inside of a text of the program
                if let Some((_, '(')) = chars.clone().next() {
                    let inner = program_end(text, from + offset + 2, to)?;
                    while chars.clone().next().is_some_and(|(next, _)| from + next <= inner) {
                        chars.next();
                    }
                } else {
                    chars.next();
                }
            }
            '"' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text && depth == 0 => return Some(from + offset),
            ')' if !in_text => depth -= 1,
            _ => {}
        }
    }
    None
}

fn unicode(text: &str, place: &mut usize, to: usize) -> Option<char> {
    let unit = |from: usize| u32::from_str_radix(text.get(from..from + 4).filter(|_| from + 4 <= to)?, 16).ok();
    let high = unit(*place)?;
    *place += 4;
    if (0xD800..0xDC00).contains(&high) && text[*place..to].starts_with("\\u") {
        let low = unit(*place + 2).filter(|low| (0xDC00..0xE000).contains(low))?;
        *place += 6;
        return char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
    }
    Some(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
}
