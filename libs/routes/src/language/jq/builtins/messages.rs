//! What Camel adds to jq: access to the message around the document.

use crate::exchange::Value;

use super::super::evaluate::{Flow, fail};
use super::super::order;
use super::{Builtin, values};

pub(super) static BUILTINS: &[Builtin] = &[
    values("body", 0, |machine, _, _| Ok(text(machine.exchange.message.body.value()))),
    values("header", 1, |machine, _, arguments| {
        Ok(machine.exchange.message.header(name(&arguments[0])?).map_or(Value::Null, text))
    }),
    values("header", 2, |machine, _, arguments| {
        Ok(machine.exchange.message.header(name(&arguments[0])?).map_or_else(|| arguments[1].clone(), text))
    }),
    values("property", 1, |machine, _, arguments| {
        Ok(machine.exchange.properties.get(name(&arguments[0])?).map_or(Value::Null, text))
    }),
    values("property", 2, |machine, _, arguments| {
        Ok(machine.exchange.properties.get(name(&arguments[0])?).map_or_else(|| arguments[1].clone(), text))
    }),
    values("variable", 1, |machine, _, arguments| {
        Ok(machine.exchange.variables.get(name(&arguments[0])?).map_or(Value::Null, |value| text(&value)))
    }),
    values("variable", 2, |machine, _, arguments| {
        let found = machine.exchange.variables.get(name(&arguments[0])?);
        Ok(found.map_or_else(|| arguments[1].clone(), |value| text(&value)))
    }),
];

fn name(argument: &Value) -> Flow<&str> {
    match argument {
        Value::Text(name) => Ok(name),
        other => fail(format!("a name must be a string, and not {}", order::described(other))),
    }
}

/// Camel hands values over as text.
fn text(value: &Value) -> Value {
    value.to_text().map_or(Value::Null, Value::Text)
}
