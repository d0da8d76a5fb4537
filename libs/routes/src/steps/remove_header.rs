//! `removeHeader`: a header goes.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "removeHeader",
        about: "Removes a header",
        scalar: Some("name"),
        options: &[OptionSpec::required("name", Takes::Text, "its name")],
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(RemoveHeader(element.text("name")?.to_owned()))),
};

#[derive(Debug)]
struct RemoveHeader(String);

impl Step for RemoveHeader {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.message.headers.remove(&self.0);
        Running::Done(Ok(()))
    }
}
