//! `delay`: the exchange waits.

use std::sync::Arc;
use std::time::Duration;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Kind};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "delay",
        about: "Lets the exchange wait as many milliseconds as an expression says",
        inline: Inline::Value,
        options: &[
            OptionSpec::unused("asyncDelayed", &Takes::Bool, "a delay never holds a thread"),
            OptionSpec::unused("callerRunsWhenRejected", &Takes::Bool, "a delay never holds a thread"),
            OptionSpec::meaningless("executorService", "there are no threads"),
        ],
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(Delay(element.inline_value()?))),
};

#[derive(Debug)]
struct Delay(Arc<dyn Expression>);

impl Step for Delay {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        let ms = match self.0.evaluate(exchange, Kind::Long).and_then(|value| value.convert(Kind::Long)) {
            Ok(ms) => ms.to_integer().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
            Err(exception) => return Running::Done(Err(exception)),
        };
        if ms == 0 {
            return Running::Done(Ok(()));
        }
        Running::Later(Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(())
        }))
    }
}
