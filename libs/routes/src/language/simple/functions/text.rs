//! Functions that work on text.

use crate::exchange::{Result, Text, Value, write_json};

use super::super::evaluate::Run;
use super::super::operators;
use super::super::syntax::{Argument, Call};
use super::{Function, Syntax};

pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "capitalize",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, capitalized),
    },
    Function {
        name: "concat",
        since: "4.18",
        syntax: Syntax::Arguments(&["left,right,separator", "left,right", "right"]),
        evaluate: concat,
    },
    Function {
        name: "escape",
        since: "4.23",
        syntax: Syntax::Arguments(&[
            "kind{html|xml|json|js|javascript|sql|url},exp",
            "kind{html|xml|json|js|javascript|sql|url}",
        ]),
        evaluate: escape,
    },
    Function {
        name: "join",
        since: "4.17",
        syntax: Syntax::Arguments(&["separator,prefix,exp", "separator,prefix", "separator", ""]),
        evaluate: join,
    },
    Function {
        name: "lowercase",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, str::to_lowercase),
    },
    Function {
        name: "normalizeWhitespace",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, |text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
    },
    Function {
        name: "pad",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp,width,separator", "exp,width"]),
        evaluate: pad,
    },
    Function {
        name: "quote",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, quote),
    },
    Function {
        name: "replace",
        since: "4.17",
        syntax: Syntax::Arguments(&["from,to,exp", "from,to"]),
        evaluate: replace,
    },
    Function { name: "safeQuote", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: safe_quote },
    Function {
        name: "substring",
        since: "4.17",
        syntax: Syntax::Arguments(&["head,tail,exp", "head,tail", "head"]),
        evaluate: substring,
    },
    Function {
        name: "substringAfter",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp,after", "after"]),
        evaluate: |call, run| part(call, run, |text, mark| text.split_once(mark).map(|(_, after)| after)),
    },
    Function {
        name: "substringBefore",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp,before", "before"]),
        evaluate: |call, run| part(call, run, |text, mark| text.split_once(mark).map(|(before, _)| before)),
    },
    Function {
        name: "substringBetween",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp,after,before", "after,before"]),
        evaluate: between,
    },
    Function {
        name: "trim",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, |text| text.trim().to_owned()),
    },
    Function {
        name: "unquote",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, |text| unquoted(text).to_owned()),
    },
    Function {
        name: "uppercase",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| on_text(call, run, str::to_uppercase),
    },
];

/// Answers what `change` makes of the text; nothing stays nothing.
fn on_text(call: &Call, run: &mut Run<'_>, change: impl Fn(&str) -> String) -> Result<Value> {
    let Some(text) = run.source(call, 0)?.to_text() else { return Ok(Value::Null) };
    run.grow(text.len())?;
    Ok(Value::from(change(&text)))
}

/// Answers a part of the text that stands at a mark; nothing where the mark is missing.
fn part(call: &Call, run: &mut Run<'_>, cut: impl for<'t> Fn(&'t str, &str) -> Option<&'t str>) -> Result<Value> {
    let (text, mark) = (run.source(call, 0)?.to_text(), run.text(call, 1)?);
    let (Some(text), Some(mark)) = (text, mark) else { return Ok(Value::Null) };
    Ok(cut(&text, &mark).map_or(Value::Null, |part| Value::Text(text.part(part))))
}

fn between(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let text = run.source(call, 0)?.to_text();
    let (Some(text), Some(after), Some(before)) = (text, run.text(call, 1)?, run.text(call, 2)?) else {
        return Ok(Value::Null);
    };
    let found = text.split_once(after.as_str()).and_then(|(_, rest)| rest.split_once(before.as_str()));
    Ok(found.map_or(Value::Null, |(part, _)| Value::Text(text.part(part))))
}

/// Every word with a capital first letter.
fn capitalized(text: &str) -> String {
    let mut is_first = true;
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if is_first {
            out.extend(char.to_uppercase());
        } else {
            out.push(char);
        }
        is_first = char.is_whitespace();
    }
    out
}

fn concat(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let left = run.source(call, 0)?.to_text();
    let (right, separator) = (run.text(call, 1)?, run.text(call, 2)?.unwrap_or_default());
    let (Some(left), Some(right)) = (&left, &right) else {
        return Ok(left.or(right).map_or(Value::Null, Value::Text));
    };
    run.grow(left.len() + separator.len() + right.len())?;
    Ok(Value::from(format!("{left}{separator}{right}")))
}

fn join(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let separator = run.text(call, 0)?.unwrap_or(Text::fixed(","));
    let prefix = run.text(call, 1)?.unwrap_or_default();
    let mut out = String::new();
    let elements = operators::elements(&run.source(call, 2)?);
    for (index, element) in elements.iter().filter_map(Value::to_text).enumerate() {
        run.spend(1)?;
        run.grow(separator.len() + prefix.len() + element.len())?;
        if index > 0 {
            out.push_str(&separator);
        }
        out.push_str(&prefix);
        out.push_str(&element);
    }
    Ok(Value::from(out))
}

fn pad(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.source(call, 0)?.to_text() else { return Ok(Value::Null) };
    let width = run.integer(call, 1)?;
    let separator = run.text(call, 2)?.filter(|separator| !separator.is_empty()).unwrap_or(Text::fixed(" "));
    let wanted = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    let missing = wanted.saturating_sub(text.chars().count());
    run.grow(missing)?;
    let padding: String = separator.chars().cycle().take(missing).collect();
    Ok(Value::from(if width > 0 { format!("{text}{padding}") } else { format!("{padding}{text}") }))
}

fn quote(text: &str) -> String {
    let is_quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    if is_quoted { text.to_owned() } else { format!("\"{}\"", unquoted(text)) }
}

/// The text without quotes at its ends.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

/// Numbers, truths and nothing stay; everything else becomes a JSON string.
fn safe_quote(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let value = run.source(call, 0)?;
    match value.plain() {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_) => {
            Ok(value.plain().clone())
        }
        _ => {
            let text = value.to_text().unwrap_or_default();
            run.grow(text.len())?;
            Ok(Value::from(write_json(&Value::from(unquoted(&text)))))
        }
    }
}

fn replace(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.source(call, 2)?.to_text() else { return Ok(Value::Null) };
    let from = named(&run.text(call, 0)?.unwrap_or_default());
    let to = named(&run.text(call, 1)?.unwrap_or_default());
    if from.is_empty() {
        return Ok(Value::Text(text));
    }
    run.grow(text.len() + text.matches(from.as_str()).count() * to.len())?;
    Ok(Value::from(text.replace(from.as_str(), &to)))
}

/// Quotes that are written by their names.
fn named(text: &str) -> String {
    match text {
        "&empty;" => String::new(),
        _ if text.contains('&') => [("&quot;", "\""), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
            .iter()
            .fold(text.to_owned(), |text, (name, char)| text.replace(name, char)),
        _ => text.to_owned(),
    }
}

/// Cuts characters off the start and the end; a negative number alone cuts off the end.
fn substring(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.source(call, 2)?.to_text() else { return Ok(Value::Null) };
    let size = |number: i64| usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    let first = run.integer(call, 0)?;
    let (head, tail) = match call.arguments[1] {
        None if first < 0 => (0, size(first)),
        None => (size(first), 0),
        Some(_) => (size(first), size(run.integer(call, 1)?)),
    };
    let length = text.chars().count();
    let end = length.saturating_sub(tail);
    if head >= end {
        return Ok(Value::Text(Text::EMPTY));
    }
    let place = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(place, _)| place);
    Ok(Value::Text(text.part(&text[place(head)..place(end)])))
}

fn escape(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.source(call, 1)?.to_text() else { return Ok(Value::Null) };
    let Some(Argument::Raw(kind)) = &call.arguments[0] else { return Ok(Value::Text(text)) };
    run.grow(text.len().saturating_mul(6))?;
    Ok(Value::from(match kind.as_str() {
        "html" => escaped(&text, |char| entity(char).map(|entity| entity.replace("&apos;", "&#39;"))),
        "xml" => escaped(&text, |char| entity(char).map(str::to_owned)),
        "sql" => text.replace('\'', "''"),
        "url" => escaped(&text, percent),
        "json" => json_escaped(&text),
        _ => json_escaped(&text).replace('\'', "\\'").replace("</", "<\\/"),
    }))
}

fn escaped(text: &str, replacement: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match replacement(char) {
            Some(replacement) => out.push_str(&replacement),
            None => out.push(char),
        }
    }
    out
}

fn entity(char: char) -> Option<&'static str> {
    Some(match char {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        _ => return None,
    })
}

fn percent(char: char) -> Option<String> {
    if char.is_ascii_alphanumeric() || "-._~".contains(char) {
        return None;
    }
    let mut bytes = [0; 4];
    Some(char.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect())
}

/// The text as it stands between the quotes of a JSON string.
fn json_escaped(text: &str) -> String {
    let written = write_json(&Value::from(text));
    written.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or_default().to_owned()
}
