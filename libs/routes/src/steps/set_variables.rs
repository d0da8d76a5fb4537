//! `setVariables`: several variables at once.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exception, Exchange, Kind, Text, Value, class};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

static VARIABLE: Spec = Spec {
    name: "variables",
    about: "A variable",
    inline: Inline::Value,
    options: &[OptionSpec::required("name", Takes::Text, "its name")],
    ..Spec::EMPTY
};

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "setVariables",
        about: "Sets variables to the values of expressions",
        options: &[OptionSpec::required("variables", Takes::Many(&VARIABLE), "the variables")],
        ..Spec::EMPTY
    },
    build: |element, _| {
        let variables = element.many("variables").iter();
        let variables = variables.filter_map(|one| Some((Text::from(one.text("name")?), one.inline_value()?)));
        Some(Box::new(SetVariables(variables.collect())))
    },
};

#[derive(Debug)]
struct SetVariables(Vec<(Text, Arc<dyn Expression>)>);

impl Step for SetVariables {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        for (name, expression) in &self.0 {
            let value = match expression.evaluate(exchange, Kind::Any).and_then(Value::bounded) {
                Ok(value) => value,
                Err(exception) => return Running::Done(Err(exception)),
            };
            if !exchange.variables.set(name, value) {
                let message = format!("there are too many shared variables for `{name}`");
                return Running::Done(Err(Exception::new(&class::ILLEGAL_STATE, message)));
            }
        }
        Running::Done(Ok(()))
    }
}
