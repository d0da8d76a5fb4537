//! Configuration in layers, so that every process of ours is set up the same way and all
//! mistakes of all layers are told at once, each with the place it comes from.
//!
//! The embedded `config/default.toml` is the schema: it holds every key, its type, its default
//! and what is allowed. Later layers override single keys:
//! defaults < file < environment < flags.

mod address;
mod environment;
mod layers;
mod schema;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

pub use environment::Environment;

use crate::error::{ConfigError, Mistake};
use crate::profile::Profile;
use schema::Schema;
use value::{Node, Value};

/// The defaults built into the program, which are also the schema.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// Keys whose values are never printed, logged or put in a message.
pub const SECRET_KEYS: &[&str] = &[
    "auth.operator_token",
    "database.url",
    "kafka.sasl_password",
    "broker.security.first_user_password",
    "redis.password",
    "user_service.access_token_key",
    "container.smtp.password",
    "container.sms.secret_headers",
    "container.push.secret_headers",
];

/// What stands in a listing in place of a secret.
const MASK: &str = "\"***\"";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// The embedded `default.toml`.
    Default,
    /// A configuration file.
    File {
        /// The file, as it was named.
        path: String,
        /// The line, from 1; 0 when it concerns the whole file.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A `--set` flag, as it was given up to the `=`.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => f.write_str(path),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(key) => write!(f, "flag --set {key}"),
        }
    }
}

/// What a configuration is made from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named with `--config`, if any.
    pub file: Option<PathBuf>,
    /// The environment, passed in so that tests need not touch the process's own.
    pub environment: Environment,
    /// The values of `--set`, each `section.key=value`, in the order given; the last one wins.
    pub flags: Vec<String>,
}

/// The merged and checked configuration of a process.
#[derive(Clone)]
pub struct Settings {
    /// In the order of the default file.
    entries: Vec<Entry>,
    by_key: BTreeMap<String, usize>,
}

#[derive(Clone)]
struct Entry {
    key: String,
    value: Value,
    source: Source,
}

/// The names only: a configuration holds secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("keys", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Settings {
    /// Merges the embedded defaults with `sources`.
    ///
    /// # Errors
    /// Every mistake of every layer: unreadable file, unknown key, wrong type, value not allowed.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::load_with_defaults(DEFAULTS, sources)
    }

    /// As [`Settings::load`], with another default file: for tools with a schema of their own.
    ///
    /// # Errors
    /// Every mistake of every layer, the default file included.
    pub fn load_with_defaults(defaults: &str, sources: &Sources) -> Result<Self, ConfigError> {
        let schema = Schema::parse(defaults)?;
        let mut mistakes = Vec::new();
        let overrides = layers::collect(&schema, sources, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(ConfigError::new(mistakes));
        }
        let mut entries: Vec<Entry> = schema
            .keys()
            .iter()
            .map(|key| Entry { key: key.path.clone(), value: key.default.clone(), source: Source::Default })
            .collect();
        let by_key: BTreeMap<String, usize> =
            entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
        for change in overrides {
            let index = by_key.get(&change.key).expect("layers only give keys of the schema");
            let entry = &mut entries[*index];
            entry.value = change.value;
            entry.source = change.source;
        }
        Ok(Self { entries, by_key })
    }

    /// One section, as a typed structure. A text of `""` becomes `None` where an `Option` is asked for.
    ///
    /// # Errors
    /// A key whose value does not fit `T`'s field, named with its source; a section or a field
    /// that does not exist.
    pub fn section<T: DeserializeOwned>(&self, section: &str) -> Result<T, ConfigError> {
        let prefix = format!("{section}.");
        let members: Vec<(&str, &Value)> =
            self.entries.iter().filter_map(|entry| Some((entry.key.strip_prefix(&prefix)?, &entry.value))).collect();
        if members.is_empty() {
            return Err(ConfigError::one(Source::Default, format!("there is no section `{section}`")));
        }
        self.deserialize(section, Node::tree(&members))
    }

    /// One value by its whole key, as in `data_dir` or `log.format`.
    ///
    /// # Errors
    /// The key does not exist, or its value does not fit `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, ConfigError> {
        match self.entry(key) {
            Some(entry) => self.deserialize(key, Node::Scalar(entry.value.clone())),
            None => Err(ConfigError::one(Source::Default, format!("there is no key `{key}`"))),
        }
    }

    /// Where the value of a key comes from; `None` when there is no such key.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.entry(key).map(|entry| &entry.source)
    }

    /// The profile this process runs under.
    ///
    /// # Errors
    /// The schema lacks the key, which only another default file than ours can cause.
    pub fn profile(&self) -> Result<Profile, ConfigError> {
        self.get("profile")
    }

    /// The whole configuration as TOML, each line with its source; secrets are masked.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::new();
        let mut current = "";
        for entry in &self.entries {
            let (section, name) = entry.key.rsplit_once('.').unwrap_or(("", &entry.key));
            if section != current {
                out.push_str(&format!("\n[{section}]\n"));
                current = section;
            }
            let value = if is_secret(&entry.key) && !entry.value.is_unset() {
                MASK.to_owned()
            } else {
                entry.value.to_string()
            };
            out.push_str(&format!("{name} = {value}  # from {}\n", entry.source));
        }
        out
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.by_key.get(key).map(|index| &self.entries[*index])
    }

    fn deserialize<T: DeserializeOwned>(&self, at: &str, node: Node) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(node).map_err(|error| {
            let within = error.path().to_string();
            let key = if within == "." { at.to_owned() } else { format!("{at}.{within}") };
            let source = self.source(&key).cloned().unwrap_or(Source::Default);
            let reason = if is_secret(&key) { "the value does not fit".to_owned() } else { error.inner().to_string() };
            ConfigError::new(vec![Mistake { source, problem: format!("`{key}`: {reason}") }])
        })
    }
}

/// Whether the value of this key must never be shown.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_default_file_has_a_comment() {
        let schema = Schema::parse(DEFAULTS).unwrap();
        let bare: Vec<&str> = schema
            .keys()
            .iter()
            .filter(|key| key.comment.is_empty() || key.comment.len() > 4)
            .map(|key| key.path.as_str())
            .collect();
        assert_eq!(bare, Vec::<&str>::new(), "one to three lines, and Allowed");
    }

    /// A link that people are sent may lead into an app, and a database's address is a secret with forms of its own.
    #[test]
    fn every_address_is_checked_when_it_is_read() {
        let schema = Schema::parse(DEFAULTS).unwrap();
        let names = ["listen", "advertise", "brokers", "listeners", "advertised_listeners", "url", "user_service_url"];
        let is_address = |key: &&schema::Key| {
            key.path.rsplit('.').next().is_some_and(|name| names.contains(&name)) && !is_secret(&key.path)
        };
        let addresses: Vec<&schema::Key> = schema.keys().iter().filter(is_address).collect();
        assert_eq!(addresses.len(), 13);
        for key in addresses {
            let checked = layers::check(key, key.default.clone());
            assert!(matches!(key.allowed, Some(schema::Allowed::Address(_))), "{} has an `Allowed:` line", key.path);
            assert_eq!(checked, Ok(key.default.clone()), "{}: the default is right", key.path);
        }
    }

    #[test]
    fn every_secret_key_exists() {
        let schema = Schema::parse(DEFAULTS).unwrap();
        for key in SECRET_KEYS {
            assert!(schema.key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn every_alias_names_a_key() {
        let schema = Schema::parse(DEFAULTS).unwrap();
        for (variable, key) in environment::ALIASES {
            assert!(schema.key(key).is_some(), "{variable} -> {key}");
        }
    }
}
