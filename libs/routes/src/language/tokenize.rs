//! `tokenize`: text cut at a delimiter, for the step split.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::exchange::{Exchange, Kind, Result, Text, Value};

use super::program::{Input, SOURCE};
use super::{Expression, Language, LanguageOption, OptionValues, Predicate, Source, SyntaxError};

const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// The language.
#[derive(Debug)]
pub(super) struct Tokenize;

impl Language for Tokenize {
    fn name(&self) -> &'static str {
        "tokenize"
    }

    fn options(&self) -> &'static [LanguageOption] {
        const OPTIONS: &[LanguageOption] = &[
            LanguageOption { name: "token", values: OptionValues::Text, about: "where to cut" },
            LanguageOption {
                name: "endToken",
                values: OptionValues::Text,
                about: "the end, where `token` is the start",
            },
            LanguageOption { name: "includeTokens", values: OptionValues::Bool, about: "keep both tokens" },
            LanguageOption { name: "regex", values: OptionValues::Bool, about: "`token` is a pattern" },
            LanguageOption { name: "group", values: OptionValues::Integer, about: "how many parts make one" },
            LanguageOption {
                name: "groupDelimiter",
                values: OptionValues::Text,
                about: "what stands between grouped parts",
            },
            LanguageOption { name: "skipFirst", values: OptionValues::Bool, about: "leave out the first part" },
            LanguageOption {
                name: "resultType",
                values: OptionValues::Refused("use `convertBodyTo` for the parts"),
                about: "use `convertBodyTo` for the parts",
            },
            LanguageOption {
                name: "inheritNamespaceTagName",
                values: OptionValues::Refused("there is no XML here"),
                about: "there is no XML here",
            },
            LanguageOption { name: "xml", values: OptionValues::OneOf(&["false"]), about: "XML is not supported" },
            SOURCE,
        ];
        OPTIONS
    }

    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError> {
        Ok(Arc::new(Cut::new(source)?))
    }

    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError> {
        Ok(Arc::new(Cut::new(source)?))
    }
}

#[derive(Debug)]
enum At {
    Token(Text),
    Pattern(Regex),
    Pair { start: Text, end: Text, included: bool },
}

#[derive(Debug)]
struct Cut {
    input: Input,
    at: At,
    group: Option<usize>,
    between: Text,
    skips_first: bool,
}

impl Cut {
    fn new(source: &Source<'_>) -> Result<Self, SyntaxError> {
        let refuse = |reason: String| SyntaxError::new(0..source.text.len(), reason);
        let token = source.option("token").cloned().unwrap_or_else(|| Text::from(source.text));
        if token.is_empty() {
            return Err(refuse("tokenize needs a token".to_owned()));
        }
        let included = source.is_on("includeTokens");
        let at = match source.option("endToken") {
            Some(_) if source.is_on("regex") => return Err(refuse("regex and endToken exclude each other".to_owned())),
            Some(end) => At::Pair { start: token.clone(), end: end.clone(), included },
            None if included => return Err(refuse("includeTokens needs endToken".to_owned())),
            None if source.is_on("regex") => {
                let pattern = RegexBuilder::new(&token).size_limit(PATTERN_BYTES_MAX).build();
                At::Pattern(pattern.map_err(|_| refuse(format!("{token} is no pattern that is supported")))?)
            }
            None => At::Token(token.clone()),
        };
        let group = match source.option("group") {
            None => None,
            Some(count) => match count.parse::<usize>() {
                Ok(count) if count > 0 => Some(count),
                _ => return Err(refuse(format!("group {count} is no number above 0"))),
            },
        };
        let between = source.option("groupDelimiter").cloned().unwrap_or(token);
        Ok(Self { input: Input::of(source)?, at, group, between, skips_first: source.is_on("skipFirst") })
    }

    fn parts(&self, text: &Text) -> Vec<Text> {
        let mut parts: Vec<Text> = match &self.at {
            At::Token(token) => text.split(token.as_str()).map(|part| text.part(part)).collect(),
            At::Pattern(pattern) => pattern.split(text).map(|part| text.part(part)).collect(),
            At::Pair { start, end, included } => return pairs(text, start, end, *included),
        };
        // what begins or ends with the delimiter has no part there
        if parts.first().is_some_and(|first| first.is_empty()) {
            parts.remove(0);
        }
        if parts.last().is_some_and(|last| last.is_empty()) {
            parts.pop();
        }
        parts
    }
}

fn pairs(text: &Text, start: &str, end: &str, included: bool) -> Vec<Text> {
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some(from) = rest.find(start) {
        let inner = &rest[from + start.len()..];
        let Some(to) = inner.find(end) else {
            // the end of the text ends the last part
            parts.push(text.part(if included { &rest[from..] } else { inner }));
            break;
        };
        let whole = &rest[from..from + start.len() + to + end.len()];
        parts.push(text.part(if included { whole } else { &inner[..to] }));
        rest = &inner[to + end.len()..];
    }
    parts
}

impl Expression for Cut {
    fn evaluate(&self, exchange: &Exchange, _wanted: Kind) -> Result<Value> {
        let Some(text) = self.input.value(exchange).to_text() else { return Ok(Value::Null) };
        let mut parts = self.parts(&text);
        if self.skips_first && !parts.is_empty() {
            parts.remove(0);
        }
        let parts = match self.group {
            None => parts.into_iter().map(Value::Text).collect(),
            Some(count) => parts.chunks(count).map(|parts| Value::from(parts.join(self.between.as_str()))).collect(),
        };
        Ok(Value::list(parts))
    }
}

impl Predicate for Cut {
    fn matches(&self, exchange: &Exchange) -> Result<bool> {
        Ok(self.evaluate(exchange, Kind::Bool)?.is_true())
    }
}
