//! What routes and their steps do, told as metrics and to whoever asks how the container is.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use routes::run::{Route, Snapshot};
use tokio::time::Instant;

use crate::metrics;

/// How often is looked.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long nothing of a route may end that has something under way, before it stands still.
const STILL_AFTER: Duration = Duration::from_secs(30);
/// How many routes and steps have labels of their own: names of steps change with their lines, and a series that was
/// begun stays until the process ends.
const SERIES_MAX: usize = 1_000;
/// The label of the others.
const OTHER: &str = "(other)";

type Number = fn(&Snapshot) -> u64;

/// The counters: of routes, and of steps.
const COUNTERS: &[(&str, &str, Number)] = &[
    (metrics::ROUTE_EXCHANGES_TOTAL, metrics::ROUTE_STEP_EXCHANGES_TOTAL, |counted| counted.total),
    (metrics::ROUTE_FAILED_TOTAL, metrics::ROUTE_STEP_FAILED_TOTAL, |counted| counted.failed),
    (metrics::ROUTE_REDELIVERED_TOTAL, metrics::ROUTE_STEP_REDELIVERED_TOTAL, |counted| counted.redelivered),
    (metrics::ROUTE_DEAD_LETTERS_TOTAL, metrics::ROUTE_STEP_DEAD_LETTERS_TOTAL, |counted| counted.dead_lettered),
    (metrics::ROUTE_MICROSECONDS_TOTAL, metrics::ROUTE_STEP_MICROSECONDS_TOTAL, |counted| counted.nanos / 1_000),
];

/// Which routes stand still; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct StandingStill(Arc<Mutex<Vec<String>>>);

impl StandingStill {
    /// What is to be said about them, if there is one.
    pub(crate) fn complaint(&self) -> Option<String> {
        let still = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!still.is_empty()).then(|| still.join("; "))
    }

    fn set(&self, still: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = still;
    }
}

/// Looks at routes again and again, and tells what has become more.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    seen: Vec<Seen>,
    /// The labels that are in use.
    labels: Labels,
    still: StandingStill,
}

/// A route as it was when it was looked at last.
#[derive(Debug)]
struct Seen {
    route: Arc<Route>,
    whole: Snapshot,
    steps: Vec<Snapshot>,
    /// Since when nothing has ended, or nothing has been under way.
    since: Instant,
}

impl Observer {
    pub(crate) fn new(still: StandingStill) -> Self {
        Self { still, ..Self::default() }
    }

    /// Looks at the routes that there are, and a last time at those that are gone.
    pub(crate) fn look(&mut self, routes: &[Arc<Route>]) {
        let now = Instant::now();
        for route in routes {
            if !self.seen.iter().any(|seen| Arc::ptr_eq(&seen.route, route)) {
                let steps = vec![Snapshot::default(); route.plan.steps.len()];
                self.seen.push(Seen { route: Arc::clone(route), whole: Snapshot::default(), steps, since: now });
            }
        }
        for seen in &mut self.seen {
            seen.tell(&mut self.labels, now);
        }
        self.seen.retain(|seen| routes.iter().any(|route| Arc::ptr_eq(&seen.route, route)));
        self.still.set(self.seen.iter().filter_map(|seen| seen.complaint(now)).collect());
    }
}

impl Seen {
    fn tell(&mut self, labels: &mut Labels, now: Instant) {
        let id = self.route.id();
        let whole = self.route.stats.snapshot();
        let (route, _) = label(labels, id, "");
        #[expect(clippy::cast_precision_loss, reason = "a number of exchanges")]
        ::metrics::gauge!(metrics::ROUTE_IN_FLIGHT, "route" => route.clone()).set(under_way(&whole) as f64);
        for (name, _, number) in COUNTERS {
            let more = number(&whole).saturating_sub(number(&self.whole));
            if more > 0 {
                ::metrics::counter!(*name, "route" => route.clone()).increment(more);
            }
        }
        for (step, before) in self.route.plan.steps.iter().zip(&mut self.steps) {
            let counted = step.stats.snapshot();
            if counted == *before {
                continue;
            }
            let (route, step) = label(labels, id, &step.name);
            for (_, name, number) in COUNTERS {
                let more = number(&counted).saturating_sub(number(before));
                if more > 0 {
                    ::metrics::counter!(*name, "route" => route.clone(), "step" => step.clone()).increment(more);
                }
            }
            *before = counted;
        }
        if under_way(&whole) == 0 || progress(&whole) != progress(&self.whole) {
            self.since = now;
        }
        self.whole = whole;
    }

    /// What is to be said about the route if it stands still.
    fn complaint(&self, now: Instant) -> Option<String> {
        let quiet = now.saturating_duration_since(self.since);
        let (id, exchanges) = (self.route.id(), under_way(&self.whole));
        (quiet >= STILL_AFTER)
            .then(|| format!("route {id} has {exchanges} under way, and none has ended for {} s", quiet.as_secs()))
    }
}

/// Routes and their steps that have labels of their own.
type Labels = HashSet<(String, String)>;

/// Exchanges in the steps, and those that wait for what they sent to be acknowledged.
fn under_way(counted: &Snapshot) -> u64 {
    counted.in_flight + counted.unacknowledged
}

fn progress(counted: &Snapshot) -> (u64, u64) {
    (counted.total - counted.in_flight, counted.unacknowledged)
}

/// The labels of a route's step, or of the route; those of all others where there are too many.
fn label(labels: &mut Labels, route: &str, step: &str) -> (String, String) {
    let wanted = (route.to_owned(), step.to_owned());
    if labels.contains(&wanted) {
        return wanted;
    }
    if labels.len() >= SERIES_MAX {
        return (OTHER.to_owned(), OTHER.to_owned());
    }
    labels.insert(wanted.clone());
    wanted
}

#[cfg(test)]
mod tests {
    use routes::exchange::{Message, Value};
    use routes::{Engine, Setup};

    use super::*;

    #[test]
    fn labels_do_not_grow_without_end() {
        let mut labels = HashSet::new();
        for line in 0..SERIES_MAX * 2 {
            label(&mut labels, "orders", &format!("to:{line}"));
        }
        assert_eq!(labels.len(), SERIES_MAX);
        assert_eq!(label(&mut labels, "orders", "to:0").1, "to:0");
        assert_eq!(label(&mut labels, "orders", "to:5000"), (OTHER.to_owned(), OTHER.to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_in_which_nothing_ends_stands_still_until_something_does() {
        let engine = Arc::new(Engine::new(Setup::default()));
        let route = "- route: { id: r, from: { uri: \"direct:r\", steps: [ { delay: { constant: \"60000\" } } ] } }\n";
        engine.start(engine.load(&[("r.yaml".to_owned(), route.to_owned())]).unwrap()).await.unwrap();
        let still = StandingStill::default();
        let mut observer = Observer::new(still.clone());
        let sender = Arc::clone(&engine);
        let sent = tokio::spawn(async move {
            sender.send("direct:r", sender.core().exchange(Message::new(Value::from("m")))).await
        });
        tokio::task::yield_now().await;
        for (seconds, stands) in [(0, false), (29, false), (2, true)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            observer.look(&engine.routes());
            assert_eq!(still.complaint().is_some(), stands, "{:?}", still.complaint());
        }
        assert!(still.complaint().unwrap().contains("route r has 1 under way, and none has ended for 31 s"));
        sent.await.unwrap();
        observer.look(&engine.routes());
        assert_eq!(still.complaint(), None);
    }
}
