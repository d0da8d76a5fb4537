//! `convertBodyTo`: the body becomes another type.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Body, Exception, Exchange, Kind, Value, class};
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "convertBodyTo",
        about: "Converts the body to a type",
        scalar: Some("type"),
        options: &[
            OptionSpec::required("type", Takes::Kind, "the type, for example `String`"),
            OptionSpec::new("mandatory", Takes::Bool, "whether it fails if there is no such conversion (true)"),
            OptionSpec::new("charset", Takes::OneOf(&["UTF-8"]), "how text is written as bytes"),
        ],
        ..Spec::EMPTY
    },
    build: |element, _| {
        Some(Box::new(ConvertBodyTo { kind: element.kind("type")?, fails: element.flag("mandatory").unwrap_or(true) }))
    },
};

#[derive(Debug)]
struct ConvertBodyTo {
    kind: Kind,
    fails: bool,
}

impl Step for ConvertBodyTo {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        match exchange.message.body.value().convert(self.kind) {
            Ok(value) => exchange.message.body = Body::new(value),
            Err(_) if !self.fails => exchange.message.body = Body::new(Value::Null),
            Err(exception) => {
                let message = exception.message().cloned().unwrap_or_default();
                return Running::Done(Err(Exception::new(&class::INVALID_PAYLOAD, message).caused_by(exception)));
            }
        }
        Running::Done(Ok(()))
    }
}
