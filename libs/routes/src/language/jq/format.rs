//! jq's formats: `@base64`, `@csv` and the like.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD as BASE64_OPEN};

use crate::exchange::{Value, write_json};

use super::order;

/// How a value is written into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Html,
    Uri,
    Csv,
    Tsv,
    Shell,
    Base64,
    Base64Decoded,
}

const NAMES: &[(&str, Format)] = &[
    ("text", Format::Text),
    ("json", Format::Json),
    ("html", Format::Html),
    ("uri", Format::Uri),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("sh", Format::Shell),
    ("base64", Format::Base64),
    ("base64d", Format::Base64Decoded),
];

impl Format {
    pub(super) fn find(name: &str) -> Option<Format> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    pub(super) fn names() -> String {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| format!("@{name}")).collect();
        names.join(", ")
    }

    /// The value in this format.
    ///
    /// # Errors
    /// What kind of value cannot be written so.
    pub(super) fn write(self, value: &Value) -> Result<String, String> {
        match self {
            Format::Text => Ok(text(value)),
            Format::Json => Ok(write_json(value)),
            Format::Html => Ok(replaced(
                &text(value),
                &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('\'', "&#39;"), ('"', "&quot;")],
            )),
            Format::Uri => Ok(text(value).bytes().map(percent).collect()),
            Format::Csv => row(value, ",", |cell| match cell {
                Value::Text(text) => format!("\"{}\"", text.replace('"', "\"\"")),
                other => plain(other),
            }),
            Format::Tsv => row(value, "\t", |cell| {
                replaced(&plain(cell), &[('\\', "\\\\"), ('\t', "\\t"), ('\n', "\\n"), ('\r', "\\r")])
            }),
            Format::Shell => {
                let quoted = |value: &Value| match value {
                    Value::Text(text) => format!("'{}'", text.replace('\'', r"'\''")),
                    other => plain(other),
                };
                match value {
                    Value::List(_) => row(value, " ", quoted),
                    Value::Map(_) => Err(format!("{} cannot be written for a shell", order::described(value))),
                    other => Ok(quoted(other)),
                }
            }
            Format::Base64 => Ok(BASE64.encode(text(value))),
            Format::Base64Decoded => {
                let decoded = BASE64_OPEN.decode(text(value).trim_end_matches('='));
                match decoded {
                    Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                    Err(_) => Err(format!("{} is not Base64", order::described(value))),
                }
            }
        }
    }
}

/// Texts as they are, everything else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => write_json(other),
    }
}

fn plain(value: &Value) -> String {
    if value.is_null() { String::new() } else { text(value) }
}

fn row(value: &Value, between: &str, cell: impl Fn(&Value) -> String) -> Result<String, String> {
    let Value::List(values) = value else {
        return Err(format!("{} cannot be written as a row", order::described(value)));
    };
    if let Some(nested) = values.iter().find(|value| matches!(value, Value::List(_) | Value::Map(_))) {
        return Err(format!("{} does not fit into a row", order::described(nested)));
    }
    Ok(values.iter().map(cell).collect::<Vec<_>>().join(between))
}

fn replaced(text: &str, replacements: &[(char, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match replacements.iter().find(|(known, _)| *known == char) {
            Some((_, replacement)) => out.push_str(replacement),
            None => out.push(char),
        }
    }
    out
}

fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
