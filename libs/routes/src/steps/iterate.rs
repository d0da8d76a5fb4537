//! What a value consists of, where steps go through its parts.

use crate::exchange::Value;

/// The parts of a value as Camel goes through them: text is cut at the delimiter, what has no parts is
/// one itself.
pub(super) fn iterate(value: Value, delimiter: &str) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::List(values) => values.to_vec(),
        Value::Json(tree) => match &*tree {
            Value::List(values) => values.iter().cloned().map(Value::json).collect(),
            Value::Map(map) => map.iter().map(|(_, value)| Value::json(value.clone())).collect(),
            // A node without children has nothing to go through.
            _ => Vec::new(),
        },
        Value::Text(text) if delimiter.is_empty() || delimiter == "false" || !text.contains(delimiter) => {
            if text.trim().is_empty() { Vec::new() } else { vec![Value::Text(text)] }
        }
        Value::Text(text) => {
            let mut parts: Vec<_> = cut(&text, delimiter).map(|part| Value::Text(text.part(part))).collect();
            // What is empty at an end is no part.
            if text.ends_with(delimiter) {
                parts.pop();
            }
            if text.starts_with(delimiter) {
                parts.remove(0);
            }
            parts
        }
        value => vec![value],
    }
}

/// Cuts at the delimiter, but not inside of parentheses.
fn cut<'t>(text: &'t str, delimiter: &'t str) -> impl Iterator<Item = &'t str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let mut from = 0;
        while let Some(at) = whole[from..].find(delimiter).map(|at| at + from) {
            let before = &whole[..at];
            let is_inside = delimiter == ","
                && before.matches('(').count() > before.matches(')').count()
                && whole[at..].contains(')');
            if !is_inside {
                rest = Some(&whole[at + delimiter.len()..]);
                return Some(before);
            }
            from = at + delimiter.len();
        }
        rest = None;
        Some(whole)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, delimiter: &str) -> Vec<String> {
        iterate(Value::from(text), delimiter).iter().filter_map(Value::to_text).map(|text| text.to_string()).collect()
    }

    #[test]
    fn text_is_cut_at_the_delimiter() {
        assert_eq!(texts("a,b,c", ","), ["a", "b", "c"]);
        assert_eq!(texts("a", ","), ["a"]);
        assert_eq!(texts("", ","), [""; 0]);
        assert_eq!(texts("f(a,b),c", ","), ["f(a,b)", "c"]);
        assert_eq!(texts("a;b", ";"), ["a", "b"]);
    }

    #[test]
    fn a_json_scalar_has_no_parts() {
        assert_eq!(iterate(Value::json(Value::from("a,b")), ","), []);
        let list = Value::json(Value::list(vec![Value::Integer(1)]));
        assert_eq!(iterate(list, ","), [Value::json(Value::Integer(1))]);
    }
}
