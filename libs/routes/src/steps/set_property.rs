//! `setProperty`: the value of an expression becomes a property of the exchange.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Kind, Text, Value};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "setProperty",
        about: "Sets a property of the exchange to the value of an expression",
        inline: Inline::Value,
        options: &[OptionSpec::required("name", Takes::Text, "its name")],
        ..Spec::EMPTY
    },
    build: |element, _| {
        Some(Box::new(SetProperty { name: Text::from(element.text("name")?), expression: element.inline_value()? }))
    },
};

#[derive(Debug)]
struct SetProperty {
    name: Text,
    expression: Arc<dyn Expression>,
}

impl Step for SetProperty {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        let value = match self.expression.evaluate(exchange, Kind::Any).and_then(Value::bounded) {
            Ok(value) => value,
            Err(exception) => return Running::Done(Err(exception)),
        };
        exchange.properties.insert(self.name.clone(), value);
        Running::Done(Ok(()))
    }
}
