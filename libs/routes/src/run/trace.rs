//! Exchanges of a route are followed step by step, for as long as somebody looks.
//!
//! Nothing is kept while nobody does: whether a route is looked at is asked once for each exchange, and whether an
//! exchange is followed once for each step. What is kept is bounded, and ends with the [`Trace`].

mod masking;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Exchange, Message, Text};

use super::engine::Engine;
use super::route::{Route, RouteState};
use super::stats::StepInfo;

pub use masking::{Masking, Shown};

/// How much one trace may keep of what it has seen, in bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The outcome of an exchange that does not come to its end.
const CUT_OFF: &str = "cut-off";
/// What a step counts beside its texts.
const STEP_BYTES: usize = 256;

/// Follows the next exchanges of a route; when it is dropped, nothing is followed any more.
#[derive(Debug)]
pub struct Trace {
    tracer: Arc<Tracer>,
    route: Arc<Route>,
    ended: mpsc::Receiver<Followed>,
    stop: CancellationToken,
    /// How many are wanted, and how many have been given.
    wanted: usize,
    given: usize,
}

/// What an exchange went through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Followed {
    /// What names the exchange among all of the process.
    pub exchange: String,
    /// When it was made, in milliseconds since 1970.
    pub began_ms: i64,
    /// How long it took, in microseconds; until now, if it is still under way.
    pub took_us: u64,
    /// `done`; `failed`; `cut-off`, if nobody waited for it any more; `under-way`.
    pub outcome: &'static str,
    /// What failed it.
    pub exception: Option<String>,
    /// The headers that it came with.
    pub headers: Vec<(String, String)>,
    /// The body that it came with.
    pub body: Shown,
    /// The steps in the order in which they began, those of copies and of other routes among them.
    pub steps: Vec<FollowedStep>,
    /// How many steps more there were, for which the trace had no room.
    pub left_out: usize,
}

/// What a step did with an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowedStep {
    /// The route in which the step stands.
    pub route: String,
    /// The step's name.
    pub step: String,
    /// In how many steps it stands.
    pub depth: usize,
    /// The exchange: another one than that which is followed, if a step made a copy.
    pub exchange: String,
    /// How long after the exchange came, in microseconds.
    pub after_us: u64,
    /// How long it took, in microseconds; nothing if it has not ended.
    pub took_us: Option<u64>,
    /// How often it was tried again.
    pub redelivered: u32,
    /// What it failed with.
    pub exception: Option<String>,
    /// The headers that it changed; of a step with steps in it, those tell.
    pub headers: Vec<HeaderChange>,
    /// The body before and after, if it is another one.
    pub body: Option<(Shown, Shown)>,
}

/// A header that is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderChange {
    /// Its name.
    pub name: String,
    /// What it was; nothing if it was not there.
    pub before: Option<String>,
    /// What it is; nothing if it is gone.
    pub after: Option<String>,
}

impl Engine {
    /// Follows the next exchanges of a route, at the most as many.
    ///
    /// # Errors
    /// If there is no such route, it does not run, or it is being traced already.
    pub fn trace(&self, route: &str, exchanges_max: usize, masking: Masking) -> Result<Trace, String> {
        let route = self.route(route)?;
        let stop = route.stop_token().filter(|_| route.state() == RouteState::Started);
        let Some(stop) = stop else {
            let (id, state) = (route.id(), route.state().as_str());
            return Err(format!("route `{id}` is {state}: nothing goes through it"));
        };
        let (told, ended) = mpsc::channel(exchanges_max.max(1));
        let tracer = Arc::new(Tracer {
            masking,
            places: AtomicUsize::new(exchanges_max),
            bytes: AtomicUsize::new(BYTES_MAX),
            told,
            journeys: Mutex::default(),
        });
        if !route.lookout.watch(&tracer) {
            return Err(format!("route `{}` is being traced already", route.id()));
        }
        Ok(Trace { tracer, route, ended, stop, wanted: exchanges_max, given: 0 })
    }

    /// What a route is that was stopped under a trace: `replaced` by another, `removed`, `stopped`, `suspended`, or
    /// `started` again.
    pub async fn fate(&self, trace: &Trace) -> &'static str {
        // Whoever stopped it has done what they were about to.
        let _turn = self.turn.lock().await;
        match self.routes().into_iter().find(|known| known.id() == trace.route.id()) {
            None => "removed",
            Some(known) if Arc::ptr_eq(&known, &trace.route) => known.state().as_str(),
            Some(_) => "replaced",
        }
    }
}

impl Trace {
    /// The next exchange that has ended, with its copies; nothing when all that are wanted have been given, or the route
    /// was stopped and what was under way has ended.
    pub async fn next(&mut self) -> Option<Followed> {
        if self.is_full() {
            return None;
        }
        let next = tokio::select! {
            biased;
            next = self.ended.recv() => next,
            () = self.stop.cancelled() => match self.wanted - self.tracer.places.load(Relaxed) == self.given {
                true => None,
                false => self.ended.recv().await,
            },
        };
        self.given += usize::from(next.is_some());
        next
    }

    /// Whether all that are wanted have been given.
    pub fn is_full(&self) -> bool {
        self.given == self.wanted
    }

    /// What has begun and has not ended, as far as it has come.
    pub fn under_way(&self) -> Vec<Followed> {
        self.tracer.under_way().iter().map(|journey| journey.so_far()).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.route.lookout.is_on.store(false, Relaxed);
    }
}

/// Where a route looks whether it is traced.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    is_on: AtomicBool,
    tracer: Mutex<Weak<Tracer>>,
}

impl Lookout {
    /// Has an exchange followed that comes to the route, if somebody looks.
    pub(super) fn see(&self, exchange: &mut Exchange) {
        if !self.is_on.load(Relaxed) || exchange.journey.get().is_some() {
            return;
        }
        if let Some(tracer) = lock(&self.tracer).upgrade() {
            tracer.begin(exchange);
            if tracer.places.load(Relaxed) == 0 {
                self.is_on.store(false, Relaxed);
            }
        }
    }

    fn watch(&self, tracer: &Arc<Tracer>) -> bool {
        let mut known = lock(&self.tracer);
        if known.strong_count() > 0 && known.upgrade().is_some_and(|known| !known.told.is_closed()) {
            return false;
        }
        *known = Arc::downgrade(tracer);
        self.is_on.store(true, Relaxed);
        true
    }
}

/// What the exchanges of a trace share.
#[derive(Debug)]
struct Tracer {
    masking: Masking,
    /// How many exchanges more are followed.
    places: AtomicUsize,
    /// How many bytes more are kept.
    bytes: AtomicUsize,
    told: mpsc::Sender<Followed>,
    journeys: Mutex<Vec<Weak<Journey>>>,
}

impl Tracer {
    fn begin(self: &Arc<Self>, exchange: &mut Exchange) {
        if !take(&self.places, 1) {
            return;
        }
        let mut followed = Followed {
            exchange: exchange.id().to_string(),
            began_ms: exchange.created_ms,
            outcome: CUT_OFF,
            ..Followed::default()
        };
        let headers = self.masking.headers(&exchange.message);
        let body = self.masking.body(&exchange.message.body);
        let texts = headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + body.len();
        if take(&self.bytes, texts) {
            (followed.headers, followed.body) = (headers, body);
        }
        let told = Told { followed, is_over: false };
        let journey = Arc::new(Journey { tracer: Arc::clone(self), began: Instant::now(), told: Mutex::new(told) });
        lock(&self.journeys).push(Arc::downgrade(&journey));
        exchange.journey = Carried(Some(journey));
    }

    fn under_way(&self) -> Vec<Arc<Journey>> {
        lock(&self.journeys).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Takes a number off another, unless that is smaller.
fn take(from: &AtomicUsize, number: usize) -> bool {
    from.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(number)).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an exchange has gone through so far; it ends with the last copy that carries it.
#[derive(Debug)]
pub(crate) struct Journey {
    tracer: Arc<Tracer>,
    began: Instant,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    followed: Followed,
    /// Whether the exchange itself is through.
    is_over: bool,
}

impl Journey {
    /// An exchange comes to a step; nothing if there is no room left.
    pub(super) fn enter(
        self: &Arc<Self>,
        step: &StepInfo,
        exchange: &Exchange,
        route: &Text,
        now: Instant,
    ) -> Option<Stay> {
        let id = exchange.id();
        let mut told = lock(&self.told);
        if told.is_over && told.followed.exchange == id.as_str() {
            // It was through a route that others call, or error handling goes on with it.
            told.is_over = false;
            told.followed.outcome = CUT_OFF;
            told.followed.exception = None;
        }
        if !take(&self.tracer.bytes, STEP_BYTES) {
            told.followed.left_out += 1;
            return None;
        }
        let at = told.followed.steps.len();
        told.followed.steps.push(FollowedStep {
            route: route.to_string(),
            step: step.name.to_string(),
            depth: step.depth,
            exchange: id.to_string(),
            after_us: micros(self.began, now),
            ..FollowedStep::default()
        });
        Some(Stay { journey: Arc::clone(self), at, began: now, before: exchange.message.clone() })
    }

    /// Notes how the exchange stands, if it is the one that is followed and not a copy.
    pub(super) fn settle(&self, exchange: &Exchange) {
        let mut told = lock(&self.told);
        if told.followed.exchange != exchange.id().as_str() {
            return;
        }
        told.is_over = true;
        told.followed.took_us = micros(self.began, Instant::now());
        told.followed.outcome = if exchange.is_failed() { "failed" } else { "done" };
        told.followed.exception = self.exception(exchange);
    }

    fn exception(&self, exchange: &Exchange) -> Option<String> {
        exchange.exception().map(|exception| self.tracer.masking.text(&exception.to_string()))
    }

    fn so_far(&self) -> Followed {
        let followed = lock(&self.told).followed.clone();
        Followed { outcome: "under-way", took_us: micros(self.began, Instant::now()), ..followed }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !told.is_over {
            told.followed.took_us = micros(self.began, Instant::now());
        }
        // There is a place for each; whoever looked may have gone.
        let _ = self.tracer.told.try_send(std::mem::take(&mut told.followed));
    }
}

/// A followed exchange at a step.
pub(super) struct Stay {
    journey: Arc<Journey>,
    /// Which of the steps it is.
    at: usize,
    began: Instant,
    before: Message,
}

impl Stay {
    pub(super) fn redeliver(&self) {
        lock(&self.journey.told).followed.steps[self.at].redelivered += 1;
    }

    pub(super) fn end(self, exchange: &Exchange, now: Instant) {
        let Self { journey, at, began, before } = self;
        let id = exchange.id();
        let mut told = lock(&journey.told);
        let has_inner = told.followed.steps[at + 1..].iter().any(|inner| inner.exchange == id.as_str());
        let (mut headers, mut body) = (Vec::new(), None);
        if !has_inner {
            headers = journey.tracer.masking.changes(&before, &exchange.message);
            if !before.body.is_same(&exchange.message.body) {
                body =
                    Some([&before, &exchange.message].map(|message| journey.tracer.masking.body(&message.body)).into());
            }
        }
        let exception = journey.exception(exchange);
        let texts = headers.iter().map(HeaderChange::len).sum::<usize>()
            + body.as_ref().map_or(0, |(before, after): &(Shown, Shown)| before.len() + after.len())
            + exception.as_ref().map_or(0, String::len);
        let step = &mut told.followed.steps[at];
        step.took_us = Some(micros(began, now));
        if take(&journey.tracer.bytes, texts) {
            (step.headers, step.body, step.exception) = (headers, body, exception);
        } else {
            step.exception = Some("(the trace has no room left)".to_owned());
        }
    }
}

impl HeaderChange {
    fn len(&self) -> usize {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.name.len() + len(&self.before) + len(&self.after)
    }
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}

/// The journey that an exchange and its copies carry; whatever else is made of the exchange does not.
#[derive(Debug, Default)]
pub(crate) struct Carried(Option<Arc<Journey>>);

impl Carried {
    pub(crate) fn get(&self) -> Option<&Arc<Journey>> {
        self.0.as_ref()
    }

    pub(crate) fn shared(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Clone for Carried {
    fn clone(&self) -> Self {
        Self(None)
    }
}
