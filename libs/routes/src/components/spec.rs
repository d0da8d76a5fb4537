//! What the addresses of a component may say.

use crate::check::Given;
use crate::check::{EndpointText, Takes, nearest, read_given};

/// On which side of a route an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In `from`.
    From,
    /// In `to` and the like.
    To,
    /// On both.
    Both,
}

impl Side {
    fn includes(self, other: Self) -> bool {
        self == Self::Both || self == other
    }

    fn word(self) -> &'static str {
        match self {
            Self::From => "`from`",
            Self::To => "`to`",
            Self::Both => "`from` and `to`",
        }
    }
}

/// What the addresses of a component may say.
#[derive(Debug)]
pub struct ComponentSpec {
    /// The name that addresses begin with.
    pub name: &'static str,
    /// What it is, in a sentence without full stop.
    pub about: &'static str,
    /// What stands behind the name, for example `name`, as a parameter is called too; empty if nothing needs to.
    pub path: &'static str,
    /// On which side of a route it may stand.
    pub side: Side,
    /// Its options.
    pub options: &'static [EndpointOption],
}

/// An option of an address.
#[derive(Debug)]
pub struct EndpointOption {
    /// Its name.
    pub name: &'static str,
    /// What it takes: text, numbers, times, words; nothing with structure.
    pub takes: Takes,
    /// On which side it may stand.
    pub side: Side,
    /// What it does, in half a sentence.
    pub about: &'static str,
}

impl EndpointOption {
    /// An option.
    pub const fn new(name: &'static str, takes: Takes, side: Side, about: &'static str) -> Self {
        Self { name, takes, side, about }
    }

    /// An option that is taken and changes nothing, because of how this engine works.
    pub const fn meaningless(name: &'static str, reason: &'static str) -> Self {
        Self { name, takes: Takes::Meaningless(reason), side: Side::Both, about: reason }
    }
}

impl ComponentSpec {
    /// Everything that is wrong with an address; true for what refuses it, false for notes.
    pub fn check(&self, uri: &EndpointText, side: Side) -> Vec<(bool, String)> {
        let mut found = Vec::new();
        if !self.path.is_empty() && uri.path.is_empty() {
            found.push((true, format!("`{}:` needs `{}` behind the colon", self.name, self.path)));
        }
        for (name, value) in &uri.options {
            let Some(option) = self.options.iter().find(|option| option.name == name) else {
                found.push((true, self.unknown(name, side)));
                continue;
            };
            if !option.side.includes(side) {
                let words = option.side.word();
                found.push((true, format!("option `{name}` of `{}:` is only for {words}", self.name)));
            }
            match option.takes {
                Takes::Meaningless(reason) => {
                    found.push((false, format!("option `{name}` of `{}:` has no effect here: {reason}", self.name)));
                }
                Takes::Refused(instead) => {
                    found.push((true, format!("option `{name}` of `{}:` is not supported: {instead}", self.name)));
                }
                takes if read_given(value, &takes).is_none() => {
                    let words = takes.words();
                    found.push((true, format!("option `{name}` of `{}:` is {words}, and not `{value}`", self.name)));
                }
                _ => {}
            }
        }
        found
    }

    /// Whether the component may stand on this side.
    pub(super) fn check_side(&self, side: Side) -> Result<(), String> {
        if self.side.includes(side) {
            return Ok(());
        }
        Err(format!("`{}:` cannot stand in {}: it is only for {}", self.name, side.word(), self.side.word()))
    }

    fn unknown(&self, name: &str, side: Side) -> String {
        let names: Vec<_> =
            self.options.iter().filter(|option| option.side.includes(side)).map(|option| option.name).collect();
        match nearest(name, names.iter().copied()) {
            Some(near) => format!("unknown option `{name}` of `{}:`: did you mean `{near}`?", self.name),
            None if names.is_empty() => format!("unknown option `{name}` of `{}:`, which has none here", self.name),
            None => format!("unknown option `{name}` of `{}:`: known are {}", self.name, names.join(", ")),
        }
    }
}

/// An address that has been checked.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The address.
    pub text: EndpointText,
    /// What it may say.
    pub spec: &'static ComponentSpec,
}

impl Endpoint {
    fn given(&self, name: &str) -> Option<Given> {
        let option = self.spec.options.iter().find(|option| option.name == name);
        debug_assert!(option.is_some(), "{} has no option {name}", self.spec.name);
        read_given(self.text.option(name)?, &option?.takes)
    }

    /// A text, or one of several words.
    pub fn word(&self, name: &str) -> Option<String> {
        match self.given(name)? {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.given(name)? {
            Given::Bool(yes) => Some(yes),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.given(name)? {
            Given::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A whole number that counts things.
    pub fn count(&self, name: &str) -> Option<usize> {
        self.integer(name).and_then(|number| usize::try_from(number).ok())
    }

    /// A time, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Option<u64> {
        match self.given(name)? {
            Given::Duration(ms) => Some(ms),
            _ => None,
        }
    }
}
