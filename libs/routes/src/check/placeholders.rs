//! `{{placeholders}}`: values from outside of the file, put in before anything is read.

use crate::language::Properties;

/// How deep a value may itself have placeholders.
const DEPTH_MAX: usize = 10;

/// The longest text after replacement, in bytes.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Where placeholders get their values.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Values that count first: a template's parameters.
    pub own: Option<&'a Properties>,
    /// The values of the whole engine.
    pub properties: &'a Properties,
    /// Whether a missing value is left as it is: a template is read without its parameters.
    pub is_open: bool,
}

impl Scope<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let own = self.own.and_then(|own| own.get(name));
        own.or_else(|| self.properties.get(name)).map(String::as_str)
    }
}

/// Replaces all placeholders of a text.
///
/// `{{name}}` must have a value, `{{name:default}}` has one, `{{?name}}` may be missing (nothing is
/// returned then), `{{!name}}` is the opposite of a yes or no.
///
/// # Errors
/// With what is wrong, for the author of the file.
pub fn resolve(text: &str, scope: Scope<'_>) -> Result<Option<String>, String> {
    if !text.contains("{{") {
        return Ok(Some(text.to_owned()));
    }
    replace(text, scope, 0)
}

fn replace(text: &str, scope: Scope<'_>, depth: usize) -> Result<Option<String>, String> {
    if depth > DEPTH_MAX {
        return Err(format!("the values of placeholders in `{text}` lead to each other"));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = end_of(&rest[start..]) else { break };
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..start + length - 2];
        match value(inside, scope, depth)? {
            Value::Found(found) => out.push_str(&found),
            Value::Open => out.push_str(&rest[start..start + length]),
            Value::Absent => return Ok(None),
        }
        if out.len() > TEXT_BYTES_MAX {
            return Err("the values of placeholders are too long together".to_owned());
        }
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

enum Value {
    Found(String),
    Open,
    Absent,
}

fn value(inside: &str, scope: Scope<'_>, depth: usize) -> Result<Value, String> {
    let Some(inside) = replace(inside, scope, depth + 1)? else { return Ok(Value::Absent) };
    let (is_optional, rest) = inside.strip_prefix('?').map_or((false, inside.as_str()), |rest| (true, rest));
    let (is_negated, rest) = rest.strip_prefix('!').map_or((false, rest), |rest| (true, rest));
    for function in ["env", "sys", "service", "bean", "secret"] {
        if rest.strip_prefix(function).is_some_and(|after| after.starts_with(':')) {
            return Err(format!(
                "placeholder `{{{{{inside}}}}}`: `{function}:` is not read here; set a property of the routes and \
                 name it"
            ));
        }
    }
    let (name, default) = rest.split_once(':').map_or((rest, None), |(name, default)| (name, Some(default)));
    let found = match scope.value(name.trim()) {
        Some(found) => replace(found, scope, depth + 1)?,
        None => default.map(str::to_owned),
    };
    match found {
        Some(found) if is_negated => match found.trim() {
            "true" => Ok(Value::Found("false".to_owned())),
            "false" => Ok(Value::Found("true".to_owned())),
            _ => Err(format!("placeholder `{{{{!{name}}}}}` negates `{found}`, which is neither true nor false")),
        },
        Some(found) => Ok(Value::Found(found)),
        None if is_optional => Ok(Value::Absent),
        None if scope.is_open => Ok(Value::Open),
        None => Err(format!(
            "placeholder `{{{{{name}}}}}` has no value: set the property `{name}`, or write \
                             `{{{{{name}:default}}}}`"
        )),
    }
}

/// The length of the placeholder that the text begins with, those inside of it included.
fn end_of(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut open) = (0, 0_usize);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"{{" => {
                open += 1;
                at += 2;
            }
            b"}}" => {
                open -= 1;
                at += 2;
                if open == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Option<String>, String> {
        let properties: Properties = [("a", "1"), ("b", "{{a}}2"), ("loop", "{{loop}}"), ("on", "true"), ("name", "a")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        resolve(text, Scope { own: None, properties: &properties, is_open: false })
    }

    #[test]
    fn values_defaults_and_optional_ones() {
        assert_eq!(with("x{{a}}y{{b}}").unwrap().unwrap(), "x1y12");
        assert_eq!(with("{{c:d:e}}").unwrap().unwrap(), "d:e");
        assert_eq!(with("{{c:{{a}}}}").unwrap().unwrap(), "1");
        assert_eq!(with("{{ {{name}} }}").unwrap().unwrap(), "1");
        assert_eq!(with("{{!on}}").unwrap().unwrap(), "false");
        assert_eq!(with("a{{?c}}").unwrap(), None);
        assert_eq!(with("{{open").unwrap().unwrap(), "{{open");
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        assert!(with("{{c}}").unwrap_err().contains("set the property `c`"));
        assert!(with("{{loop}}").unwrap_err().contains("lead to each other"));
        assert!(with("{{env:HOME}}").unwrap_err().contains("`env:` is not read here"));
    }
}
