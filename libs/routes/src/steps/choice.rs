//! `choice`: the first branch whose condition is met.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::language::Predicate;
use crate::run::{Block, Cx, Running, Step};

use super::StepKind;

static WHEN: Spec = Spec {
    name: "when",
    about: "A branch",
    inline: Inline::Condition,
    options: &[OptionSpec::new("steps", Takes::Steps, "the steps")],
    ..Spec::EMPTY
};

static OTHERWISE: Spec = Spec {
    name: "otherwise",
    about: "The branch for what no other took",
    options: &[OptionSpec::new("steps", Takes::Steps, "the steps")],
    ..Spec::EMPTY
};

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "choice",
        about: "The first branch whose condition the exchange meets",
        options: &[
            OptionSpec::new("when", Takes::Many(&WHEN), "the branches"),
            OptionSpec::new("otherwise", Takes::One(&OTHERWISE), "the branch for what no other took"),
            OptionSpec::unused("precondition", &Takes::Bool, "conditions are evaluated for each exchange"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| {
        let branches = element.many("when").iter();
        let branches = branches
            .filter_map(|when| Some((when.inline_condition()?, builder.block(when.steps("steps")))))
            .collect();
        let otherwise = element.one("otherwise").map(|otherwise| builder.block(otherwise.steps("steps")));
        Some(Box::new(Choice { branches, otherwise }))
    },
};

#[derive(Debug)]
struct Choice {
    branches: Vec<(Arc<dyn Predicate>, Block)>,
    otherwise: Option<Block>,
}

impl Step for Choice {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        for (condition, block) in &self.branches {
            match condition.matches(exchange) {
                Ok(true) => return Running::Enter(block),
                Ok(false) => {}
                Err(exception) => return Running::Done(Err(exception)),
            }
        }
        match &self.otherwise {
            Some(block) => Running::Enter(block),
            None => Running::Done(Ok(())),
        }
    }
}
