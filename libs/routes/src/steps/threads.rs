//! `threads`: nothing to do here, since no step holds a thread.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

const ENGINE: &str = "the engine decides what runs where";

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "threads",
        about: "Is taken, without effect: the engine decides what runs where, and the sender waits for the rest",
        options: &[
            OptionSpec::unused("poolSize", &Takes::Decimal, ENGINE),
            OptionSpec::unused("maxPoolSize", &Takes::Decimal, ENGINE),
            OptionSpec::unused("maxQueueSize", &Takes::Decimal, ENGINE),
            OptionSpec::unused("keepAliveTime", &Takes::Decimal, ENGINE),
            OptionSpec::unused("timeUnit", &Takes::OneOf(&["NANOSECONDS", "MICROSECONDS", "MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"]), ENGINE),
            OptionSpec::meaningless("threadName", ENGINE),
            OptionSpec::meaningless("executorService", ENGINE),
            OptionSpec::unused("rejectedPolicy", &Takes::OneOf(&["Abort", "CallerRuns", "Block"]), ENGINE),
            OptionSpec::unused("callerRunsWhenRejected", &Takes::Bool, ENGINE),
            OptionSpec::unused("allowCoreThreadTimeOut", &Takes::Bool, ENGINE),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| {
        builder.note(element.at, format!("`threads` has no effect here: {ENGINE}"));
        Some(Box::new(Threads))
    },
};

#[derive(Debug)]
struct Threads;

impl Step for Threads {
    fn run<'s: 'e, 'e>(&'s self, _: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Done(Ok(()))
    }
}
