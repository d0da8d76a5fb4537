//! `convertVariableTo`: a variable becomes another type.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Exception, Exchange, Kind, Result, Text, Value, class};
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "convertVariableTo",
        about: "Converts a variable to a type",
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
        Some(Box::new(ConvertVariableTo {
            to_name: Text::from(element.text("toName").unwrap_or(name)),
            name: Text::from(name),
            kind: element.kind("type")?,
            fails: element.flag("mandatory").unwrap_or(true),
        }))
    },
};

#[derive(Debug)]
struct ConvertVariableTo {
    name: Text,
    to_name: Text,
    kind: Kind,
    fails: bool,
}

impl Step for ConvertVariableTo {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Done(self.convert(exchange))
    }
}

impl ConvertVariableTo {
    fn convert(&self, exchange: &mut Exchange) -> Result<()> {
        let Some(value) = exchange.variables.get(&self.name) else { return Ok(()) };
        let converted = match value.convert(self.kind) {
            Ok(converted) => converted,
            Err(_) if !self.fails => Value::Null,
            Err(exception) => return Err(exception),
        };
        if exchange.variables.set(&self.to_name, converted) {
            return Ok(());
        }
        let message = format!("there are too many shared variables for `{}`", self.to_name);
        Err(Exception::new(&class::ILLEGAL_STATE, message))
    }
}
