//! How Java writes values as text, where users see it.

use super::convert::utf8_text;
use super::json::write_json_pretty;
use super::text::Text;
use super::value::Value;

/// A decimal number as Java's `Double.toString` writes it: `1.0`, `0.001`, `1.0E10`.
pub fn decimal_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    let size = number.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        let text = format!("{number}");
        return if text.contains('.') { text } else { format!("{text}.0") };
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// A value as text, as Camel's converters make it; nothing is no text.
pub(super) fn text_of(value: &Value) -> Option<Text> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(true) => Text::fixed("true"),
        Value::Bool(false) => Text::fixed("false"),
        Value::Integer(number) => Text::from(number.to_string()),
        Value::BigInteger(digits) => digits.clone(),
        Value::Decimal(number) => Text::from(decimal_text(*number)),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => utf8_text(bytes),
        Value::Json(tree) => match &**tree {
            Value::Text(text) => text.clone(),
            tree => Text::from(write_json_pretty(tree)),
        },
        Value::List(_) | Value::Map(_) | Value::Exception(_) | Value::Exchange(_) => {
            let mut text = String::new();
            write(value, &mut text);
            Text::from(text)
        }
    })
}

/// Writes a value as Java's `toString` does inside of a collection.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(value, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (at, (name, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                out.push_str(name);
                out.push('=');
                write(value, out);
            }
            out.push('}');
        }
        Value::Exception(exception) => out.push_str(&exception.to_string()),
        Value::Exchange(exchange) => {
            out.push_str("Exchange[");
            out.push_str(&exchange.id());
            out.push(']');
        }
        value => out.push_str(&text_of(value).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_look_as_in_java() {
        for (number, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (123_456.789, "123456.789"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.5e300, "1.5E300"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(decimal_text(number), text);
        }
    }
}
