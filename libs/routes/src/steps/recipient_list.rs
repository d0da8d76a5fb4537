//! `recipientList`: the endpoints that an expression lists.

use std::sync::Arc;

use crate::check::{Element, Inline, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exception, Exchange, Kind, Result, class};
use crate::language::Expression;
use crate::run::{Cx, Entry, Parts, Running, Step, Strategy, run_parts};

use super::StepKind;
use super::iterate::iterate;
use super::multicast::{how, mark};
use super::to::To;

const FACTORY: &str = "there are no threads";

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "recipientList",
        about: "Sends a copy to each of the endpoints that an expression lists",
        inline: Inline::Value,
        options: &[
            OptionSpec::new("delimiter", Takes::Text, "what stands between addresses (a comma)"),
            OptionSpec::new("ignoreInvalidEndpoints", Takes::Bool, "whether addresses that are none are passed over"),
            OptionSpec::new("streaming", Takes::Bool, "whether results are taken as they come (false)"),
            OptionSpec::new("parallelProcessing", Takes::Bool, "whether endpoints do not wait for each other (false)"),
            OptionSpec::new("stopOnException", Takes::Bool, "whether the first failure ends it (false)"),
            OptionSpec::new("aggregationStrategy", Takes::Text, "how the results become one message (the last one)"),
            OptionSpec::new("timeout", Takes::Duration, "how long all endpoints may take together"),
            OptionSpec::new("shareUnitOfWork", Takes::Bool, "whether copies end with the whole, which fails with them (false)"),
            OptionSpec::unused("synchronous", &Takes::Bool, FACTORY),
            OptionSpec::meaningless("executorService", FACTORY),
            OptionSpec::unused("cacheSize", &Takes::Decimal, "addresses are kept"),
            OptionSpec::refused("allowedSchemes", "look at the address with `validate` before"),
            OptionSpec::unused("parallelAggregate", &Takes::Bool, "results are put together one after the other"),
            OptionSpec::refused("aggregationStrategyMethodName", "there is no Java here"),
            OptionSpec::refused("aggregationStrategyMethodAllowNull", "there is no Java here"),
            OptionSpec::refused("onPrepare", "send to a route that prepares the copy"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    let strategy = builder.strategy(element, "aggregationStrategy").unwrap_or(Strategy::UseLatest);
    Some(Box::new(RecipientList {
        expression: element.inline_value()?,
        delimiter: element.text("delimiter").unwrap_or(",").to_owned(),
        ignores_invalid: element.is_on("ignoreInvalidEndpoints"),
        how: how(element, strategy),
    }))
}

#[derive(Debug)]
struct RecipientList {
    expression: Arc<dyn Expression>,
    delimiter: String,
    ignores_invalid: bool,
    how: Parts,
}

impl RecipientList {
    fn recipients(&self, exchange: &Exchange, cx: &Cx<'_>) -> Result<Vec<Entry>> {
        let values = iterate(self.expression.evaluate(exchange, Kind::Any)?, &self.delimiter);
        if values.len() > cx.core.limits.parts_max {
            let message = format!("there are {} recipients, {} are allowed", values.len(), cx.core.limits.parts_max);
            return Err(Exception::new(&class::ILLEGAL_STATE, message));
        }
        let mut entries = Vec::with_capacity(values.len());
        for value in values {
            let Some(address) = value.to_text() else { continue };
            match cx.core.producer(address.trim()) {
                Ok(producer) => entries.push(Entry::within(To(producer))),
                Err(_) if self.ignores_invalid => {}
                Err(exception) => return Err(exception),
            }
        }
        Ok(entries)
    }
}

impl Step for RecipientList {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let entries = match self.recipients(exchange, cx) {
            Ok(entries) => entries,
            Err(exception) => return Running::Done(Err(exception)),
        };
        Running::Later(Box::pin(async move {
            let whole = exchange.copy();
            let count = entries.len();
            let parts = entries.chunks(1).enumerate().map(|(at, entry)| {
                let mut copy = whole.copy();
                mark(&mut copy, at, at + 1 == count);
                (copy, entry)
            });
            run_parts(&self.how, parts, exchange, cx).await;
            Ok(())
        }))
    }
}
