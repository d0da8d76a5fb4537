//! What a trace shows of messages: the beginning of each text, and nothing of what stands under a name that is masked.

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::exchange::{Body, Message, Text, Value, parse_json, write_json};

use super::HeaderChange;

/// The most characters of a body that are shown.
const BODY_MAX: usize = 1_000;
/// The most characters of a header, and of what an exception says.
const TEXT_MAX: usize = 200;
/// The most headers of a message.
const HEADERS_MAX: usize = 64;
/// The most bytes of a text that is read as JSON, so that its fields are found by their names.
const JSON_BYTES_MAX: usize = 64 * 1024;
/// What stands in the place of what is masked.
const MASK: &str = "***";

/// What is shown of messages.
///
/// A header, a field of JSON, `name=value`, `name: value` and `<name>value` are masked if the name has one of `names` in
/// it, whatever its case and its `-`, `_` and `.`.
#[derive(Debug, Clone, Default)]
pub struct Masking {
    names: Vec<String>,
    shows_bodies: bool,
}

/// A body as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What it is: `string`, `bytes`, `json`, `map` and so on.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// About how many bytes it has.
    pub length: usize,
    /// Its beginning; nothing of bytes that are no text, and where bodies are not shown.
    pub text: Option<String>,
}

impl Shown {
    pub(super) fn len(&self) -> usize {
        self.text.as_ref().map_or(0, String::len)
    }
}

impl Masking {
    /// Masks what stands under names that have one of these in them.
    pub fn new(names: &[String], shows_bodies: bool) -> Self {
        Self { names: names.iter().map(|name| plain(name)).filter(|name| !name.is_empty()).collect(), shows_bodies }
    }

    pub(super) fn headers(&self, message: &Message) -> Vec<(String, String)> {
        let headers = message.headers.iter().take(HEADERS_MAX);
        headers.map(|(name, value)| (cut(name, TEXT_MAX), self.header(name, value))).collect()
    }

    /// The headers that are others than before.
    pub(super) fn changes(&self, before: &Message, after: &Message) -> Vec<HeaderChange> {
        let (old, new) = (&before.headers, &after.headers);
        let set = new.iter().filter(|(name, value)| old.get(name) != Some(value)).map(|(name, _)| name);
        let gone = old.iter().filter(|(name, _)| new.get(name).is_none()).map(|(name, _)| name);
        let change = |name: &Text| HeaderChange {
            name: cut(name, TEXT_MAX),
            before: old.get(name).map(|value| self.header(name, value)),
            after: new.get(name).map(|value| self.header(name, value)),
        };
        set.chain(gone).take(HEADERS_MAX).map(change).collect()
    }

    fn header(&self, name: &str, value: &Value) -> String {
        if self.hides(name) { MASK.to_owned() } else { self.value(value, TEXT_MAX).unwrap_or_default() }
    }

    pub(super) fn body(&self, body: &Body) -> Shown {
        let value = body.value();
        let text = if self.shows_bodies { self.value(value, BODY_MAX) } else { None };
        Shown { kind: value.type_name(), length: value.weight(), text }
    }

    /// What is shown of a text.
    pub(super) fn text(&self, text: &str) -> String {
        self.masked(text, TEXT_MAX)
    }

    fn value(&self, value: &Value, chars_max: usize) -> Option<String> {
        let text = match value {
            Value::Null => return None,
            Value::Text(text) => text.as_str(),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?,
            tree => return Some(self.tree(tree, chars_max)),
        };
        let is_json = text.trim_start().starts_with(['{', '[']) && text.len() <= JSON_BYTES_MAX;
        match is_json && serde_json::from_str::<IgnoredAny>(text).is_ok() {
            true => parse_json(&Value::from(text)).ok().map(|tree| self.tree(&tree, chars_max)),
            false => Some(self.masked(text, chars_max)),
        }
    }

    fn tree(&self, value: &Value, chars_max: usize) -> String {
        let mut out = String::new();
        self.write(value, chars_max, &mut out);
        cut(&out, chars_max)
    }

    /// Writes a value as JSON, until that is long enough.
    fn write(&self, value: &Value, enough: usize, out: &mut String) {
        match value.plain() {
            Value::Map(map) => {
                out.push('{');
                for (at, (name, value)) in map.iter().enumerate() {
                    if out.len() > enough {
                        break;
                    }
                    out.push_str(if at == 0 { "" } else { "," });
                    out.push_str(&write_json(&Value::from(cut(name, TEXT_MAX))));
                    out.push(':');
                    match self.hides(name) {
                        true => out.push_str(&write_json(&Value::fixed(MASK))),
                        false => self.write(value, enough, out),
                    }
                }
                out.push('}');
            }
            Value::List(values) => {
                out.push('[');
                for (at, value) in values.iter().enumerate() {
                    if out.len() > enough {
                        break;
                    }
                    out.push_str(if at == 0 { "" } else { "," });
                    self.write(value, enough, out);
                }
                out.push(']');
            }
            Value::Text(text) => out.push_str(&write_json(&Value::from(self.masked(text, enough)))),
            Value::Exception(_) | Value::Exchange(_) | Value::Bytes(_) => {
                out.push_str(&write_json(&Value::from(format!("({})", value.type_name()))));
            }
            scalar => out.push_str(&write_json(scalar)),
        }
    }

    fn hides(&self, name: &str) -> bool {
        let name = plain(name);
        self.names.iter().any(|masked| name.contains(masked))
    }

    /// The beginning of a text, without what stands behind the names in it.
    fn masked(&self, text: &str, chars_max: usize) -> String {
        // What is behind the end is not looked at: it is not shown.
        let (text, end) = match text.char_indices().nth(chars_max) {
            Some((end, _)) => (&text[..end], "…"),
            None => (text, ""),
        };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name, behind)) = next_name(rest) {
            out.push_str(before);
            out.push_str(name);
            rest = behind;
            if !self.hides(name) {
                continue;
            }
            let Some(start) = value_start(before.ends_with('<'), behind) else { continue };
            out.push_str(&behind[..start]);
            out.push_str(MASK);
            rest = &behind[start + value_length(before.ends_with('<'), &behind[..start], &behind[start..])..];
        }
        out.push_str(rest);
        format!("{}{end}", cut(&out, chars_max).trim_end_matches('…'))
    }
}

/// The next name in a text, with what is before and behind it.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let is_of_name = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    let start = text.find(is_of_name)?;
    let length = text[start..].find(|char| !is_of_name(char)).unwrap_or(text.len() - start);
    Some((&text[..start], &text[start..start + length], &text[start + length..]))
}

/// Where the value of a name begins behind it, if it is one that has a value.
fn value_start(is_tag: bool, behind: &str) -> Option<usize> {
    if is_tag {
        return behind.find('>').map(|end| end + 1);
    }
    let sign = behind.trim_start_matches(['"', '\'', '\\', ' ', '\t']);
    let value = sign.strip_prefix("=>").or_else(|| sign.strip_prefix([':', '=']))?;
    Some(behind.len() - value.trim_start_matches([' ', '\t']).len())
}

/// How long a value is: to the closing quote, to the next tag, to what follows in a list of pairs, at the most the line;
/// an object or a list is all that follows.
fn value_length(is_tag: bool, sign: &str, value: &str) -> usize {
    let until = |ends: &[char]| value.find(ends).unwrap_or(value.len());
    if is_tag {
        return until(&['<']);
    }
    let unescaped = value.trim_start_matches('\\');
    let escape = &value[..value.len() - unescaped.len()];
    match unescaped.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted_length(value, escape, quote),
        Some('{' | '[') => value.len(),
        // Pairs of a query, fields of JSON, lines of a file.
        _ if sign.contains('=') => until(&['&', ';', ',', '"', '\'', '\n', '\r']),
        _ => until(&[',', ';', '"', '}', ']', '\n', '\r']),
    }
}

/// The length of a text in quotes, which may be escaped as a whole.
fn quoted_length(value: &str, escape: &str, quote: char) -> usize {
    let close = format!("{escape}{quote}");
    let mut at = close.len();
    while let Some(found) = value[at..].find(quote) {
        let end = at + found;
        let backslashes = value[..end].len() - value[..end].trim_end_matches('\\').len();
        if backslashes == escape.len() || escape.is_empty() && backslashes.is_multiple_of(2) {
            return end + quote.len_utf8();
        }
        at = end + quote.len_utf8();
    }
    value.len()
}

/// A name as it is compared: letters and digits, in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The beginning of a text.
fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masking() -> Masking {
        Masking::new(&["password".to_owned(), "api-key".to_owned(), "token".to_owned()], true)
    }

    fn shown(value: Value) -> String {
        masking().body(&Body::new(value)).text.unwrap()
    }

    #[test]
    fn what_stands_under_a_masked_name_is_not_shown_whatever_the_text_is() {
        for (text, expected) in [
            (r#"{"user":"an","Pass\u0077ord":"a\"b","n":1}"#, r#"{"user":"an","Password":"***","n":1}"#),
            (r#"{"apiKey": ["a", {"b": "c"}], "n": 1}"#, r#"{"apiKey":"***","n":1}"#),
            (r#"{"x":"{\"refresh_token\":\"abc\",\"n\":1}"}"#, r#"{"x":"{\"refresh_token\":***,\"n\":1}"}"#),
            (r#"got {"Password":"a\"b\\", "n":1}"#, r#"got {"Password":***, "n":1}"#),
            (r#"got {"token":{"a":"}b"},"n":1}"#, r#"got {"token":***"#),
            (r#"got "{\"token\":\"abc\",\"n\":1}""#, r#"got "{\"token\":***,\"n\":1}""#),
            ("{\"token\": 123,\n \"n\": 1", "{\"token\": ***,\n \"n\": 1"),
            ("user=an&password=a b&n=1", "user=an&password=***&n=1"),
            ("X-Api-Key: abc def\nAccept: all", "X-Api-Key: ***\nAccept: all"),
            ("<a>b</a><password kind=\"x\">c</password>", "<a>b</a><password kind=\"x\">***</password>"),
            ("the token is gone", "the token is gone"),
            (r#"{"password":"cut of"#, r#"{"password":***"#),
        ] {
            assert_eq!(shown(Value::from(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_tree_is_masked_by_the_names_of_its_fields() {
        let tree = parse_json(&Value::from(r#"{"a":{"access_token":{"b":1}},"list":[{"password":"x"},"token=abc"]}"#));
        let expected = r#"{"a":{"access_token":"***"},"list":[{"password":"***"},"token=***"]}"#;
        assert_eq!(shown(Value::json(tree.unwrap())), expected);
    }

    #[test]
    fn texts_are_cut_and_bytes_are_only_counted() {
        let long = "ä".repeat(5_000);
        assert_eq!(shown(Value::from(long.as_str())).chars().count(), BODY_MAX + 1);
        let many = Value::list((0..100_000).map(Value::Integer).collect());
        assert_eq!(shown(many).chars().count(), BODY_MAX + 1);
        let bytes = masking().body(&Body::new(Value::Bytes(vec![0xff; 10].into())));
        assert_eq!((bytes.kind, bytes.length, bytes.text), ("bytes", 10, None));
        assert_eq!(Masking::default().body(&Body::new(Value::from("a"))).text, None);
    }

    #[test]
    fn headers_that_changed_are_told_with_what_they_were() {
        let before = Message::default().with_header(Text::fixed("a"), "1").with_header(Text::fixed("b"), "2");
        let after = Message::default().with_header(Text::fixed("a"), "3").with_header(Text::fixed("Auth-Token"), "4");
        let changes = masking().changes(&before, &after);
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.name.as_str(), change.before.as_deref(), change.after.as_deref()))
            .collect();
        assert_eq!(told, [("a", Some("1"), Some("3")), ("Auth-Token", None, Some("***")), ("b", Some("2"), None)]);
    }
}
