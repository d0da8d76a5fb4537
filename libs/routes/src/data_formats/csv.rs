//! CSV, as Apache Commons CSV reads and writes it for Camel.

use std::sync::Arc;

use bytes::Bytes;

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Body, Exception, Map, Message, Result, Text, Value, class};

use super::{DataFormat, FormatKind};

/// Most records of a document.
const RECORDS_MAX: usize = 1_000_000;
/// The header in which the names of the columns are kept.
const HEADER_RECORD: &str = "CamelCsvHeaderRecord";

const COMMONS: &str = "write what is wanted with the other options";

pub(super) static FORMAT: FormatKind = FormatKind {
    spec: Spec {
        name: "csv",
        about: "Comma-separated values: a list of lists, or of objects with `useMaps`",
        scalar: Some("format"),
        options: &[
            OptionSpec::new("delimiter", Takes::Text, "the character between values (,)"),
            OptionSpec::new("quote", Takes::Text, "the character around values (\")"),
            OptionSpec::new("quoteDisabled", Takes::Bool, "whether values have no quotes (false)"),
            OptionSpec::new("quoteMode", Takes::OneOf(&["ALL", "MINIMAL"]), "which values are quoted (MINIMAL)"),
            OptionSpec::new("recordSeparator", Takes::Text, "what ends a record that is written (CR LF)"),
            OptionSpec::new("header", Takes::Texts, "the names of the columns"),
            OptionSpec::new("skipHeaderRecord", Takes::Bool, "whether the first record is left out (false)"),
            OptionSpec::new("useMaps", Takes::Bool, "whether records are read as objects (false)"),
            OptionSpec::new(
                "captureHeaderRecord",
                Takes::Bool,
                "whether the names of the columns become a header (false)",
            ),
            OptionSpec::new("nullString", Takes::Text, "what stands for nothing"),
            OptionSpec::new("trim", Takes::Bool, "whether white space around values is left out (false)"),
            OptionSpec::new("ignoreSurroundingSpaces", Takes::Bool, "the same for values without quotes (false)"),
            OptionSpec::new("ignoreEmptyLines", Takes::Bool, "whether empty lines are no records (true)"),
            OptionSpec::unused("useOrderedMaps", &Takes::Bool, "objects keep their order"),
            OptionSpec::unused("lazyLoad", &Takes::Bool, "a body is read as a whole"),
            OptionSpec::unused("headerDisabled", &Takes::Bool, "there are no names unless they are given"),
            OptionSpec::unused("escapeDisabled", &Takes::Bool, "there is no escape character"),
            OptionSpec::unused("nullStringDisabled", &Takes::Bool, "nothing stands for nothing unless it is said"),
            OptionSpec::unused("commentMarkerDisabled", &Takes::Bool, "there are no comments"),
            OptionSpec::refused("format", COMMONS),
            OptionSpec::refused("allowMissingColumnNames", COMMONS),
            OptionSpec::refused("commentMarker", COMMONS),
            OptionSpec::refused("escape", COMMONS),
            OptionSpec::refused("formatName", COMMONS),
            OptionSpec::refused("formatRef", COMMONS),
            OptionSpec::refused("ignoreHeaderCase", COMMONS),
            OptionSpec::refused("marshallerFactoryRef", COMMONS),
            OptionSpec::refused("recordConverterRef", COMMONS),
            OptionSpec::refused("recordSeparatorDisabled", COMMONS),
            OptionSpec::refused("trailingDelimiter", COMMONS),
        ],
        ..Spec::EMPTY
    },
    build: |element| {
        let one = |name: &str, default: char| {
            let Some(text) = element.text(name) else { return Ok(default) };
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Ok(char),
                _ => Err(format!("`{name}` is one character")),
            }
        };
        Ok(Arc::new(Csv {
            delimiter: one("delimiter", ',')?,
            quote: if element.is_on("quoteDisabled") { None } else { Some(one("quote", '"')?) },
            quotes_all: element.text("quoteMode").is_some_and(|mode| mode.eq_ignore_ascii_case("all")),
            separator: element.text("recordSeparator").unwrap_or("\r\n").to_owned(),
            header: element.texts("header").iter().flat_map(|names| names.split(',')).map(Text::from).collect(),
            skips_header: element.is_on("skipHeaderRecord"),
            uses_maps: element.is_on("useMaps"),
            captures_header: element.is_on("captureHeaderRecord"),
            null: element.text("nullString").map(str::to_owned),
            trims: element.is_on("trim"),
            ignores_spaces: element.is_on("ignoreSurroundingSpaces"),
            ignores_empty: element.flag("ignoreEmptyLines").unwrap_or(true),
        }))
    },
};

#[derive(Debug)]
struct Csv {
    delimiter: char,
    quote: Option<char>,
    quotes_all: bool,
    separator: String,
    header: Vec<Text>,
    skips_header: bool,
    uses_maps: bool,
    captures_header: bool,
    null: Option<String>,
    trims: bool,
    ignores_spaces: bool,
    ignores_empty: bool,
}

impl DataFormat for Csv {
    fn marshal(&self, message: &mut Message) -> Result<()> {
        let mut out = String::new();
        if !self.header.is_empty() && !self.skips_header {
            self.write(&mut out, self.header.iter().map(|name| Value::Text(name.clone())));
        }
        let body = message.body.value();
        match body.plain() {
            Value::List(rows) => rows.iter().try_for_each(|row| self.row(&mut out, row.plain()))?,
            row => self.row(&mut out, row)?,
        }
        message.body = Body::new(Value::Bytes(Bytes::from(out)));
        Ok(())
    }

    fn unmarshal(&self, message: &mut Message) -> Result<()> {
        let text = message.body.value().to_text().unwrap_or_default();
        let mut records = self.records(&text)?.into_iter();
        let mut header = self.header.clone();
        if header.is_empty() && (self.uses_maps || self.captures_header) || self.skips_header {
            let first = records.next().unwrap_or_default();
            if header.is_empty() {
                header = first.iter().filter_map(Value::to_text).collect();
            }
        }
        let rows = records.map(|record| match self.uses_maps {
            true => Value::map(header.iter().cloned().zip(record).collect::<Map>()),
            false => Value::list(record),
        });
        message.body = Body::new(Value::list(rows.collect()));
        if self.captures_header {
            let names = header.into_iter().map(Value::Text).collect();
            message.headers.set(Text::fixed(HEADER_RECORD), Value::list(names));
        }
        Ok(())
    }
}

impl Csv {
    fn row(&self, out: &mut String, row: &Value) -> Result<()> {
        match row {
            Value::Map(map) if !self.header.is_empty() => {
                self.write(out, self.header.iter().map(|name| map.get(name).cloned().unwrap_or_default()));
            }
            Value::Map(map) => self.write(out, map.iter().map(|(_, value)| value.clone())),
            Value::List(values) => self.write(out, values.iter().cloned()),
            value => {
                let message = format!("a record is a list or an object, and not a value of type {}", value.type_name());
                return Err(Exception::new(&class::NO_TYPE_CONVERSION, message));
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut String, values: impl Iterator<Item = Value>) {
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            let Some(text) = value.to_text() else {
                out.push_str(self.null.as_deref().unwrap_or(""));
                continue;
            };
            let text = if self.trims { text.trim() } else { &text };
            match self.quote {
                Some(quote) if self.quotes_all || self.is_quoted(text, quote, index == 0) => {
                    out.push(quote);
                    out.push_str(&text.replace(quote, &format!("{quote}{quote}")));
                    out.push(quote);
                }
                _ => out.push_str(text),
            }
        }
        out.push_str(&self.separator);
    }

    /// Whether a value needs quotes, as Commons CSV has it: also where it begins or ends with something
    /// that a reader might take for something else.
    fn is_quoted(&self, text: &str, quote: char, is_first: bool) -> bool {
        let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else { return is_first };
        let needs = |char: char| char == quote || char == self.delimiter || char == '\n' || char == '\r';
        first <= '#' || last <= ' ' || text.contains(needs)
    }

    fn records(&self, text: &Text) -> Result<Vec<Vec<Value>>> {
        let mut records = Vec::new();
        let mut record = Vec::new();
        let mut rest = text.as_str();
        let mut line = 1;
        while !rest.is_empty() || !record.is_empty() {
            let (value, after) = self.value(text, rest).ok_or_else(|| {
                let message =
                    format!("(line {line}) a quote is not closed, or followed by something else than a delimiter");
                Exception::new(&class::IO, message)
            })?;
            record.push(value);
            if let Some(next) = after.strip_prefix(self.delimiter) {
                rest = next;
                if rest.is_empty() {
                    record.push(self.read("", false, text));
                    records.push(std::mem::take(&mut record));
                }
                continue;
            }
            rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\r', '\n'])).unwrap_or(after);
            line += 1;
            let is_empty = record.len() == 1 && matches!(&record[0], Value::Text(only) if only.is_empty());
            let record = std::mem::take(&mut record);
            if !(is_empty && self.ignores_empty) {
                records.push(record);
            }
            if records.len() > RECORDS_MAX {
                return Err(Exception::new(&class::IO, format!("more than {RECORDS_MAX} records")));
            }
        }
        Ok(records)
    }

    /// The value at the start of `rest`, and what is behind it; nothing where quotes are wrong.
    fn value<'t>(&self, whole: &Text, rest: &'t str) -> Option<(Value, &'t str)> {
        let ends = |char: char| char == self.delimiter || char == '\n' || char == '\r';
        let start = if self.ignores_spaces { rest.trim_start_matches([' ', '\t']) } else { rest };
        let Some(inner) = self.quote.and_then(|quote| start.strip_prefix(quote)) else {
            let end = start.find(ends).unwrap_or(start.len());
            return Some((self.read(&start[..end], false, whole), &start[end..]));
        };
        let quote = self.quote?;
        let mut at = 0;
        loop {
            let end = at + inner[at..].find(quote)?;
            let after = &inner[end + quote.len_utf8()..];
            if let Some(next) = after.strip_prefix(quote) {
                at = inner.len() - next.len();
                continue;
            }
            let after = after.trim_start_matches([' ', '\t']);
            if !after.is_empty() && !after.starts_with(ends) {
                return None;
            }
            let text = &inner[..end];
            let value = if text.contains(quote) {
                self.read(&text.replace(&format!("{quote}{quote}"), &quote.to_string()), true, whole)
            } else {
                self.read(text, true, whole)
            };
            return Some((value, after));
        }
    }

    fn read(&self, text: &str, is_quoted: bool, whole: &Text) -> Value {
        let text = if self.trims || self.ignores_spaces && !is_quoted { text.trim() } else { text };
        if self.null.as_deref() == Some(text) { Value::Null } else { Value::Text(whole.part(text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv() -> Csv {
        Csv {
            delimiter: ',',
            quote: Some('"'),
            quotes_all: false,
            separator: "\r\n".to_owned(),
            header: Vec::new(),
            skips_header: false,
            uses_maps: false,
            captures_header: false,
            null: None,
            trims: false,
            ignores_spaces: false,
            ignores_empty: true,
        }
    }

    fn read(csv: &Csv, text: &str) -> String {
        let mut message = Message::new(Value::from(text));
        match csv.unmarshal(&mut message) {
            Ok(()) => message.body.value().to_text().unwrap().to_string(),
            Err(exception) => exception.to_string(),
        }
    }

    #[test]
    fn records_are_lists_or_objects() {
        for (text, wanted) in [
            ("a,b\r\nc,d\n", "[[a, b], [c, d]]"),
            ("a,,\n\n\"x,\"\"y\"\"\",\"l1\nl2\"", "[[a, , ], [x,\"y\", l1\nl2]]"),
            ("", "[]"),
            ("a", "[[a]]"),
            (",", "[[, ]]"),
        ] {
            assert_eq!(read(&csv(), text), wanted, "{text:?}");
        }
        assert!(read(&csv(), "\"a").contains("line 1"));
        assert!(read(&csv(), "\"a\"b").contains("line 1"));
        let maps = Csv { uses_maps: true, null: Some("-".to_owned()), trims: true, ..csv() };
        assert_eq!(read(&maps, "k,v\n a ,-\nb,2,3\n"), "[{k=a, v=null}, {k=b, v=2}]");
        let named = Csv { header: vec![Text::fixed("x")], skips_header: true, ..maps };
        assert_eq!(read(&named, "k,v\na,1"), "[{x=a}]");
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let text = "\"\",b\r\né,\"c,d\"\r\n\"#x\",\"q\"\"q\"\r\n";
        let mut message = Message::new(Value::from(text));
        csv().unmarshal(&mut message).unwrap();
        csv().marshal(&mut message).unwrap();
        assert_eq!(message.body.value().to_text().unwrap(), text);
        let mut message =
            Message::new(crate::exchange::parse_json(&Value::from(r#"[{"b":1,"a":null},{"a":"x"}]"#)).unwrap());
        Csv { header: vec![Text::fixed("a"), Text::fixed("b")], ..csv() }.marshal(&mut message).unwrap();
        assert_eq!(message.body.value().to_text().unwrap(), "a,b\r\n,1\r\nx,\r\n");
    }
}
