//! `toD`: the exchange goes to an endpoint whose address depends on it.

use std::sync::Arc;

use crate::check::{Compiled, Element, Given, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exception, Exchange, Kind, Result, class};
use crate::language::Expression;
use crate::run::{Cx, Entry, Running, Step, drive};

use super::StepKind;
use super::to::To;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "toD",
        about: "Sends the exchange to an endpoint whose address has expressions in it",
        scalar: Some("uri"),
        options: &[
            OptionSpec::required("uri", Takes::DynamicUri, "the address, for example `direct:${header.next}`"),
            OptionSpec::new("parameters", Takes::Parameters, "options of an address without expressions"),
            OptionSpec::new("ignoreInvalidEndpoint", Takes::Bool, "whether an address that is none is passed over"),
            OptionSpec::unused("allowOptimisedComponents", &Takes::Bool, "addresses are kept"),
            OptionSpec::unused("autoStartComponents", &Takes::Bool, "components are there from the start"),
            OptionSpec::unused("cacheSize", &Takes::Decimal, "addresses are kept"),
            OptionSpec::refused("allowedSchemes", "look at the address with `validate` before"),
            OptionSpec::refused("pattern", "what calls a route decides whether it waits for an answer"),
            OptionSpec::refused("variableSend", "put the variable into the body with `setBody` before"),
            OptionSpec::refused("variableReceive", "use `setVariable` behind"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    match element.given("uri")? {
        Given::Uri(uri) => Some(Box::new(To(builder.producer(uri)?))),
        Given::Expression(Compiled::Value(address)) => Some(Box::new(ToD {
            address: Arc::clone(address),
            ignores_invalid: element.is_on("ignoreInvalidEndpoint"),
        })),
        _ => None,
    }
}

#[derive(Debug)]
struct ToD {
    address: Arc<dyn Expression>,
    ignores_invalid: bool,
}

impl Step for ToD {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let address = match address_of(&*self.address, exchange) {
            Ok(address) => address,
            Err(exception) => return Running::Done(Err(exception)),
        };
        let producer = match cx.core.producer(&address) {
            Ok(producer) => producer,
            Err(_) if self.ignores_invalid => return Running::Done(Ok(())),
            Err(exception) => return Running::Done(Err(exception)),
        };
        Running::Later(Box::pin(async move {
            // The endpoint is only borrowed from the engine: it is sent to as a step of its own.
            let entry = Entry::within(To(producer));
            drive(std::slice::from_ref(&entry), exchange, &Cx { errors: None, ..*cx }).await;
            match exchange.is_exhausted() {
                true => Ok(()),
                false => exchange.clear_exception().map_or(Ok(()), Err),
            }
        }))
    }
}

/// The address that an expression gives.
pub(super) fn address_of(expression: &dyn Expression, exchange: &Exchange) -> Result<String> {
    let value = expression.evaluate(exchange, Kind::Text)?;
    match value.to_text() {
        Some(address) if !address.trim().is_empty() => Ok(address.trim().to_owned()),
        _ => Err(Exception::new(&class::NO_SUCH_ENDPOINT, "the address is empty")),
    }
}
