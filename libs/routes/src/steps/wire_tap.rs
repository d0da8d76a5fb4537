//! `wireTap`: a copy goes its own way.

use std::sync::Arc;

use crate::check::{Compiled, Element, Given, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::components::Producer;
use crate::exchange::{Exchange, Pattern, Position, Result};
use crate::language::Expression;
use crate::run::{Cx, Entry, Running, Step, drive};

use super::StepKind;
use super::to::To;
use super::to_d::address_of;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "wireTap",
        about: "Sends a copy to an endpoint, and does not wait for it",

        options: &[
            OptionSpec::required("uri", Takes::DynamicUri, "the address, perhaps with expressions in it"),
            OptionSpec::new("parameters", Takes::Parameters, "options of an address without expressions"),
            OptionSpec::new("ignoreInvalidEndpoint", Takes::Bool, "whether an address that is none is passed over"),
            OptionSpec::new("copy", Takes::Bool, "it is always a copy (true)"),
            OptionSpec::unused("allowOptimisedComponents", &Takes::Bool, "addresses are kept"),
            OptionSpec::unused("autoStartComponents", &Takes::Bool, "components are there from the start"),
            OptionSpec::unused("cacheSize", &Takes::Decimal, "addresses are kept"),
            OptionSpec::refused("allowedSchemes", "look at the address with `validate` before"),
            OptionSpec::unused("dynamicUri", &Takes::Bool, "an address has expressions in it, or it has none"),
            OptionSpec::meaningless("executorService", "there are no threads"),
            OptionSpec::refused("onPrepare", "send to a route that prepares the copy"),
            OptionSpec::refused("pattern", "a copy has nobody who waits for an answer"),
            OptionSpec::refused("variableSend", "put the variable into the body with `setBody` before"),
            OptionSpec::refused("variableReceive", "a copy does not come back"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    if element.flag("copy") == Some(false) {
        builder.error(element.mark_of("copy"), "`copy: false` is not supported: what is sent is always a copy");
    }
    let target = match element.given("uri")? {
        Given::Uri(uri) => Target::Known(builder.producer(uri)?),
        Given::Expression(Compiled::Value(address)) => Target::Dynamic(Arc::clone(address)),
        _ => return None,
    };
    Some(Box::new(WireTap { target, ignores_invalid: element.is_on("ignoreInvalidEndpoint") }))
}

#[derive(Debug)]
enum Target {
    Known(Arc<dyn Producer>),
    Dynamic(Arc<dyn Expression>),
}

#[derive(Debug)]
struct WireTap {
    target: Target,
    ignores_invalid: bool,
}

impl WireTap {
    fn producer(&self, exchange: &Exchange, cx: &Cx<'_>) -> Result<Arc<dyn Producer>> {
        match &self.target {
            Target::Known(producer) => Ok(Arc::clone(producer)),
            Target::Dynamic(address) => cx.core.producer(&address_of(&**address, exchange)?),
        }
    }
}

impl Step for WireTap {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let producer = match self.producer(exchange, cx) {
            Ok(producer) => producer,
            Err(_) if self.ignores_invalid => return Running::Done(Ok(())),
            Err(exception) => return Running::Done(Err(exception)),
        };
        let mut copy = exchange.copy();
        copy.pattern = Pattern::InOnly;
        // Nobody waits for it: it may be under way when what the exchange is part of has ended.
        copy.go_alone();
        Running::Later(Box::pin(async move {
            let place = cx.core.place_for_copy().await?;
            let (core, route) = (Arc::clone(cx.core), Arc::clone(cx.route));
            let is_quiet = cx.errors.is_none();
            cx.core.spawn(place, async move {
                let entry = Entry::within(To(producer));
                let errors = route.plan.errors.as_ref().filter(|_| !is_quiet);
                copy.position = Position { step: Default::default(), ..copy.position };
                let cx = Cx { core: &core, route: &route, errors };
                drive(std::slice::from_ref(&entry), &mut copy, &cx).await;
                crate::run::finish(&mut copy, &cx).await;
            });
            Ok(())
        }))
    }
}
