//! `removeProperty`: a property of the exchange goes.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "removeProperty",
        about: "Removes a property of the exchange",
        scalar: Some("name"),
        options: &[OptionSpec::required("name", Takes::Text, "its name")],
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(RemoveProperty(element.text("name")?.to_owned()))),
};

#[derive(Debug)]
struct RemoveProperty(String);

impl Step for RemoveProperty {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.properties.remove(&self.0);
        Running::Done(Ok(()))
    }
}
