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
    let last_closing = text.rfind(')').filter(|_| delimiter == ",");
    // Where the part begins, up to where the delimiter was looked for, parentheses that are open there.
    let (mut from, mut seen, mut open) = (Some(0), 0, 0_i64);
    std::iter::from_fn(move || {
        let start = from?;
        while let Some(at) = text[seen..].find(delimiter).map(|at| at + seen) {
            let parentheses = text[seen..at].bytes().map(|byte| i64::from(byte == b'(') - i64::from(byte == b')'));
            open += parentheses.sum::<i64>();
            let is_inside = open > 0 && last_closing.is_some_and(|last| last > at);
            seen = at + delimiter.len();
            if !is_inside {
                (from, open) = (Some(seen), 0);
                return Some(&text[start..at]);
            }
        }
        from = None;
        Some(&text[start..])
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
        assert_eq!(texts("(a,b", ","), ["(a", "b"]);
        assert_eq!(texts("f(a,g(b,c),d),e)", ","), ["f(a,g(b,c),d)", "e)"]);
    }

    #[test]
    fn a_long_text_in_parentheses_is_cut_in_one_go() {
        let text = format!("({})", "a,".repeat(400_000));
        assert_eq!(texts(&text, ",").len(), 1);
    }

    #[test]
    fn a_json_scalar_has_no_parts() {
        assert_eq!(iterate(Value::json(Value::from("a,b")), ","), []);
        let list = Value::json(Value::list(vec![Value::Integer(1)]));
        assert_eq!(iterate(list, ","), [Value::json(Value::Integer(1))]);
    }
}
