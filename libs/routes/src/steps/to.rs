//! `to`: the exchange goes to an endpoint.

use std::sync::Arc;

use crate::check::{OptionSpec, Spec, Takes};
use crate::components::{Producer, Side};
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "to",
        about: "Sends the exchange to an endpoint; what comes back is its message",
        scalar: Some("uri"),
        options: &[
            OptionSpec::required("uri", Takes::Uri(Side::To), "the address, for example `direct:next`"),
            OptionSpec::new("parameters", Takes::Parameters, "options of the address"),
            OptionSpec::refused("pattern", "what calls a route decides whether it waits for an answer"),
            OptionSpec::refused("variableSend", "put the variable into the body with `setBody` before"),
            OptionSpec::refused("variableReceive", "use `setVariable` behind"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| Some(Box::new(To(builder.producer(element.uri("uri")?)?))),
};

/// Sends to an endpoint that is known.
#[derive(Debug)]
pub(super) struct To(pub(super) Arc<dyn Producer>);

impl Step for To {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        self.0.send(exchange, cx).into()
    }
}
