//! `pipeline`: steps in a row.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::run::{Block, Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "pipeline",
        about: "Steps in a row, where several stand for one",
        options: &[OptionSpec::new("steps", Takes::Steps, "the steps")],
        ..Spec::EMPTY
    },
    build: |element, builder| Some(Box::new(Pipeline(builder.block(element.steps("steps"))))),
};

#[derive(Debug)]
pub(super) struct Pipeline(pub(super) Block);

impl Step for Pipeline {
    fn run<'s: 'e, 'e>(&'s self, _: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Enter(&self.0)
    }
}
