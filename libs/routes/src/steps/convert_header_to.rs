//! `convertHeaderTo`: a header becomes another type.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Kind, Result, Text, Value};
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "convertHeaderTo",
        about: "Converts a header to a type",
        options: &[
            OptionSpec::required("name", Takes::Text, "its name"),
            OptionSpec::required("type", Takes::Kind, "the type, for example `String`"),
            OptionSpec::new("toName", Takes::Text, "the name of the result (the same)"),
            OptionSpec::new("mandatory", Takes::Bool, "whether it fails if there is no such conversion (true)"),
            OptionSpec::new("charset", Takes::OneOf(&["UTF-8"]), "how text is written as bytes"),
        ],
        ..Spec::EMPTY
    },
    build: |element, _| {
        let name = element.text("name")?;
        Some(Box::new(ConvertHeaderTo {
            to_name: Text::from(element.text("toName").unwrap_or(name)),
            name: Text::from(name),
            kind: element.kind("type")?,
            fails: element.flag("mandatory").unwrap_or(true),
        }))
    },
};

#[derive(Debug)]
struct ConvertHeaderTo {
    name: Text,
    to_name: Text,
    kind: Kind,
    fails: bool,
}

impl Step for ConvertHeaderTo {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Done(self.convert(exchange))
    }
}

impl ConvertHeaderTo {
    fn convert(&self, exchange: &mut Exchange) -> Result<()> {
        let Some(value) = exchange.message.header(&self.name) else { return Ok(()) };
        let converted = match value.convert(self.kind) {
            Ok(converted) => converted,
            Err(_) if !self.fails => Value::Null,
            Err(exception) => return Err(exception),
        };
        exchange.message.headers.set(self.to_name.clone(), converted);
        Ok(())
    }
}
