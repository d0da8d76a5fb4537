//! `setBody`: the value of an expression becomes the body.

use std::sync::Arc;

use crate::check::{Inline, Spec};
use crate::exchange::{Body, Exchange, Kind, Value};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "setBody",
        about: "Sets the body to the value of an expression",
        inline: Inline::Value,
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(SetBody { expression: element.inline_value()? })),
};

#[derive(Debug)]
pub(super) struct SetBody {
    pub(super) expression: Arc<dyn Expression>,
}

impl Step for SetBody {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        let value = self.expression.evaluate(exchange, Kind::Any).and_then(Value::bounded);
        Running::Done(value.map(|value| exchange.message.body = Body::new(value)))
    }
}
