//! YAML, read by the reader of route files and written in the style of SnakeYAML: lists and maps of
//! scalars on one line, all others as blocks.

use std::sync::Arc;

use bytes::Bytes;

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Body, Exception, Map, Message, Result, Text, Value, class, write_json};
use crate::parse::{Node, NodeKind, Problems, Scalar, read};

use super::{DataFormat, FormatKind};

const JAVA: &str = "values have no Java types";

pub(super) static FORMAT: FormatKind = FormatKind {
    spec: Spec {
        name: "yaml",
        about: "YAML, one document",
        options: &[
            OptionSpec::unused("library", &Takes::OneOf(&["SnakeYAML"]), "there is one YAML here"),
            OptionSpec::meaningless("unmarshalType", JAVA),
            OptionSpec::meaningless("unmarshalTypeName", JAVA),
            OptionSpec::unused("useApplicationContextClassLoader", &Takes::Bool, JAVA),
            OptionSpec::unused("maxAliasesForCollections", &Takes::Decimal, "documents have limits of their own"),
            OptionSpec::refused("allowAnyType", JAVA),
            OptionSpec::refused("allowRecursiveKeys", "keys are texts"),
            OptionSpec::refused("constructor", JAVA),
            OptionSpec::refused("dumperOptions", JAVA),
            OptionSpec::refused("prettyFlow", "lists and maps of scalars stand on one line"),
            OptionSpec::refused("representer", JAVA),
            OptionSpec::refused("resolver", JAVA),
            OptionSpec::refused("typeFilter", JAVA),
        ],
        ..Spec::EMPTY
    },
    build: |_| Ok(Arc::new(Yaml)),
};

#[derive(Debug)]
struct Yaml;

impl DataFormat for Yaml {
    fn marshal(&self, message: &mut Message) -> Result<()> {
        let mut out = String::new();
        write(message.body.value().plain(), 0, &mut out);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        message.body = Body::new(Value::Bytes(Bytes::from(out)));
        Ok(())
    }

    fn unmarshal(&self, message: &mut Message) -> Result<()> {
        let text = message.body.value().to_text().unwrap_or_default();
        let mut problems = Problems::default();
        let node = read(&Arc::from("body"), &text, &mut problems);
        if let Some(problem) = problems.into_sorted().first() {
            return Err(Exception::new(&class::IO, format!("the body is not YAML: {problem}")));
        }
        message.body = Body::new(node.as_ref().map_or(Value::Null, value_of));
        Ok(())
    }
}

fn value_of(node: &Node) -> Value {
    match &node.kind {
        NodeKind::List(nodes) => Value::list(nodes.iter().map(value_of).collect()),
        NodeKind::Map(entries) => {
            let entries = entries.iter().map(|(name, node)| (Text::from(name.text.as_str()), value_of(node)));
            Value::map(entries.collect::<Map>())
        }
        NodeKind::Scalar(scalar) => scalar_of(scalar),
    }
}

fn scalar_of(scalar: &Scalar) -> Value {
    let text = scalar.text.as_str();
    if !scalar.is_plain { Value::from(text) } else { plain(text).unwrap_or_else(|| Value::from(text)) }
}

/// What a text without quotes stands for, by YAML 1.1; nothing if it is a text.
fn plain(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        ".inf" | ".Inf" | "+.inf" => return Some(Value::Decimal(f64::INFINITY)),
        "-.inf" | "-.Inf" => return Some(Value::Decimal(f64::NEG_INFINITY)),
        ".nan" | ".NaN" => return Some(Value::Decimal(f64::NAN)),
        _ => {}
    }
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "yes", "on"]) || is(&["false", "no", "off"]) {
        return Some(Value::Bool(is(&["true", "yes", "on"])));
    }
    number(text)
}

fn number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let digits = digits.replace('_', "");
    if let Some(hexadecimal) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hexadecimal, 16).ok().map(|number| Value::Integer(sign * number));
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
        return match i64::from_str_radix(&digits, radix) {
            Ok(number) => Some(Value::Integer(sign * number)),
            Err(_) if radix == 10 => Some(Value::BigInteger(Text::from(text))),
            Err(_) => None,
        };
    }
    let is_decimal =
        digits.contains('.') && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number = is_decimal.then(|| digits.parse::<f64>().ok()).flatten()?;
    Some(Value::Decimal(if sign < 0 { -number } else { number }))
}

fn is_scalar(value: &Value) -> bool {
    match value.plain() {
        Value::List(_) | Value::Map(_) => false,
        // a text of several lines is written as a block
        Value::Text(text) => !text.contains('\n'),
        _ => true,
    }
}

/// Writes a value that begins at the current place, and whose further lines are indented.
fn write(value: &Value, indent: usize, out: &mut String) {
    match value.plain() {
        Value::List(values) if !values.iter().all(is_scalar) => {
            for (index, value) in values.iter().enumerate() {
                new_line(index > 0, indent, out);
                out.push_str("- ");
                write(value, indent + 2, out);
            }
        }
        Value::Map(map) if !map.iter().all(|(_, value)| is_scalar(value)) => {
            for (index, (name, value)) in map.iter().enumerate() {
                new_line(index > 0, indent, out);
                out.push_str(&scalar_text(&Value::Text(name.clone()), false));
                out.push(':');
                let is_block = match value.plain() {
                    Value::List(values) => !values.iter().all(is_scalar),
                    Value::Map(map) => !map.iter().all(|(_, value)| is_scalar(value)),
                    _ => false,
                };
                let is_list = matches!(value.plain(), Value::List(_));
                if is_block {
                    // a list stands under its name, a map further in
                    let inner = if is_list { indent } else { indent + 2 };
                    new_line(true, inner, out);
                    write(value, inner, out);
                } else {
                    out.push(' ');
                    write(value, indent + 2, out);
                }
            }
        }
        Value::List(values) => {
            let values: Vec<_> = values.iter().map(|value| scalar_text(value, true)).collect();
            out.push_str(&format!("[{}]", values.join(", ")));
        }
        Value::Map(map) => {
            let entry = |(name, value): (&Text, &Value)| {
                format!("{}: {}", scalar_text(&Value::Text(name.clone()), true), scalar_text(value, true))
            };
            let entries: Vec<_> = map.iter().map(entry).collect();
            out.push_str(&format!("{{{}}}", entries.join(", ")));
        }
        Value::Text(text) if text.contains('\n') => lines(text, indent, out),
        scalar => out.push_str(&scalar_text(scalar, false)),
    }
}

fn new_line(is_needed: bool, indent: usize, out: &mut String) {
    if is_needed {
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// A text of several lines, as a block where that keeps every character.
fn lines(text: &str, indent: usize, out: &mut String) {
    let is_safe = !text.starts_with([' ', '\n']) && !text.ends_with("\n\n");
    if !is_safe || text.chars().any(|char| char.is_control() && char != '\n') {
        out.push_str(&write_json(&Value::from(text)));
        return;
    }
    let (body, mark) = text.strip_suffix('\n').map_or((text, "|-"), |body| (body, "|"));
    out.push_str(mark);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent.max(2)));
            out.push_str(line);
        }
    }
}

/// A scalar in one line, in quotes where it would be read as something else.
fn scalar_text(value: &Value, is_in_line: bool) -> String {
    let Value::Text(text) = value.plain() else {
        return value.to_text().map_or_else(|| "null".to_owned(), |text| text.to_string());
    };
    if text.chars().any(char::is_control) {
        return write_json(&Value::Text(text.clone()));
    }
    let begins_oddly =
        text.starts_with(|first: char| "-?:,[]{}#&*!|>'\"%@`= ".contains(first)) || text.starts_with("<<");
    let has_mark = text.contains(": ") || text.contains(" #") || is_in_line && text.contains([',', '[', ']', '{', '}']);
    let is_date = text.len() >= 10 && text.as_bytes()[..4].iter().all(u8::is_ascii_digit) && text.as_bytes()[4] == b'-';
    if begins_oddly || has_mark || is_date || text.ends_with([' ', ':']) || plain(text).is_some() {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::parse_json;

    fn json_of(text: &str) -> Result<String> {
        let mut message = Message::new(Value::from(text));
        Yaml.unmarshal(&mut message)?;
        Ok(write_json(message.body.value()))
    }

    fn written(json: &str) -> String {
        let mut message = Message::new(parse_json(&Value::from(json)).unwrap());
        Yaml.marshal(&mut message).unwrap();
        message.body.value().to_text().unwrap().to_string()
    }

    #[test]
    fn scalars_are_what_they_look_like() {
        let text = "a: 1\nb: yes\nc: '1'\nd: ~\ne: 1.5\nf: 0x1F\ng: 1_000\nh: text here\ni: [1, 'x']\nj: {k: -2}\nk: 2026-01-01\n";
        let json = r#"{"a":1,"b":true,"c":"1","d":null,"e":1.5,"f":31,"g":1000,"h":"text here","i":[1,"x"],"j":{"k":-2},"k":"2026-01-01"}"#;
        assert_eq!(json_of(text).unwrap(), json);
        assert_eq!(json_of("").unwrap(), "null");
        assert!(json_of("a: [1").unwrap_err().to_string().contains("not YAML: body:"));
    }

    #[test]
    fn small_collections_stand_on_one_line() {
        assert_eq!(written(r#"{"a":1,"b":"x"}"#), "{a: 1, b: x}\n");
        assert_eq!(written(r#"{"a":1,"b":[1,2],"c":{"d":null}}"#), "a: 1\nb: [1, 2]\nc: {d: null}\n");
        assert_eq!(written(r#"[1,{"a":[{"b":1}]}]"#), "- 1\n- a:\n  - {b: 1}\n");
        assert_eq!(written("5"), "5\n");
        assert_eq!(written(r#"{"a":"b, c","l":["d, e"],"n":[[]]}"#), "a: b, c\nl: ['d, e']\nn:\n- []\n");
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for json in [
            r#"{"a":"yes","b":"1","c":"","d":"a: b","e":"it's","f":"- x","g":"l1\nl2","h":"l1\nl2\n","i":" x","j":"\t","k":"2026-01-01","l":"null"}"#,
            r#"[[],{},[[1]],{"a":{"b":{"c":["x",{"d":"a\n\nb"}]}}},"a, b",1.5,true,null]"#,
            r#"{"x":[["a"],"b\nc\n\n",{"y":1}],"z: w":"é"}"#,
        ] {
            assert_eq!(json_of(&written(json)).unwrap(), json, "{}", written(json));
        }
    }
}
