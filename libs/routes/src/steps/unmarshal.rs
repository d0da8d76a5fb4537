//! `unmarshal`: bytes become values.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::data_formats::DataFormat;
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "unmarshal",
        about: "Reads the body in a data format",
        inline: Inline::DataFormat,
        options: &[
            OptionSpec::unused("allowNullBody", &Takes::Bool, "a body that is null stays null"),
            OptionSpec::refused("variableSend", "put the variable into the body with `setBody` before"),
            OptionSpec::refused("variableReceive", "use `setVariable` behind"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| Some(Box::new(Unmarshal(builder.data_format(element)?))),
};

#[derive(Debug)]
struct Unmarshal(Arc<dyn DataFormat>);

impl Step for Unmarshal {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Done(self.0.unmarshal(&mut exchange.message))
    }
}
