//! `multicast`: the same message to several steps.

use std::time::Duration;

use crate::check::{Element, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exchange, Text, Value};
use crate::run::{Block, Cx, Parts, Running, Step, Strategy, run_parts};

use super::StepKind;
use super::split::number;

const FACTORY: &str = "there are no threads";

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "multicast",
        about: "Gives a copy of the message to each of the steps",
        options: &[
            OptionSpec::new("steps", Takes::Steps, "the steps; each gets a copy"),
            OptionSpec::new("streaming", Takes::Bool, "whether results are taken as they come (false)"),
            OptionSpec::new("parallelProcessing", Takes::Bool, "whether steps do not wait for each other (false)"),
            OptionSpec::new("stopOnException", Takes::Bool, "whether the first failure ends it (false)"),
            OptionSpec::new("aggregationStrategy", Takes::Text, "how the results become one message (the last one)"),
            OptionSpec::new("timeout", Takes::Duration, "how long all steps may take together"),
            OptionSpec::new("shareUnitOfWork", Takes::Bool, "whether copies end with the whole, which fails with them (false)"),
            OptionSpec::unused("synchronous", &Takes::Bool, FACTORY),
            OptionSpec::meaningless("executorService", FACTORY),
            OptionSpec::unused("parallelAggregate", &Takes::Bool, "results are put together one after the other"),
            OptionSpec::refused("aggregationStrategyMethodName", "there is no Java here"),
            OptionSpec::refused("aggregationStrategyMethodAllowNull", "there is no Java here"),
            OptionSpec::refused("onPrepare", "prepare copies in the first of the steps"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    let strategy = builder.strategy(element, "aggregationStrategy").unwrap_or(Strategy::UseLatest);
    Some(Box::new(Multicast { block: builder.block(element.steps("steps")), how: how(element, strategy) }))
}

/// How the copies of a message go, as its options say.
pub(super) fn how(element: &Element, strategy: Strategy) -> Parts {
    Parts {
        strategy: Some(strategy),
        is_parallel: element.is_on("parallelProcessing"),
        is_streaming: element.is_on("streaming"),
        stops_on_exception: element.is_on("stopOnException"),
        timeout: element.duration_ms("timeout").filter(|ms| *ms > 0).map(Duration::from_millis),
        shares_unit: element.is_on("shareUnitOfWork"),
    }
}

#[derive(Debug)]
struct Multicast {
    block: Block,
    how: Parts,
}

/// Tells a copy which it is.
pub(super) fn mark(copy: &mut Exchange, at: usize, is_last: bool) {
    copy.properties.insert(Text::fixed("CamelMulticastIndex"), number(at));
    copy.properties.insert(Text::fixed("CamelMulticastComplete"), Value::Bool(is_last));
}

impl Step for Multicast {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Later(Box::pin(async move {
            let whole = exchange.copy();
            let count = self.block.entries.len();
            let parts = self.block.entries.chunks(1).enumerate().map(|(at, entry)| {
                let mut copy = whole.copy();
                mark(&mut copy, at, at + 1 == count);
                (copy, entry)
            });
            run_parts(&self.how, parts, exchange, cx).await;
            Ok(())
        }))
    }
}
