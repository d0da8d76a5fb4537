//! `step`: steps in a row that have a name together.

use crate::check::{OptionSpec, Spec, Takes};

use super::StepKind;
use super::pipeline::Pipeline;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "step",
        about: "Steps in a row that have an id together",
        options: &[OptionSpec::new("steps", Takes::Steps, "the steps")],
        ..Spec::EMPTY
    },
    build: |element, builder| Some(Box::new(Pipeline(builder.block(element.steps("steps"))))),
};
