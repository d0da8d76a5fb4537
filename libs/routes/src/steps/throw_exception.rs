//! `throwException`: the exchange fails.

use std::sync::Arc;

use crate::check::{Element, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Class, Exception, Exchange, Kind, class};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "throwException",
        about: "Fails the exchange with an exception",
        options: &[
            OptionSpec::required("exceptionType", Takes::Class, "the class of the exception"),
            OptionSpec::new("message", Takes::Simple, "what it says, in the language `simple`"),
            OptionSpec::refused("ref", "write `exceptionType` and `message`"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, _: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    Some(Box::new(ThrowException {
        class: element.classes("exceptionType").first().copied()?,
        message: element.value("message"),
    }))
}

#[derive(Debug)]
struct ThrowException {
    class: &'static Class,
    message: Option<Arc<dyn Expression>>,
}

impl Step for ThrowException {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        debug_assert!(self.class.is_a(&class::THROWABLE), "the table says so");
        let Some(message) = &self.message else { return Running::Done(Err(Exception::silent(self.class))) };
        let text = message.evaluate(exchange, Kind::Text).map(|text| text.to_text().unwrap_or_default());
        Running::Done(Err(match text {
            Ok(text) => Exception::new(self.class, text),
            Err(exception) => exception,
        }))
    }
}
