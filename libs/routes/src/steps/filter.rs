//! `filter`: steps for some exchanges only.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Text, Value};
use crate::language::Predicate;
use crate::run::{Block, Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "filter",
        about: "Steps for exchanges that meet a condition",
        inline: Inline::Condition,
        options: &[
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("statusPropertyName", Takes::Text, "a property that tells whether the condition was met"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| {
        let block = builder.block(element.steps("steps"));
        let status = element.text("statusPropertyName").map(Text::from);
        Some(Box::new(Filter { condition: element.inline_condition()?, block, status }))
    },
};

#[derive(Debug)]
struct Filter {
    condition: Arc<dyn Predicate>,
    block: Block,
    status: Option<Text>,
}

impl Step for Filter {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        let matches = match self.condition.matches(exchange) {
            Ok(matches) => matches,
            Err(exception) => return Running::Done(Err(exception)),
        };
        if let Some(status) = &self.status {
            exchange.properties.insert(status.clone(), Value::Bool(matches));
        }
        if matches { Running::Enter(&self.block) } else { Running::Done(Ok(())) }
    }
}
