//! `timer:`: an exchange every so often.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::check::Takes;
use crate::exchange::{Message, Text, Value};
use crate::run::{BoxFuture, Core, Inlet, Limits};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Side};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "timer",
    about: "Brings an exchange without a body every so often",
    path: "timerName",
    side: Side::From,
    options: &[
        EndpointOption::new("period", Takes::Duration, Side::From, "the time between two exchanges (1s)"),
        EndpointOption::new("delay", Takes::Duration, Side::From, "the time before the first (1s)"),
        EndpointOption::new(
            "repeatCount",
            Takes::Integer(0, i64::MAX),
            Side::From,
            "how many exchanges there are (0, without an end)",
        ),
        EndpointOption::new(
            "fixedRate",
            Takes::Bool,
            Side::From,
            "whether exchanges that are late are made up for (false)",
        ),
        EndpointOption::new(
            "includeMetadata",
            Takes::Bool,
            Side::From,
            "whether headers tell the timer's name and count (false)",
        ),
        EndpointOption::meaningless("daemon", "there are no threads"),
        EndpointOption::meaningless("synchronous", "there are no threads"),
    ],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Timer)
}

#[derive(Debug)]
struct Timer;

impl Component for Timer {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        let period_ms = endpoint.duration_ms("period").unwrap_or(1_000);
        if period_ms == 0 {
            return Err("`period` of `timer:` is at least 1".to_owned());
        }
        Ok(Box::new(Ticks {
            period: Duration::from_millis(period_ms),
            delay: Duration::from_millis(endpoint.duration_ms("delay").unwrap_or(1_000)),
            count_max: endpoint.integer("repeatCount").filter(|count| *count > 0),
            makes_up: endpoint.flag("fixedRate").unwrap_or(false),
            tells: endpoint.flag("includeMetadata").unwrap_or(false),
            name: Text::from(endpoint.text.path),
        }))
    }
}

#[derive(Debug, Clone)]
struct Ticks {
    name: Text,
    period: Duration,
    delay: Duration,
    count_max: Option<i64>,
    makes_up: bool,
    tells: bool,
}

impl Consumer for Ticks {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        let ticks = self.clone();
        let task = inlet.clone();
        inlet.spawn(async move { ticks.run(task).await });
        Box::pin(async { Ok(()) })
    }
}

impl Ticks {
    async fn run(&self, inlet: Inlet) {
        let mut ticks = interval_at(Instant::now() + self.delay, self.period);
        ticks.set_missed_tick_behavior(match self.makes_up {
            true => MissedTickBehavior::Burst,
            false => MissedTickBehavior::Delay,
        });
        let mut count = 0;
        while self.count_max.is_none_or(|max| count < max) {
            tokio::select! {
                () = inlet.stopped() => return,
                _ = ticks.tick() => {}
            }
            count += 1;
            let mut exchange = inlet.exchange(Message::default());
            exchange.properties.insert(Text::fixed("CamelTimerName"), Value::Text(self.name.clone()));
            exchange.properties.insert(Text::fixed("CamelTimerCounter"), Value::Integer(count));
            if self.tells {
                let headers = &mut exchange.message.headers;
                headers.set(Text::fixed("CamelTimerName"), Value::Text(self.name.clone()));
                headers.set(Text::fixed("CamelTimerCounter"), Value::Integer(count));
            }
            inlet.deliver(exchange).await;
        }
    }
}
