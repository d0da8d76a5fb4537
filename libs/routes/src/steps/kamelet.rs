//! `kamelet`: a route that is made from a template goes in between.

use crate::check::{OptionSpec, Spec, Takes};

use super::StepKind;
use super::to::To;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "kamelet",
        about: "Sends the exchange through a route that is made from a template",
        scalar: Some("name"),
        options: &[
            OptionSpec::required("name", Takes::KameletName, "the template"),
            OptionSpec::new("parameters", Takes::Parameters, "values of its parameters"),
            OptionSpec::refused("steps", "put the steps behind it"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| Some(Box::new(To(builder.producer(element.uri("name")?)?))),
};
