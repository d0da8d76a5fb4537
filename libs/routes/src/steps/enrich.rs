//! `enrich`: what another endpoint answers is put into the message.

use std::sync::Arc;

use crate::check::{Element, Inline, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exchange, Pattern};
use crate::language::Expression;
use crate::run::{Cx, Entry, Running, Step, Strategy, drive};

use super::StepKind;
use super::to::To;
use super::to_d::address_of;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "enrich",
        about: "Asks an endpoint, and puts its answer into the message",
        inline: Inline::Value,
        options: &[
            OptionSpec::new("aggregationStrategy", Takes::Text, "how both become one message (the answer)"),
            OptionSpec::new("aggregateOnException", Takes::Bool, "whether this is done with a failure too (false)"),
            OptionSpec::new("ignoreInvalidEndpoint", Takes::Bool, "whether an address that is none is passed over"),
            OptionSpec::new("shareUnitOfWork", Takes::Bool, "whether the copy ends when the whole ends (false)"),
            OptionSpec::unused("allowOptimisedComponents", &Takes::Bool, "addresses are kept"),
            OptionSpec::unused("autoStartComponents", &Takes::Bool, "components are there from the start"),
            OptionSpec::unused("cacheSize", &Takes::Decimal, "addresses are kept"),
            OptionSpec::refused("allowedSchemes", "look at the address with `validate` before"),
            OptionSpec::refused("aggregationStrategyMethodName", "there is no Java here"),
            OptionSpec::refused("aggregationStrategyMethodAllowNull", "there is no Java here"),
            OptionSpec::refused("variableSend", "put the variable into the body with `setBody` before"),
            OptionSpec::refused("variableReceive", "use `setVariable` behind"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    Some(Box::new(Enrich {
        address: element.inline_value()?,
        strategy: builder.strategy(element, "aggregationStrategy"),
        on_exception: element.is_on("aggregateOnException"),
        ignores_invalid: element.is_on("ignoreInvalidEndpoint"),
        shares_unit: element.is_on("shareUnitOfWork"),
    }))
}

#[derive(Debug)]
struct Enrich {
    address: Arc<dyn Expression>,
    strategy: Option<Strategy>,
    on_exception: bool,
    ignores_invalid: bool,
    shares_unit: bool,
}

impl Step for Enrich {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let producer = address_of(&*self.address, exchange).and_then(|address| cx.core.producer(&address));
        let producer = match producer {
            Ok(producer) => producer,
            Err(_) if self.ignores_invalid => return Running::Done(Ok(())),
            Err(exception) => return Running::Done(Err(exception)),
        };
        Running::Later(Box::pin(async move {
            let entry = Entry::within(To(producer));
            let mut asked = exchange.copy();
            asked.pattern = Pattern::InOut;
            drive(std::slice::from_ref(&entry), &mut asked, &Cx { errors: None, ..*cx }).await;
            asked.end_within(exchange, self.shares_unit).await;
            if let (Some(exception), false) = (asked.exception(), self.on_exception) {
                return Err(exception.clone());
            }
            asked.clear_exception();
            asked.resume();
            match &self.strategy {
                None => exchange.message = asked.message,
                // As in Camel, what a strategy collects is not made the body at the end.
                Some(strategy) => {
                    let mut joined = strategy.add(Some(exchange.copy()), asked);
                    if matches!(strategy, Strategy::Joined(_)) {
                        strategy.complete(&mut joined);
                    }
                    exchange.message = joined.message;
                }
            }
            Ok(())
        }))
    }
}
