//! `threads`: nothing to do here, since no step holds a thread.

use crate::check::{OptionSpec, Spec};
use crate::exchange::Exchange;
use crate::run::{Cx, Running, Step};

use super::StepKind;

const ENGINE: &str = "the engine decides what runs where";

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "threads",
        about: "Is taken, without effect: the engine decides what runs where, and the sender waits for the rest",
        options: &[
            OptionSpec::meaningless("poolSize", ENGINE),
            OptionSpec::meaningless("maxPoolSize", ENGINE),
            OptionSpec::meaningless("maxQueueSize", ENGINE),
            OptionSpec::meaningless("keepAliveTime", ENGINE),
            OptionSpec::meaningless("timeUnit", ENGINE),
            OptionSpec::meaningless("threadName", ENGINE),
            OptionSpec::meaningless("executorService", ENGINE),
            OptionSpec::meaningless("rejectedPolicy", ENGINE),
            OptionSpec::meaningless("callerRunsWhenRejected", ENGINE),
            OptionSpec::meaningless("allowCoreThreadTimeOut", ENGINE),
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
