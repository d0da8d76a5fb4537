//! Patterns of names as Camel has them: a name, one that ends in `*`, or a regular expression.

use regex::{Regex, RegexBuilder};

/// The largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// A pattern of names; upper and lower case are the same.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    exact: String,
    prefix: Option<String>,
    regex: Option<Regex>,
}

impl Pattern {
    /// Compiles a pattern. What is no regular expression is only a name, as in Camel.
    pub(crate) fn new(text: &str) -> Self {
        let regex =
            RegexBuilder::new(&format!("^(?:{text})$")).case_insensitive(true).size_limit(REGEX_BYTES_MAX).build().ok();
        Self { exact: text.to_owned(), prefix: text.strip_suffix('*').map(str::to_lowercase), regex }
    }

    /// Whether a name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case(&self.exact) {
            return true;
        }
        if self.prefix.as_ref().is_some_and(|prefix| name.to_lowercase().starts_with(prefix)) {
            return true;
        }
        self.regex.as_ref().is_some_and(|regex| regex.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prefixes_and_regular_expressions_match() {
        assert!(Pattern::new("*").matches("anything"));
        assert!(Pattern::new("Camel*").matches("camelFileName"));
        assert!(Pattern::new("a|b").matches("B"));
        assert!(!Pattern::new("a|b").matches("ab"));
        assert!(!Pattern::new("foo").matches("foobar"));
        assert!(Pattern::new("(").matches("("));
    }
}
