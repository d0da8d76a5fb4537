//! `cron:`: an exchange at the times that a schedule names.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::check::Takes;
use crate::exchange::{Message, Text, Value};
use crate::run::{BoxFuture, Core, Inlet, Limits};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Side};
use schedule::Schedule;

/// The clock is looked at again after this time at the latest, in case somebody set it.
const LOOK_MAX_MS: i64 = 60_000;

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "cron",
    about: "Brings an exchange without a body at the times of a schedule, in UTC",
    path: "name",
    side: Side::From,
    options: &[EndpointOption::new(
        "schedule",
        Takes::Text,
        Side::From,
        "minute, hour, day, month and day of the week, perhaps with seconds before and a year behind",
    )],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Cron)
}

#[derive(Debug)]
struct Cron;

impl Component for Cron {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        let text = endpoint.word("schedule").ok_or("`cron:` needs `schedule`, for example `schedule=0+8+*+*+*`")?;
        Ok(Box::new(Times { schedule: Schedule::new(&text)?, name: Text::from(endpoint.text.path) }))
    }
}

#[derive(Debug, Clone)]
struct Times {
    name: Text,
    schedule: Schedule,
}

impl Consumer for Times {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        let (times, task) = (self.clone(), inlet.clone());
        inlet.spawn(async move { times.run(&task).await });
        Box::pin(async { Ok(()) })
    }
}

impl Times {
    async fn run(&self, inlet: &Inlet) {
        let clock = &inlet.core().surroundings.clock;
        let mut after_ms = clock.now_ms();
        while let Some(next_ms) = self.schedule.next_ms(after_ms) {
            loop {
                let left_ms = next_ms - clock.now_ms();
                if left_ms <= 0 {
                    break;
                }
                let wait = Duration::from_millis(u64::try_from(left_ms.min(LOOK_MAX_MS)).unwrap_or(0));
                tokio::select! {
                    () = inlet.stopped() => return,
                    () = sleep(wait) => {}
                }
            }
            let mut exchange = inlet.exchange(Message::default());
            exchange.properties.insert(Text::fixed("CamelTimerName"), Value::Text(self.name.clone()));
            inlet.deliver(exchange).await;
            // Times that passed meanwhile are not made up for.
            after_ms = clock.now_ms().max(next_ms);
        }
        inlet.stopped().await;
    }
}
