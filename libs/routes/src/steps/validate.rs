//! `validate`: exchanges that do not meet a condition fail.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec};
use crate::exchange::{Exception, Exchange, class};
use crate::language::Predicate;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "validate",
        about: "Fails exchanges that do not meet a condition",
        inline: Inline::Condition,
        options: &[OptionSpec::refused("predicateExceptionFactory", "use `choice` with `throwException`")],
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(Validate(element.inline_condition()?))),
};

#[derive(Debug)]
struct Validate(Arc<dyn Predicate>);

impl Step for Validate {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Done(match self.0.matches(exchange) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Exception::new(&class::PREDICATE_VALIDATION, "Validation failed for Predicate")),
            Err(exception) => Err(exception),
        })
    }
}
