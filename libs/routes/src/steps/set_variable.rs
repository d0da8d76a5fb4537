//! `setVariable`: the value of an expression becomes a variable.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exception, Exchange, Kind, Text, Value, class};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "setVariable",
        about: "Sets a variable to the value of an expression",
        inline: Inline::Value,
        options: &[OptionSpec::required("name", Takes::Text, "its name")],
        ..Spec::EMPTY
    },
    build: |element, _| {
        Some(Box::new(SetVariable { name: Text::from(element.text("name")?), expression: element.inline_value()? }))
    },
};

#[derive(Debug)]
struct SetVariable {
    name: Text,
    expression: Arc<dyn Expression>,
}

impl Step for SetVariable {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        let value = match self.expression.evaluate(exchange, Kind::Any).and_then(Value::bounded) {
            Ok(value) => value,
            Err(exception) => return Running::Done(Err(exception)),
        };
        if !exchange.variables.set(&self.name, value) {
            let message = format!("there are too many shared variables for `{}`, or they hold too much", self.name);
            return Running::Done(Err(Exception::new(&class::ILLEGAL_STATE, message)));
        }
        Running::Done(Ok(()))
    }
}
