//! `scheduler:`: an exchange every so often, each after the one before it has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::check::Takes;
use crate::exchange::Message;
use crate::run::{BoxFuture, Core, Inlet, Limits};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Side};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "scheduler",
    about: "Brings an exchange without a body, and the next a while after that one has ended",
    path: "name",
    side: Side::From,
    options: &[
        EndpointOption::new("delay", Takes::Duration, Side::From, "the time between two exchanges (500ms)"),
        EndpointOption::new("initialDelay", Takes::Duration, Side::From, "the time before the first (1s)"),
        EndpointOption::new(
            "repeatCount",
            Takes::Integer(0, i64::MAX),
            Side::From,
            "how many exchanges (0, without an end)",
        ),
        EndpointOption::meaningless("useFixedDelay", "the time is counted from the end of an exchange"),
        EndpointOption::meaningless("poolSize", "there are no threads"),
        EndpointOption::meaningless("timeUnit", "times have units of their own"),
        EndpointOption::meaningless("greedy", "an exchange without a body tells nothing about the next"),
    ],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Scheduler)
}

#[derive(Debug)]
struct Scheduler;

impl Component for Scheduler {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        let time = |name: &str, default| Duration::from_millis(endpoint.duration_ms(name).unwrap_or(default));
        Ok(Box::new(Turns {
            // A delay of nothing would take all of a processor.
            delay: time("delay", 500).max(Duration::from_millis(1)),
            initial_delay: time("initialDelay", 1_000),
            count_max: endpoint.integer("repeatCount").filter(|count| *count > 0),
        }))
    }
}

#[derive(Debug, Clone, Copy)]
struct Turns {
    delay: Duration,
    initial_delay: Duration,
    count_max: Option<i64>,
}

impl Consumer for Turns {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        let (turns, task) = (*self, inlet.clone());
        inlet.spawn(async move { turns.run(&task).await });
        Box::pin(async { Ok(()) })
    }
}

impl Turns {
    async fn run(self, inlet: &Inlet) {
        let mut wait = self.initial_delay;
        let mut count = 0;
        while self.count_max.is_none_or(|max| count < max) {
            tokio::select! {
                () = inlet.stopped() => return,
                () = sleep(wait) => {}
            }
            wait = self.delay;
            count += 1;
            inlet.deliver(inlet.exchange(Message::default())).await;
        }
    }
}
