//! Expression languages: what turns the text in a route file into something that can be evaluated.
//!
//! A language compiles its text when the routes are loaded, so that everything wrong with it is
//! known before the first message; what it compiles to is evaluated for each exchange, shares
//! nothing between exchanges and never waits.

pub mod jq;
mod jsonpath;
mod lookup;
mod program;
pub mod simple;
#[cfg(test)]
mod table;
mod tokenize;
mod wrapper;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::clock::Clock;
use crate::exchange::{Exchange, Kind, Result, Text, Value};

/// An expression that is ready to be evaluated.
pub trait Expression: Send + Sync + fmt::Debug {
    /// The value for this exchange.
    ///
    /// `wanted` is the type that the caller will convert the result to; an expression may use it to
    /// save work, and need not obey it. A caller that does not care wants [`Kind::Any`].
    ///
    /// # Errors
    /// With the exception that fails the exchange, in the class that Camel would throw.
    fn evaluate(&self, exchange: &Exchange, wanted: Kind) -> Result<Value>;

    /// The value, if it is the same for all exchanges.
    fn constant(&self) -> Option<&Value> {
        None
    }
}

/// A condition that is ready to be evaluated.
pub trait Predicate: Send + Sync + fmt::Debug {
    /// Whether the exchange meets the condition.
    ///
    /// # Errors
    /// With the exception that fails the exchange.
    fn matches(&self, exchange: &Exchange) -> Result<bool>;
}

/// One language.
pub trait Language: Send + Sync + fmt::Debug {
    /// Its name in route files, for example `simple`.
    fn name(&self) -> &'static str;

    /// The options that may stand beside the text, without `id`.
    fn options(&self) -> &'static [LanguageOption] {
        &[]
    }

    /// Compiles text where a value is wanted.
    ///
    /// # Errors
    /// If the text is not of this language.
    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError>;

    /// Compiles text where a condition is wanted.
    ///
    /// # Errors
    /// If the text is not of this language.
    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError>;
}

/// An option of a language, for the reader and the support matrix.
#[derive(Debug)]
pub struct LanguageOption {
    /// Its name, for example `resultType`.
    pub name: &'static str,
    /// What values it takes.
    pub values: OptionValues,
    /// What it does, in half a sentence.
    pub about: &'static str,
}

/// What values an option takes.
#[derive(Debug, Clone, Copy)]
pub enum OptionValues {
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A Java class that [`Kind`] knows.
    Kind,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Accepted, and without effect here; loading tells so with this reason.
    Meaningless(&'static str),
    /// Refused; what to do instead.
    Refused(&'static str),
}

/// What a language compiles.
#[derive(Debug)]
pub struct Source<'a> {
    /// The text, with placeholders already replaced, trimmed unless the file says otherwise.
    pub text: &'a str,
    /// The options of the file, known to be in [`Language::options`] and to have proper values.
    pub options: &'a [(&'static str, Text)],
    /// What expressions may use beside the exchange.
    pub surroundings: &'a Surroundings,
}

impl Source<'_> {
    /// The text of an option, if the file has it.
    pub fn option(&self, name: &str) -> Option<&Text> {
        self.options.iter().find_map(|(known, value)| (*known == name).then_some(value))
    }

    /// Whether an option is there and true.
    pub fn is_on(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The type that `resultType` names; [`Kind::Any`] without it.
    pub fn result_type(&self) -> Kind {
        self.option("resultType").and_then(|name| Kind::from_java_name(name)).unwrap_or_default()
    }
}

/// What expressions may use beside the exchange; clones are cheap.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: Clock,
    /// The values of `{{placeholders}}`, for `${properties:NAME}`.
    pub properties: Arc<Properties>,
    /// The name of the whole, as `${camelId}` gives it.
    pub name: Text,
    /// The most steps that one evaluation may take, for languages with loops.
    pub steps_max: u64,
    /// The most bytes that one evaluation may build.
    pub bytes_max: usize,
}

/// Placeholders and their values.
pub type Properties = std::collections::BTreeMap<String, String>;

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            properties: Arc::default(),
            name: Text::fixed("techleet"),
            steps_max: 1_000_000,
            bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// A text that is not of its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The bytes of the text that are wrong; empty at the place where something is missing.
    pub range: Range<usize>,
    /// What is wrong, with the nearest thing that would be right: lower case, no full stop.
    pub reason: String,
    /// What else is wrong with the same text.
    pub others: Vec<SyntaxError>,
}

impl SyntaxError {
    /// An error about a part of the text.
    pub fn new(range: Range<usize>, reason: impl Into<String>) -> Self {
        Self { range, reason: reason.into(), others: Vec::new() }
    }

    /// This mistake and the others.
    pub fn all(&self) -> impl Iterator<Item = &SyntaxError> {
        std::iter::once(self).chain(&self.others)
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SyntaxError {}

/// All languages, in the order of the support matrix.
static LANGUAGES: &[&dyn Language] = &[
    &simple::Simple("simple"),
    &lookup::Lookup::Constant,
    &jq::Jq,
    &jsonpath::JsonPath,
    &lookup::Lookup::Header,
    &lookup::Lookup::ExchangeProperty,
    &lookup::Lookup::Variable,
    &tokenize::Tokenize,
    &simple::Simple("csimple"),
    &wrapper::Wrapper,
];

/// The language with this name.
pub fn find(name: &str) -> Option<&'static dyn Language> {
    LANGUAGES.iter().copied().find(|language| language.name() == name)
}

/// All languages.
pub fn all() -> &'static [&'static dyn Language] {
    LANGUAGES
}
