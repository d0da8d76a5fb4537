//! Dates, documents, encodings and whatever belongs nowhere else.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::exchange::{Exception, Kind, Result, Value, class, parse_json, write_json};

use super::super::evaluate::Run;
use super::super::syntax::{Argument, Call};
use super::{Function, Syntax, read_date, read_file, read_zoned_date};

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "base64Decode", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: base64_decode },
    Function { name: "base64Encode", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: base64_encode },
    Function { name: "date", since: "4.17", syntax: Syntax::Colon(read_date), evaluate: date },
    Function { name: "date-with-timezone", since: "4.17", syntax: Syntax::Colon(read_zoned_date), evaluate: date },
    Function { name: "file", since: "4.17", syntax: Syntax::Colon(read_file), evaluate: file },
    Function {
        name: "hash",
        since: "4.17",
        syntax: Syntax::Arguments(&["exp,algorithm{SHA-256|SHA-384|SHA-512}", "exp", ""]),
        evaluate: hash,
    },
    Function { name: "jq", since: "4.17", syntax: Syntax::Arguments(&["input,program", "program"]), evaluate: query },
    Function {
        name: "jsonpath",
        since: "4.17",
        syntax: Syntax::Arguments(&["input,program", "program"]),
        evaluate: query,
    },
    Function { name: "kindOfType", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: kind_of_type },
    Function { name: "length", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: length },
    Function { name: "pretty", since: "4.17", syntax: Syntax::Arguments(&["exp", ""]), evaluate: pretty },
    Function { name: "prettyBody", since: "4.17", syntax: Syntax::Word, evaluate: |_, run| Ok(prettied(&run.body())) },
    Function {
        name: "toJson",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| Ok(to_json(&run.source(call, 0)?, write_json)),
    },
    Function {
        name: "toJsonBody",
        since: "4.18",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(to_json(&run.body(), write_json)),
    },
    Function {
        name: "toPrettyJson",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| Ok(to_json(&run.source(call, 0)?, indented)),
    },
    Function {
        name: "toPrettyJsonBody",
        since: "4.18",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(to_json(&run.body(), indented)),
    },
    Function {
        name: "uuid",
        since: "4.17",
        syntax: Syntax::Arguments(&["kind{default|classic|short|simple|random}", ""]),
        evaluate: uuid,
    },
];

fn base64_encode(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let value = run.source(call, 0)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let bytes = value.to_bytes();
    run.grow(bytes.len() / 3 * 4)?;
    Ok(Value::from(BASE64.encode(bytes)))
}

fn base64_decode(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.source(call, 0)?.to_text() else { return Ok(Value::Null) };
    let plain: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    match BASE64.decode(plain) {
        Ok(bytes) => Ok(Value::Bytes(Bytes::from(bytes))),
        Err(error) => Err(Exception::new(&class::ILLEGAL_ARGUMENT, format!("not Base64: {error}"))),
    }
}

fn date(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    match call.arguments.first() {
        Some(Some(Argument::Date(date))) => date.evaluate(run),
        _ => Ok(Value::Null),
    }
}

/// What can be asked about a file.
pub(in crate::language::simple) const FILE: &[&str] = &[
    "name",
    "name.ext",
    "name.noext",
    "onlyname",
    "onlyname.noext",
    "ext",
    "parent",
    "path",
    "absolute.path",
    "length",
    "size",
    "modified",
];

/// What a file consumer left in the headers.
fn file(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let what = run.text(call, 0)?.unwrap_or_default();
    let header = |name: &str| run.exchange().message.header(name).cloned().unwrap_or_default();
    let name = || header("CamelFileName").to_text().unwrap_or_default();
    let only = |name: &str| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    let dot = |name: &str| name.find('.').unwrap_or(name.len());
    Ok(match what.as_str() {
        "name" => header("CamelFileName"),
        "onlyname" => Value::from(only(&name())),
        "name.ext" | "ext" => {
            let only = only(&name());
            only.get(dot(&only) + 1..).map_or(Value::Null, Value::from)
        }
        "name.noext" => {
            let name = name();
            let end = name.len() - only(&name).len() + dot(&only(&name));
            Value::from(&name[..end])
        }
        "onlyname.noext" => {
            let only = only(&name());
            Value::from(&only[..dot(&only)])
        }
        "parent" => header("CamelFileParent"),
        "path" => header("CamelFilePath"),
        "absolute.path" => header("CamelFileAbsolutePath"),
        "length" | "size" => header("CamelFileLength"),
        _ => header("CamelFileLastModified"),
    })
}

fn hash(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let value = run.source(call, 0)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let bytes = value.to_bytes();
    let digest = match &call.arguments[1] {
        Some(Argument::Raw(algorithm)) if algorithm == "sha-512" => Sha512::digest(bytes).to_vec(),
        Some(Argument::Raw(algorithm)) if algorithm == "sha-384" => Sha384::digest(bytes).to_vec(),
        _ => Sha256::digest(bytes).to_vec(),
    };
    Ok(Value::from(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// A program of jq or jsonpath on the body or on another value.
fn query(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(Some(Argument::Program(program))) = call.arguments.get(1) else { return Ok(Value::Null) };
    let answer = match (&call.arguments[0], run.own_body()) {
        (None, None) => program.answer(run.exchange().message.body.json()?, run.exchange()),
        (None, Some(body)) => program.answer(&parse_json(&body)?, run.exchange()),
        (Some(_), _) => {
            let input = run.value(call, 0)?;
            program.answer(&parse_json(&input)?, run.exchange())
        }
    };
    answer.map(|answer| answer.plain().clone())
}

fn kind_of_type(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    Ok(Value::fixed(match run.source(call, 0)?.plain() {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Integer(_) | Value::BigInteger(_) | Value::Decimal(_) => "number",
        Value::Text(_) => "string",
        Value::List(_) | Value::Bytes(_) => "array",
        _ => "object",
    }))
}

fn length(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let length = match run.source(call, 0)? {
        Value::Null => return Ok(Value::Null),
        Value::Bytes(bytes) => bytes.len(),
        value => value.to_text().unwrap_or_default().len(),
    };
    Ok(Value::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn pretty(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    Ok(prettied(&run.source(call, 0)?))
}

/// JSON with line breaks; what is not JSON stays.
fn prettied(value: &Value) -> Value {
    let Some(text) = value.to_text() else { return Value::Null };
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    match parse_json(&Value::Text(text.clone())) {
        Ok(tree) if looks_like_json => Value::from(indented(&tree)),
        _ => Value::Text(text),
    }
}

/// JSON as Camel's own writer indents it: a tab, one element a line.
fn indented(tree: &Value) -> String {
    let mut out = String::new();
    indent(tree, 0, &mut out);
    out.push('\n');
    out
}

fn indent(tree: &Value, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n('\t', depth));
    };
    match tree {
        Value::Map(map) if map.is_empty() => {
            out.push('{');
            line(depth + 1, out);
            line(depth, out);
            out.push('}');
        }
        Value::List(values) if values.is_empty() => {
            out.push('[');
            line(depth + 1, out);
            line(depth, out);
            out.push(']');
        }
        Value::Map(map) => {
            for (index, (name, value)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "{" } else { "," });
                line(depth + 1, out);
                out.push_str(&write_json(&Value::Text(name.clone())));
                out.push_str(": ");
                indent(value, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
        Value::List(values) => {
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "[" } else { "," });
                line(depth + 1, out);
                indent(value, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        scalar => out.push_str(&write_json(scalar)),
    }
}

/// Text stays as it is, everything else is written as JSON.
fn to_json(value: &Value, write: fn(&Value) -> String) -> Value {
    match value.plain() {
        Value::Null => Value::Null,
        Value::Text(text) => Value::Text(text.clone()),
        Value::Bytes(_) => value.convert(Kind::Text).unwrap_or_default(),
        value => Value::from(write(value)),
    }
}

static COUNTER: AtomicU64 = AtomicU64::new(1);
/// What tells this process from others in generated ids.
static PROCESS: LazyLock<u64> = LazyLock::new(rand::random);

fn uuid(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let kind = match &call.arguments[0] {
        Some(Argument::Raw(kind)) => kind.as_str(),
        _ => "default",
    };
    let next = || COUNTER.fetch_add(1, Ordering::Relaxed);
    Ok(Value::from(match kind {
        "random" => uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string(),
        "simple" => next().to_string(),
        "short" => format!("{:016x}", rand::random::<u64>()),
        "classic" => {
            let name = &run.surroundings().name;
            format!("ID-{name}-{:x}-{}-{}", *PROCESS, run.surroundings().clock.now_ms(), next())
        }
        _ => format!("{:015X}-{:016X}", *PROCESS >> 4, next()),
    }))
}
