//! `removeVariable`: a variable goes.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "removeVariable",
        about: "Removes a variable, or with `*` all of the exchange",
        scalar: Some("name"),
        options: &[OptionSpec::required("name", Takes::Text, "its name")],
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(RemoveVariable(element.text("name")?.to_owned()))),
};

#[derive(Debug)]
struct RemoveVariable(String);

impl Step for RemoveVariable {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.variables.remove(&self.0);
        Running::Done(Ok(()))
    }
}
