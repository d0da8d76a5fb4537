//! The default file read as a schema: which keys there are, of which kind, and what is allowed.

use toml::de::{DeTable, DeValue};

use super::Source;
use super::address::Address;
use super::value::Value;
use crate::error::{ConfigError, Mistake};

/// What the default file is called in messages.
const NAME: &str = "default.toml";

/// How much two names may differ for one to be suggested in place of the other:
/// one letter in three, and two in short names.
const SUGGESTION_SHARE: usize = 3;
const SUGGESTION_LETTERS_MIN: usize = 2;

/// One key of the default file.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) path: String,
    pub(super) default: Value,
    /// The comment's lines, without `#`.
    #[cfg_attr(not(test), allow(dead_code, reason = "checked by a test: every key has one"))]
    pub(super) comment: Vec<String>,
    pub(super) allowed: Option<Allowed>,
}

/// What a comment's line `Allowed: …` says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Allowed {
    Words(Vec<String>),
    Range(i64, i64),
    /// One in a text, or each in a list.
    Address(Address),
}

impl Allowed {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_suffix('.')?;
        if let Some(address) = Address::named(text) {
            return Some(Self::Address(address));
        }
        if let Some((low, high)) = text.split_once(" to ") {
            return Some(Self::Range(low.trim().parse().ok()?, high.trim().parse().ok()?));
        }
        let words = text.split(',').map(|word| word.trim().trim_matches('"').to_owned());
        Some(Self::Words(words.collect()))
    }
}

/// All keys, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    keys: Vec<Key>,
}

impl Schema {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mistakes = errors.iter().map(|error| syntax_mistake(NAME, text, error));
            return Err(ConfigError::new(mistakes.collect()));
        }
        let mut found = Vec::new();
        let mut mistakes = Vec::new();
        collect_keys(text, "", table.get_ref(), &mut found, &mut mistakes);
        found.sort_by_key(|(start, _)| *start);
        let keys: Vec<Key> = found.into_iter().map(|(_, key)| key).collect();
        if mistakes.is_empty() { Ok(Self { keys }) } else { Err(ConfigError::new(mistakes)) }
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(super) fn key(&self, path: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.path == path)
    }

    pub(super) fn is_section(&self, path: &str) -> bool {
        let prefix = format!("{path}.");
        self.keys.iter().any(|key| key.path.starts_with(&prefix))
    }

    /// The existing key that is most like `path`, if one is like it at all.
    pub(super) fn nearest_key(&self, path: &str) -> Option<&str> {
        nearest(path, self.keys.iter().map(|key| key.path.as_str()))
    }

    /// The existing section that is most like `path`, if one is like it at all.
    pub(super) fn nearest_section(&self, path: &str) -> Option<&str> {
        let sections = self.keys.iter().filter_map(|key| Some(key.path.rsplit_once('.')?.0));
        nearest(path, sections)
    }
}

/// Where in `text` a byte stands, as a line from 1.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count() + 1
}

/// A syntax error, without the line's text: it may hold a secret.
pub(super) fn syntax_mistake(path: &str, text: &str, error: &toml::de::Error) -> Mistake {
    let line = error.span().map_or(0, |span| line_of(text, span.start));
    Mistake {
        source: Source::File { path: path.to_owned(), line },
        problem: format!("is not TOML: {}", error.message()),
    }
}

fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / SUGGESTION_SHARE).max(SUGGESTION_LETTERS_MIN);
    names
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn collect_keys(
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    found: &mut Vec<(usize, Key)>,
    mistakes: &mut Vec<Mistake>,
) {
    for (name, value) in table {
        let path = join(prefix, name.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            collect_keys(text, &path, inner, found, mistakes);
            continue;
        }
        let start = name.span().start;
        let line = line_of(text, start);
        let mut mistake = |problem: String| {
            let source = Source::File { path: NAME.to_owned(), line };
            mistakes.push(Mistake { source, problem });
        };
        let Some(default) = Value::from_toml(value.get_ref()) else {
            mistake(format!("`{path}` has a kind of value that no setting can have"));
            continue;
        };
        let comment = comment_above(text, line);
        let allowed = comment.iter().find_map(|line| line.strip_prefix("Allowed:"));
        let allowed = match allowed.map(Allowed::parse) {
            None => None,
            Some(Some(allowed)) => Some(allowed),
            Some(None) => {
                mistake(format!("`{path}` has an `Allowed:` line that cannot be read"));
                continue;
            }
        };
        found.push((start, Key { path, default, comment, allowed }));
    }
}

/// The comment lines directly above a line (counted from 1).
fn comment_above(text: &str, line: usize) -> Vec<String> {
    let above: Vec<&str> = text.lines().take(line.saturating_sub(1)).collect();
    let mut comment: Vec<String> =
        above.iter().rev().map_while(|line| line.trim().strip_prefix('#')).map(|line| line.trim().to_owned()).collect();
    comment.reverse();
    comment
}

pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
