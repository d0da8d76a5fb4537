//! `setExchangePattern`: whether an answer is expected from here on.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Pattern};
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "setExchangePattern",
        about: "Says whether an answer is expected from the endpoints that follow",
        scalar: Some("pattern"),
        options: &[OptionSpec::required("pattern", Takes::OneOf(&["InOnly", "InOut"]), "what is expected")],
        ..Spec::EMPTY
    },
    build: |element, _| {
        Some(Box::new(SetExchangePattern(match element.text("pattern")? {
            "InOut" => Pattern::InOut,
            _ => Pattern::InOnly,
        })))
    },
};

#[derive(Debug)]
struct SetExchangePattern(Pattern);

impl Step for SetExchangePattern {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.pattern = self.0;
        Running::Done(Ok(()))
    }
}
