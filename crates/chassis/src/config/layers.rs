//! The layers over the defaults: a file, the environment, flags; each checked key by key.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{ALIASES, Environment, FILE_SUFFIX, PREFIX, TEST_PREFIX};
use super::schema::{Allowed, Key, Schema, join, line_of, syntax_mistake};
use super::value::{Value, shown};
use super::{Source, Sources, is_secret};
use crate::error::Mistake;

/// A larger configuration file is a mistake of the caller.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One key set by one layer; its key is in the schema and its value is of the right kind.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) source: Source,
}

/// All changes in the order in which they count, the last one for a key wins.
pub(super) fn collect(schema: &Schema, sources: &Sources, mistakes: &mut Vec<Mistake>) -> Vec<Change> {
    let mut layer = Layer { schema, mistakes, changes: Vec::new() };
    if let Some(path) = &sources.file {
        layer.read_file(path);
    }
    layer.read_environment(&sources.environment);
    for flag in &sources.flags {
        layer.read_flag(flag);
    }
    layer.changes
}

struct Layer<'a> {
    schema: &'a Schema,
    mistakes: &'a mut Vec<Mistake>,
    changes: Vec<Change>,
}

impl Layer<'_> {
    fn mistake(&mut self, source: Source, problem: String) {
        self.mistakes.push(Mistake { source, problem });
    }

    fn read_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let whole = Source::File { path: name.clone(), line: 0 };
        let text = match read_limited(path) {
            Ok(text) => text,
            Err(reason) => return self.mistake(whole, format!("cannot be read: {reason}")),
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            // What a broken file would have set is not known well enough to judge it.
            let mistakes = errors.iter().map(|error| syntax_mistake(&name, &text, error));
            self.mistakes.extend(mistakes);
            return;
        }
        self.read_table(&name, &text, "", table.get_ref());
    }

    fn read_table(&mut self, file: &str, text: &str, prefix: &str, table: &DeTable<'_>) {
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in members {
            let key = join(prefix, name.get_ref());
            let line = line_of(text, name.span().start);
            let source = Source::File { path: file.to_owned(), line };
            self.read_member(file, text, key, value, source);
        }
    }

    fn read_member(&mut self, file: &str, text: &str, key: String, value: &Spanned<DeValue<'_>>, source: Source) {
        let schema = self.schema;
        match value.get_ref() {
            DeValue::Table(inner) if schema.is_section(&key) => {
                self.read_table(file, text, &key, inner);
            }
            DeValue::Table(_) => {
                let problem = match schema.key(&key) {
                    Some(known) => {
                        format!("`{key}` must be {}, not a section", known.default.kind())
                    }
                    None => unknown("section", &key, schema.nearest_section(&key).map(str::to_owned)),
                };
                self.mistake(source, problem);
            }
            _ if schema.is_section(&key) => {
                self.mistake(source, format!("`{key}` is a section, not a value"));
            }
            scalar => match schema.key(&key) {
                Some(known) => {
                    let value = Value::from_toml(scalar);
                    let found = value.as_ref().map_or_else(|| format!("a {}", scalar.type_str()), ToString::to_string);
                    let value = value.and_then(|value| value.coerced(&known.default));
                    self.set(known, value, &found, source);
                }
                None => {
                    let near = schema.nearest_key(&key).map(str::to_owned);
                    self.mistake(source, unknown("key", &key, near));
                }
            },
        }
    }

    fn read_environment(&mut self, environment: &Environment) {
        for name in environment.unreadable() {
            if is_ours(name) || ALIASES.iter().any(|(alias, _)| *alias == name) {
                self.mistake(Source::Variable(name.to_owned()), "is not UTF-8".to_owned());
            }
        }
        // Aliases first: a variable with our own prefix is the more specific one and wins.
        for (name, key) in ALIASES {
            let Some(known) = self.schema.key(key) else { continue };
            if let Some(text) = environment.get(name) {
                self.set_text(known, text, Source::Variable((*name).to_owned()));
            }
            let file = format!("{name}{FILE_SUFFIX}");
            let is_alias = ALIASES.iter().any(|(alias, _)| *alias == file);
            if let Some(path) = environment.get(&file).filter(|_| is_secret(key) && !is_alias) {
                self.set_from_file(known, path, Source::Variable(file));
            }
        }
        for (name, text) in environment.iter().filter(|(name, _)| is_ours(name)) {
            let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
            let source = Source::Variable(name.to_owned());
            let of_file = key.strip_suffix(&FILE_SUFFIX.to_lowercase()).filter(|key| is_secret(key));
            match (self.schema.key(&key), of_file.and_then(|key| self.schema.key(key))) {
                (Some(known), _) => self.set_text(known, text, source),
                (None, Some(known)) => self.set_from_file(known, text, source),
                (None, None) => {
                    let near = self.schema.nearest_key(&key).map(variable);
                    self.mistake(source, unknown("key", &key, near));
                }
            }
        }
    }

    fn read_flag(&mut self, flag: &str) {
        let Some((key, text)) = flag.split_once('=') else {
            let source = Source::Flag(shown(flag));
            return self.mistake(source, "is not of the form section.key=value".to_owned());
        };
        let key = key.trim();
        let source = Source::Flag(key.to_owned());
        match self.schema.key(key) {
            Some(_) if is_secret(key) && holds_secret(text) => {
                let problem = format!(
                    "`{key}` is a secret, and everybody on this machine can read a command line: set {0}, or {0}{FILE_SUFFIX} \
                     to the name of a file that holds it, or write it into the file of --config",
                    variable(key)
                );
                self.mistake(source, problem);
            }
            Some(known) => self.set_text(known, text, source),
            None => {
                let near = self.schema.nearest_key(key).map(str::to_owned);
                self.mistake(source, unknown("key", key, near));
            }
        }
    }

    /// Sets a secret to what a file holds; a line's end at the end of it does not count.
    fn set_from_file(&mut self, known: &Key, path: &str, source: Source) {
        let text = match read_limited(Path::new(path)) {
            Ok(text) => text,
            Err(reason) => return self.mistake(source, format!("{path} cannot be read: {reason}")),
        };
        self.set_text(known, text.trim_end_matches(['\r', '\n']), source);
    }

    fn set_text(&mut self, known: &Key, text: &str, source: Source) {
        let value = Value::from_text(text, &known.default);
        self.set(known, value, &shown(text), source);
    }

    /// `value` is `None` when what was `found` is not of the key's kind.
    fn set(&mut self, known: &Key, value: Option<Value>, found: &str, source: Source) {
        let key = &known.path;
        let found = if is_secret(key) { String::new() } else { format!(", found {found}") };
        let Some(value) = value else {
            let kind = known.default.kind();
            return self.mistake(source, format!("`{key}` must be {kind}{found}"));
        };
        match check(known, value) {
            Ok(value) => self.changes.push(Change { key: key.clone(), value, source }),
            Err(expected) => self.mistake(source, format!("`{key}` must be {expected}{found}")),
        }
    }
}

/// The value in its canonical spelling, or what it should have been.
pub(super) fn check(known: &Key, value: Value) -> Result<Value, String> {
    match (&known.allowed, value) {
        (Some(Allowed::Words(words)), Value::Text(text)) => {
            words.iter().find(|word| word.eq_ignore_ascii_case(&text)).map(|word| Value::Text(word.clone())).ok_or_else(
                || {
                    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                    format!("one of {}", words.join(", "))
                },
            )
        }
        (Some(Allowed::Range(low, high)), Value::Int(number)) if !(*low..=*high).contains(&number) => {
            Err(format!("from {low} to {high}"))
        }
        // What is unset by default can be unset again.
        (Some(Allowed::Address(_)), value) if value.is_unset() && known.default.is_unset() => Ok(value),
        (Some(Allowed::Address(address)), value) if !value.texts().all(|text| address.is_form_of(text)) => {
            Err(address.words().to_owned())
        }
        // No setting with a default of zero or more has a meaning below zero.
        (None, Value::Int(number)) if number < 0 && known.default != Value::Int(number) => {
            Err("zero or more".to_owned())
        }
        (_, value) => Ok(value),
    }
}

/// Whether a secret key's value is one; an address of a database without a password is none.
fn holds_secret(text: &str) -> bool {
    let is_bare_address = text.split_once("://").is_some_and(|(_, rest)| !rest.contains('@'));
    !text.is_empty() && !text.starts_with("sqlite:") && !is_bare_address
}

fn unknown(what: &str, key: &str, near: Option<String>) -> String {
    match near {
        Some(near) => format!("unknown {what} `{key}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{key}`"),
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX)
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn read_limited(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than {FILE_BYTES_MAX}"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
