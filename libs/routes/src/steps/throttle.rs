//! `throttle`: only so many exchanges in a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Exception, Exchange, Kind, Result, Text, class};
use crate::language::Expression;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "throttle",
        about: "Lets as many exchanges through in a time as an expression says",
        inline: Inline::Value,
        options: &[
            OptionSpec::new("timePeriodMillis", Takes::Duration, "the time (1s)"),
            OptionSpec::new("rejectExecution", Takes::Bool, "whether exchanges fail instead of waiting (false)"),
            OptionSpec::new("mode", Takes::OneOf(&["TotalRequests", "ConcurrentRequests"]), "what is counted"),
            OptionSpec::new("correlationExpression", Takes::Value, "what exchanges have in common that count together"),
            OptionSpec::unused("asyncDelayed", &Takes::Bool, "waiting never holds a thread"),
            OptionSpec::unused("callerRunsWhenRejected", &Takes::Bool, "waiting never holds a thread"),
            OptionSpec::meaningless("executorService", "there are no threads"),
        ],
        ..Spec::EMPTY
    },
    build: |element, _| {
        Some(Box::new(Throttle {
            most: element.inline_value()?,
            period: Duration::from_millis(element.duration_ms("timePeriodMillis").unwrap_or(1_000)),
            rejects: element.is_on("rejectExecution"),
            counts_concurrent: element.text("mode") == Some("ConcurrentRequests"),
            correlation: element.value("correlationExpression"),
            passed: Mutex::new(Keys::new()),
            places: Mutex::new(Keys::new()),
        }))
    },
};

/// When exchanges of one key passed, oldest first.
type Passed = VecDeque<Instant>;

/// How many exchanges of one key may be there at a time, and their places.
type Places = (usize, Arc<Semaphore>);

/// How long it takes at least until keys are looked through again for those that are of no use any more.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is known of each key, for no more keys than are allowed.
#[derive(Debug)]
struct Keys<T> {
    known: HashMap<Text, T>,
    swept_at: Option<Instant>,
}

impl<T> Keys<T> {
    fn new() -> Self {
        Self { known: HashMap::new(), swept_at: None }
    }

    /// What is known of a key; nothing if it is new and there is no room for it.
    fn entry(&mut self, key: &Text, keys_max: usize, new: impl FnOnce() -> T, is_of_use: impl Fn(&T) -> bool) -> Result<&mut T> {
        let is_full = self.known.len() >= keys_max && !self.known.contains_key(key);
        if is_full && self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
            self.swept_at = Some(Instant::now());
            self.known.retain(|_, about| is_of_use(about));
        }
        if is_full && self.known.len() >= keys_max {
            let message = format!("throttle counts {keys_max} keys already, and no more are allowed");
            return Err(Exception::new(&class::ILLEGAL_STATE, message));
        }
        Ok(self.known.entry(key.clone()).or_insert_with(new))
    }
}

#[derive(Debug)]
struct Throttle {
    most: Arc<dyn Expression>,
    period: Duration,
    rejects: bool,
    counts_concurrent: bool,
    correlation: Option<Arc<dyn Expression>>,
    passed: Mutex<Keys<Passed>>,
    places: Mutex<Keys<Places>>,
}

impl Step for Throttle {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Later(Box::pin(async move {
            let most = self.most.evaluate(exchange, Kind::Long)?.convert(Kind::Long)?;
            let most = most.to_integer().and_then(|most| usize::try_from(most).ok()).unwrap_or(0).max(1);
            let key = match &self.correlation {
                Some(key) => key.evaluate(exchange, Kind::Text)?.to_text().unwrap_or_default(),
                None => Text::EMPTY,
            };
            if self.counts_concurrent {
                self.take_place(key, most, exchange, cx).await
            } else {
                self.pass(&key, most, cx).await
            }
        }))
    }
}

impl Throttle {
    async fn pass(&self, key: &Text, most: usize, cx: &Cx<'_>) -> Result<()> {
        loop {
            let wait = {
                let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let is_of_use = |times: &Passed| times.back().is_some_and(|last| now - *last < self.period);
                let times = passed.entry(key, cx.core.limits.keys_max, Passed::new, is_of_use)?;
                while times.front().is_some_and(|first| now - *first >= self.period) {
                    times.pop_front();
                }
                if times.len() < most {
                    times.push_back(now);
                    return Ok(());
                }
                times.front().map_or(self.period, |first| self.period - (now - *first))
            };
            if self.rejects {
                let message =
                    format!("Exceeded the max throttle rate of {most} within {}ms", self.period.as_millis());
                return Err(Exception::new(&class::THROTTLER_REJECTED, message));
            }
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    /// The place is free again when the exchange ends.
    async fn take_place(&self, key: Text, most: usize, exchange: &mut Exchange, cx: &Cx<'_>) -> Result<()> {
        let places = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || (most, Arc::new(Semaphore::new(most)));
            // Whoever holds a place or waits for one holds the semaphore.
            let is_of_use = |(_, places): &Places| Arc::strong_count(places) > 1;
            let (known, places) = places.entry(&key, cx.core.limits.keys_max, new, is_of_use)?;
            if *known < most {
                places.add_permits(most - *known);
                *known = most;
            }
            Arc::clone(places)
        };
        let place = if self.rejects {
            places.try_acquire_owned().map_err(|_| rejected())?
        } else {
            places.acquire_owned().await.map_err(|_| rejected())?
        };
        exchange.hooks.add(move |_| drop(place));
        Ok(())
    }
}

fn rejected() -> Exception {
    Exception::new(&class::THROTTLER_REJECTED, "Exceeded the max number of exchanges at a time")
}
