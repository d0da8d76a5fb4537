//! What is in the message, the exchange around it and its surroundings.

use crate::exchange::{Exception, Kind, Map, Result, Text, Value, class};

use super::super::evaluate::Run;
use super::super::syntax::Call;
use super::{Function, Syntax, read_name, read_property};

/// The header in which consumers leave the time of the message.
const TIMESTAMP: &str = "CamelMessageTimestamp";

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "body", since: "4.17", syntax: Syntax::Word, evaluate: |_, run| Ok(run.body()) },
    Function { name: "bodyAs", since: "4.17", syntax: Syntax::Arguments(&["type"]), evaluate: body_as },
    Function {
        name: "mandatoryBodyAs",
        since: "4.17",
        syntax: Syntax::Arguments(&["type"]),
        evaluate: mandatory_body_as,
    },
    Function { name: "bodyOneLine", since: "4.17", syntax: Syntax::Word, evaluate: one_line },
    Function { name: "bodyType", since: "4.18", syntax: Syntax::Word, evaluate: body_type },
    Function {
        name: "convertTo",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp,type", "type"]),
        evaluate: convert_to,
    },
    Function { name: "header", since: "4.17", syntax: Syntax::Key { alone: false }, evaluate: header },
    Function { name: "headers", since: "4.17", syntax: Syntax::Key { alone: true }, evaluate: header },
    Function { name: "headerAs", since: "4.17", syntax: Syntax::Arguments(&["key,type"]), evaluate: header_as },
    Function { name: "exchangeProperty", since: "4.17", syntax: Syntax::Key { alone: false }, evaluate: property },
    Function { name: "variable", since: "4.17", syntax: Syntax::Key { alone: false }, evaluate: variable },
    Function { name: "variables", since: "4.17", syntax: Syntax::Key { alone: true }, evaluate: variable },
    Function { name: "variableAs", since: "4.17", syntax: Syntax::Arguments(&["key,type"]), evaluate: variable_as },
    Function { name: "exception", since: "4.17", syntax: Syntax::Word, evaluate: exception },
    Function {
        name: "exchangeId",
        since: "4.17",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(run.exchange().id().into()),
    },
    Function { name: "id", since: "4.17", syntax: Syntax::Word, evaluate: |_, run| Ok(run.exchange().id().into()) },
    Function { name: "messageTimestamp", since: "4.17", syntax: Syntax::Word, evaluate: timestamp },
    Function {
        name: "fromRouteId",
        since: "4.17",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(known(&run.exchange().position.from_route)),
    },
    Function {
        name: "routeId",
        since: "4.17",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(known(&run.exchange().position.route)),
    },
    Function {
        name: "routeGroup",
        since: "4.17",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(known(&run.exchange().position.group)),
    },
    Function {
        name: "stepId",
        since: "4.17",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(known(&run.exchange().position.step)),
    },
    Function {
        name: "camelId",
        since: "4.17",
        syntax: Syntax::Word,
        evaluate: |_, run| Ok(Value::Text(run.surroundings().name.clone())),
    },
    Function { name: "properties", since: "4.17", syntax: Syntax::Colon(read_property), evaluate: placeholder },
    Function { name: "propertiesExist", since: "4.17", syntax: Syntax::Colon(read_name), evaluate: placeholder_exists },
];

fn body_as(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    run.body().convert(run.kind(call, 0))
}

fn mandatory_body_as(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let converted = run.body().convert(run.kind(call, 0))?;
    if converted.is_null() {
        return Err(Exception::new(&class::INVALID_PAYLOAD, "there is no body"));
    }
    Ok(converted)
}

fn convert_to(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    run.source(call, 0)?.convert(run.kind(call, 1))
}

fn one_line(_: &Call, run: &mut Run<'_>) -> Result<Value> {
    let Some(text) = run.body().to_text() else { return Ok(Value::Null) };
    Ok(Value::from(text.replace(['\r', '\n'], "")))
}

fn body_type(_: &Call, run: &mut Run<'_>) -> Result<Value> {
    Ok(match run.body() {
        Value::Null => Value::Null,
        Value::Bool(_) => Value::fixed("java.lang.Boolean"),
        Value::Integer(number) if i32::try_from(number).is_ok() => Value::fixed("java.lang.Integer"),
        Value::Integer(_) => Value::fixed("java.lang.Long"),
        Value::BigInteger(_) => Value::fixed("java.math.BigInteger"),
        Value::Decimal(_) => Value::fixed("java.lang.Double"),
        Value::Text(_) => Value::fixed("java.lang.String"),
        Value::Bytes(_) => Value::fixed("byte[]"),
        Value::List(_) => Value::fixed("java.util.ArrayList"),
        Value::Map(_) => Value::fixed("java.util.LinkedHashMap"),
        Value::Json(_) => Value::fixed("com.fasterxml.jackson.databind.JsonNode"),
        Value::Exception(exception) => Value::fixed(exception.class().name),
        Value::Exchange(_) => Value::fixed("org.apache.camel.support.DefaultExchange"),
    })
}

/// A header, or all of them.
fn header(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    match key(call, run)? {
        Some(key) => Ok(run.exchange().message.header(&key).cloned().unwrap_or_default()),
        None => {
            let headers = run.exchange().message.headers.iter();
            Ok(Value::map(headers.map(|(name, value)| (name.clone(), value.clone())).collect::<Map>()))
        }
    }
}

fn header_as(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    header(call, run)?.convert(run.kind(call, 1))
}

fn property(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let key = key(call, run)?.unwrap_or_default();
    Ok(run.exchange().properties.get(&key).cloned().unwrap_or_default())
}

/// A variable, or all of the exchange.
fn variable(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    match key(call, run)? {
        Some(key) => Ok(run.exchange().variables.get(&key).unwrap_or_default()),
        None => Ok(Value::map(run.exchange().variables.own().clone())),
    }
}

fn variable_as(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    variable(call, run)?.convert(run.kind(call, 1))
}

/// The name that a function of the kind `header.key` asks for; none where it stands alone.
fn key(call: &Call, run: &mut Run<'_>) -> Result<Option<Text>> {
    if call.arguments.is_empty() { Ok(None) } else { run.text(call, 0) }
}

fn exception(_: &Call, run: &mut Run<'_>) -> Result<Value> {
    Ok(run.exchange().caught_exception().map_or(Value::Null, |exception| Value::Exception(exception.clone())))
}

fn timestamp(_: &Call, run: &mut Run<'_>) -> Result<Value> {
    let time = run.exchange().message.header(TIMESTAMP).and_then(Value::to_integer);
    Ok(Value::Integer(time.unwrap_or(0)))
}

fn known(name: &Text) -> Value {
    if name.is_empty() { Value::Null } else { Value::Text(name.clone()) }
}

fn placeholder(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let key = run.text(call, 0)?.unwrap_or_default();
    if let Some(value) = run.surroundings().properties.get(key.as_str()) {
        return Ok(Value::from(value.as_str()));
    }
    if call.arguments.get(1).is_some_and(Option::is_some) {
        return run.value(call, 1)?.convert(Kind::Text);
    }
    Err(Exception::new(&class::ILLEGAL_ARGUMENT, format!("property with key [{key}] not found in properties")))
}

fn placeholder_exists(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let key = run.text(call, 0)?.unwrap_or_default();
    let (negated, key) = match key.strip_prefix('!') {
        Some(key) => (true, key),
        None => (false, key.as_str()),
    };
    Ok(Value::Bool(run.surroundings().properties.contains_key(key) != negated))
}
