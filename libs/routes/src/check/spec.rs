//! What a part of a route file may say.

use crate::components::Side;
use crate::exchange::Kind;

/// What an element may say: its options, and what may stand inline in it.
#[derive(Debug)]
pub struct Spec {
    /// Its name in route files.
    pub name: &'static str,
    /// What it does, in a sentence without full stop.
    pub about: &'static str,
    /// The option that is meant when there is only a text, as in `to: mock:a`.
    pub scalar: Option<&'static str>,
    /// What may stand in it beside its options.
    pub inline: Inline,
    /// Its options.
    pub options: &'static [OptionSpec],
}

impl Spec {
    /// A spec without options, to be completed with struct update syntax.
    pub const EMPTY: Self = Self { name: "", about: "", scalar: None, inline: Inline::Nothing, options: &[] };

    /// The option of this name.
    pub fn option(&self, name: &str) -> Option<&'static OptionSpec> {
        self.options.iter().find(|option| option.name == name)
    }
}

/// What may stand in an element beside its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inline {
    /// Nothing.
    Nothing,
    /// An expression whose value is used: a language's name, or `expression` with one inside.
    Value,
    /// An expression that is a condition.
    Condition,
    /// The same as a value, and may be missing.
    OptionalValue,
    /// An expression that is a condition if `doWhile` is true, and a value otherwise.
    Loop,
    /// The name of a data format.
    DataFormat,
}

/// An option of an element.
#[derive(Debug)]
pub struct OptionSpec {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it does, in half a sentence.
    pub about: &'static str,
}

impl OptionSpec {
    /// An option that may be missing.
    pub const fn new(name: &'static str, takes: Takes, about: &'static str) -> Self {
        Self { name, takes, is_required: false, about }
    }

    /// An option that must be there.
    pub const fn required(name: &'static str, takes: Takes, about: &'static str) -> Self {
        Self { name, takes, is_required: true, about }
    }

    /// An option that is taken and changes nothing, because of how this engine works.
    pub const fn meaningless(name: &'static str, reason: &'static str) -> Self {
        Self { name, takes: Takes::Meaningless(reason), is_required: false, about: reason }
    }

    /// The same, of an option that is more than a text: what it says must have its form.
    pub const fn unused(name: &'static str, takes: &'static Takes, reason: &'static str) -> Self {
        Self { name, takes: Takes::Unused(takes, reason), is_required: false, about: reason }
    }

    /// An option of Camel that is refused.
    pub const fn refused(name: &'static str, instead: &'static str) -> Self {
        Self { name, takes: Takes::Refused(instead), is_required: false, about: instead }
    }
}

/// What an option takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number in this range.
    Integer(i64, i64),
    /// A number with decimals.
    Decimal,
    /// A time: milliseconds, or a number with a unit such as `5s` or `1m30s`.
    Duration,
    /// One of these words, without regard to case.
    OneOf(&'static [&'static str]),
    /// A Java class that [`Kind`] knows.
    Kind,
    /// The address of an endpoint; `parameters` beside it belong to it.
    Uri(Side),
    /// The address of an endpoint to send to, with `${…}` in it where it depends on the message.
    DynamicUri,
    /// The name of a template, which is the address of a kamelet.
    KameletName,
    /// A map of options for the address beside it.
    Parameters,
    /// A list of texts, or one text.
    Texts,
    /// Exception classes, or one.
    Classes,
    /// One exception class.
    Class,
    /// Text in the language `simple`.
    Simple,
    /// An expression whose value is used.
    Value,
    /// An expression that is a condition.
    Condition,
    /// Steps.
    Steps,
    /// An element.
    One(&'static Spec),
    /// A list of elements.
    Many(&'static Spec),
    /// Text that is taken, without effect here, for this reason; loading notes it.
    Meaningless(&'static str),
    /// The same of something else than text.
    Unused(&'static Takes, &'static str),
    /// Refused; what to do instead.
    Refused(&'static str),
}

impl Takes {
    /// A few words for documentation and messages.
    pub fn words(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Integer(min, max) if *max == i64::MAX => format!("a whole number from {min}"),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Decimal => "a number".to_owned(),
            Self::Duration => "a time: milliseconds, or with a unit as in `5s`".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Kind => {
                let names: Vec<_> = Kind::java_names().filter(|name| !name.contains('.')).collect();
                format!("a type such as {}", names.join(", "))
            }
            Self::Uri(_) => "the address of an endpoint".to_owned(),
            Self::DynamicUri => "the address of an endpoint, perhaps with `${…}` in it".to_owned(),
            Self::KameletName => "the name of a template".to_owned(),
            Self::Parameters => "a map of options of the endpoint".to_owned(),
            Self::Texts => "a text or a list of texts".to_owned(),
            Self::Classes => "exception classes".to_owned(),
            Self::Class => "an exception class".to_owned(),
            Self::Simple => "text in the language `simple`".to_owned(),
            Self::Value => "an expression".to_owned(),
            Self::Condition => "a condition".to_owned(),
            Self::Steps => "steps".to_owned(),
            Self::One(spec) => format!("a map ({})", spec.name),
            Self::Many(spec) => format!("a list of maps ({})", spec.name),
            Self::Meaningless(reason) | Self::Unused(_, reason) => format!("anything, without effect: {reason}"),
            Self::Refused(instead) => format!("refused: {instead}"),
        }
    }
}
