//! `stop`: nothing follows.

use crate::check::Spec;
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec { name: "stop", about: "Ends the way of the exchange here", ..Spec::EMPTY },
    build: |_, _| Some(Box::new(Stop)),
};

#[derive(Debug)]
struct Stop;

impl Step for Stop {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.stop();
        Running::Done(Ok(()))
    }
}
