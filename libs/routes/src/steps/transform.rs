//! `transform`: the same as `setBody`.

use crate::check::{Inline, Spec};

use super::StepKind;
use super::set_body::SetBody;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "transform",
        about: "Sets the body to the value of an expression, as `setBody` does",
        inline: Inline::Value,
        ..Spec::EMPTY
    },
    build: |element, _| Some(Box::new(SetBody { expression: element.inline_value()? })),
};
