//! `setHeaders`: several headers at once.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Kind, Text, Value};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

static HEADER: Spec = Spec {
    name: "headers",
    about: "A header",
    inline: Inline::Value,
    options: &[OptionSpec::required("name", Takes::Text, "its name")],
    ..Spec::EMPTY
};

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "setHeaders",
        about: "Sets headers to the values of expressions",
        options: &[OptionSpec::required("headers", Takes::Many(&HEADER), "the headers")],
        ..Spec::EMPTY
    },
    build: |element, _| {
        let headers = element.many("headers").iter();
        let headers = headers.filter_map(|header| Some((Text::from(header.text("name")?), header.inline_value()?)));
        Some(Box::new(SetHeaders(headers.collect())))
    },
};

#[derive(Debug)]
struct SetHeaders(Vec<(Text, Arc<dyn Expression>)>);

impl Step for SetHeaders {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        for (name, expression) in &self.0 {
            match expression.evaluate(exchange, Kind::Any).and_then(Value::bounded) {
                Ok(value) => exchange.message.headers.set(name.clone(), value),
                Err(exception) => return Running::Done(Err(exception)),
            }
        }
        Running::Done(Ok(()))
    }
}
