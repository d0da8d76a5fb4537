//! `rollback`: the exchange fails, as something that is meant to be undone.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Exception, Exchange, class};
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "rollback",
        about: "Fails the exchange with a RollbackExchangeException",
        scalar: Some("message"),
        options: &[
            OptionSpec::new("message", Takes::Text, "what the exception says"),
            OptionSpec::refused("markRollbackOnly", "use `rollback` without it, or `stop`"),
            OptionSpec::refused("markRollbackOnlyLast", "use `rollback` without it, or `stop`"),
        ],
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(Rollback(element.text("message").map(str::to_owned)))),
};

#[derive(Debug)]
struct Rollback(Option<String>);

impl Step for Rollback {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        let said = self.0.as_deref().unwrap_or("Intended rollback");
        let message = format!("{said}. Exchange[{}]", exchange.id());
        Running::Done(Err(Exception::new(&class::ROLLBACK_EXCHANGE, message)))
    }
}
