//! Headers of a message: names that ignore case and keep their first spelling.

use std::cmp::Ordering;

use super::text::Text;
use super::value::Value;

/// Headers, in the order of their names without regard to case, as Camel's map has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers(Vec<(Text, Value)>);

/// How the names of headers begin that tell the engine and its components what to do.
const RESERVED: &[&str] = &["camel", "kafka.", "notify.", "audit."];

impl Headers {
    /// Whether a header of this name tells the engine or a component what to do: a route sets it, nobody from outside
    /// does, and it goes nowhere.
    pub fn is_reserved(name: &str) -> bool {
        RESERVED.iter().any(|start| name.get(..start.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(start)))
    }

    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the header, if it is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).ok().map(|at| &self.0[at].1)
    }

    /// Sets a header; one that is there keeps the spelling of its name.
    pub fn set(&mut self, name: Text, value: Value) {
        match self.place(&name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.place(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the headers for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Text, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name, value))
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| compare(known, name))
    }
}

impl Extend<(Text, Value)> for Headers {
    fn extend<I: IntoIterator<Item = (Text, Value)>>(&mut self, entries: I) {
        for (name, value) in entries {
            self.set(name, value);
        }
    }
}

impl FromIterator<(Text, Value)> for Headers {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in entries {
            headers.set(name, value);
        }
        headers
    }
}

/// By lower-case characters.
fn compare(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        return a.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(b.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    a.chars().flat_map(char::to_lowercase).cmp(b.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_known_in_any_spelling() {
        for name in ["CamelHttpUri", "camelhttpuri", "kafka.OVERRIDE_TOPIC", "KAFKA.key", "notify.to", "Audit.entity"] {
            assert!(Headers::is_reserved(name), "{name}");
        }
        for name in ["", "came", "kafka", "ce_id", "notified", "größe"] {
            assert!(!Headers::is_reserved(name), "{name}");
        }
    }

    #[test]
    fn names_ignore_case_and_keep_their_first_spelling() {
        let mut headers = Headers::new();
        headers.set(Text::from("Content-Type"), Value::from("a"));
        headers.set(Text::from("größe"), Value::from("x"));
        headers.set(Text::from("content-type"), Value::from("b"));
        headers.set(Text::from("GRÖSSE"), Value::from("z"));
        headers.set(Text::from("GRÖßE"), Value::from("y"));
        assert_eq!(headers.get("CONTENT-TYPE"), Some(&Value::from("b")));
        assert_eq!(headers.get("größe"), Some(&Value::from("y")));
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Content-Type", "GRÖSSE", "größe"]);
    }
}
