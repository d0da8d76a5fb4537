//! A route: where exchanges come in, and what they go through.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::components::Consumer;
use crate::exchange::{Exception, Exchange, Message, Position, Text, Value, class};

use super::Cx;
use super::block::{Block, drive};
use super::engine::Core;
use super::errors::ErrorHandling;
use super::stats::{Stats, StepInfo};
use super::trace::{Carried, Lookout};

/// The header with the trace of what an exchange follows from.
pub const TRACEPARENT: &str = "traceparent";

/// What a route is made of.
#[derive(Debug)]
pub struct Plan {
    /// Its id.
    pub id: Text,
    /// Its group; empty if it has none.
    pub group: Text,
    /// The file it comes from.
    pub file: Arc<str>,
    /// The address it takes exchanges from, without options.
    pub from: Text,
    /// Whether it starts with the others.
    pub auto_startup: bool,
    /// Routes with a smaller number start earlier, and stop later.
    pub startup_order: i64,
    /// Its steps.
    pub block: Block,
    /// All its steps with those in them, those of error handling last, in the order of the file.
    pub steps: Vec<Arc<StepInfo>>,
    /// What it does with errors; nothing if nobody handles them.
    pub errors: Option<ErrorHandling>,
    /// What brings it exchanges.
    pub consumer: Box<dyn Consumer>,
    /// Exchanges that are under way at a time.
    pub in_flight_max: usize,
    /// What its steps do whenever it starts.
    pub starts: Starts,
}

/// What steps do whenever their route starts.
#[derive(Default)]
pub struct Starts(Vec<Box<Start>>);

type Start = dyn Fn(Arc<Core>, Arc<Route>) + Send + Sync;

impl Starts {
    /// Adds something to be done.
    pub fn add(&mut self, work: impl Fn(Arc<Core>, Arc<Route>) + Send + Sync + 'static) {
        self.0.push(Box::new(work));
    }
}

impl fmt::Debug for Starts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Starts").field(&self.0.len()).finish()
    }
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// What it is made of.
    pub plan: Plan,
    /// What it has done.
    pub stats: Stats,
    /// Where somebody who traces it says so.
    pub(super) lookout: Lookout,
    in_flight: Semaphore,
    running: Mutex<Option<Tasks>>,
    state: AtomicU8,
}

/// How long tasks that were cut off may take to notice: as long as none computes, no time at all.
const CUT_OFF_MAX: Duration = Duration::from_secs(5);

/// What runs for a route from a start to a stop.
#[derive(Debug, Clone, Default)]
struct Tasks {
    stop: CancellationToken,
    /// Ends what did not end by itself.
    cut_off: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut_off = self.cut_off.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = cut_off.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Waits until they have ended; those that have not in time are cut off, and it is false.
    async fn end(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_ok() {
            return true;
        }
        self.cut_off.cancel();
        // What computes ends with its next wait.
        let _ = tokio::time::timeout(CUT_OFF_MAX, self.tracker.wait()).await;
        false
    }
}

/// Whether a route takes exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteState {
    /// It has not been started, or it has been stopped.
    Stopped,
    /// It takes exchanges.
    Started,
    /// It takes no exchanges until it is resumed.
    Suspended,
}

impl RouteState {
    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Started => "started",
            Self::Suspended => "suspended",
        }
    }
}

const STOPPED: u8 = 0;
const STARTED: u8 = 1;
const SUSPENDED: u8 = 2;

impl Route {
    /// A route that has not been started.
    pub fn new(plan: Plan) -> Self {
        let in_flight = Semaphore::new(plan.in_flight_max);
        Self {
            plan,
            stats: Stats::default(),
            lookout: Lookout::default(),
            in_flight,
            running: Mutex::new(None),
            state: AtomicU8::new(STOPPED),
        }
    }

    /// What stands for a route where exchanges come from outside of all routes.
    pub(super) fn outside() -> Self {
        Self::new(Plan {
            id: Text::EMPTY,
            group: Text::EMPTY,
            file: Arc::from(""),
            from: Text::EMPTY,
            auto_startup: false,
            startup_order: 0,
            block: Block::default(),
            steps: Vec::new(),
            errors: None,
            consumer: Box::new(Nobody),
            in_flight_max: 1,
            starts: Starts::default(),
        })
    }

    /// Its id.
    pub fn id(&self) -> &Text {
        &self.plan.id
    }

    /// Whether it takes exchanges now.
    pub fn state(&self) -> RouteState {
        match self.state.load(Ordering::Acquire) {
            STARTED => RouteState::Started,
            SUSPENDED => RouteState::Suspended,
            _ => RouteState::Stopped,
        }
    }

    /// Takes an exchange through the route, within whatever it already is part of.
    pub async fn process(self: &Arc<Self>, exchange: &mut Exchange, core: &Arc<Core>) {
        if exchange.descend() > core.limits.depth_max {
            let message =
                format!("routes call each other more than {} deep at `{}`", core.limits.depth_max, self.plan.id);
            exchange.ascend();
            exchange.fail(Exception::new(&class::ILLEGAL_STATE, message));
            return;
        }
        let mut under_way = UnderWay::begin(&self.stats, core);
        let position = Position {
            route: self.plan.id.clone(),
            group: self.plan.group.clone(),
            step: Text::EMPTY,
            from_route: match exchange.position.from_route.is_empty() {
                true => self.plan.id.clone(),
                false => exchange.position.from_route.clone(),
            },
            from_endpoint: match exchange.position.from_endpoint.is_empty() {
                true => self.plan.from.clone(),
                false => exchange.position.from_endpoint.clone(),
            },
        };
        let above = std::mem::replace(&mut exchange.position, position);
        self.lookout.see(exchange);
        if exchange.original().is_none() && self.plan.errors.as_ref().is_some_and(ErrorHandling::keeps_original) {
            exchange.keep_original();
        }
        drive(&self.plan.block.entries, exchange, &Cx { core, route: self, errors: self.plan.errors.as_ref() }).await;
        exchange.position = above;
        exchange.ascend();
        under_way.is_failed = exchange.is_failed();
        settle(exchange);
    }

    /// The step that failed an exchange, if it is one of this route.
    pub(crate) fn failed_step(&self, exchange: &Exchange) -> Option<Arc<StepInfo>> {
        let name = exchange.failed_at(self.id())?;
        self.plan.steps.iter().find(|step| step.name == *name).cloned()
    }

    /// Counts a dead letter, and of which step it is.
    pub(crate) fn bury(&self, step: Option<&StepInfo>) {
        self.stats.bury();
        if let Some(step) = step {
            step.stats.bury();
        }
    }

    /// Cancelled when the route stops; nothing if it does not run.
    pub(super) fn stop_token(&self) -> Option<CancellationToken> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|tasks| tasks.stop.clone())
    }

    /// Runs a task of one of the steps until the route stops; nothing is run if it has stopped already.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(CancellationToken) -> F) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(tasks) = running {
            tasks.spawn(task(tasks.stop.clone()));
        }
    }

    /// Starts to take exchanges.
    pub(super) async fn start(self: &Arc<Self>, core: &Arc<Core>) -> Result<(), String> {
        let tasks = Tasks::default();
        let inlet = Inlet { core: Arc::clone(core), route: Arc::clone(self), tasks: tasks.clone() };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(tasks);
        self.state.store(STARTED, Ordering::Release);
        for work in &self.plan.starts.0 {
            work(Arc::clone(core), Arc::clone(self));
        }
        let started = self.plan.consumer.start(inlet).await;
        if started.is_err() {
            if let Some(tasks) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
                tasks.stop.cancel();
            }
            self.state.store(STOPPED, Ordering::Release);
        }
        started
    }

    /// Takes no new exchanges, and waits for those under way. False means that some did not end in time and were cut
    /// off: nothing of its source goes on beside whatever takes its place.
    pub(super) async fn stop(&self, limit: Duration) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(tasks) = running else { return true };
        self.plan.consumer.stop();
        self.state.store(STOPPED, Ordering::Release);
        tasks.end(limit).await
    }

    /// Notes that it was stopped for a while only.
    pub(super) fn mark_suspended(&self) {
        self.state.store(SUSPENDED, Ordering::Release);
    }
}

/// An exchange that is under way in a route, also if nobody waits for it any more.
struct UnderWay<'e> {
    stats: &'e Stats,
    core: &'e Core,
    began: Instant,
    is_failed: bool,
}

impl<'e> UnderWay<'e> {
    fn begin(stats: &'e Stats, core: &'e Core) -> Self {
        stats.begin();
        Self { stats, core, began: Instant::now(), is_failed: false }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.stats.end(self.is_failed, self.began.elapsed());
        self.core.tell_ended();
    }
}

/// Brings nothing.
#[derive(Debug)]
struct Nobody;

impl Consumer for Nobody {
    fn start(&self, _: Inlet) -> super::BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// Where a source hands its exchanges to its route.
#[derive(Debug, Clone)]
pub struct Inlet {
    core: Arc<Core>,
    route: Arc<Route>,
    tasks: Tasks,
}

impl Inlet {
    /// The engine.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The route.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// A new exchange of this route, of the trace that its message names.
    pub fn exchange(&self, message: Message) -> Exchange {
        let traceparent = message.header(TRACEPARENT).and_then(Value::to_text);
        let mut exchange = self.core.exchange(message);
        if let Some(traceparent) = traceparent {
            exchange.join_trace(traceparent);
        }
        exchange
    }

    /// Takes an exchange through the route, waits for its place and ends it.
    pub async fn deliver(&self, mut exchange: Exchange) -> Exchange {
        // The semaphore is never closed.
        let _place = self.route.in_flight.acquire().await;
        self.call(&mut exchange).await;
        self.end(&mut exchange).await;
        exchange
    }

    /// Ends an exchange that has been through the route: what it has begun ends, what is to be done is done.
    pub async fn end(&self, exchange: &mut Exchange) {
        let errors = self.route.plan.errors.as_ref();
        finish(exchange, &Cx { core: &self.core, route: &self.route, errors }).await;
    }

    /// Takes somebody else's exchange through the route: who made it does what is to be done at its end.
    pub async fn call(&self, exchange: &mut Exchange) {
        self.route.process(exchange, &self.core).await;
    }

    /// Runs a task of the source; the route waits for it when it stops, and drops it when that takes too long.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Comes back when the route is to stop.
    pub async fn stopped(&self) {
        self.tasks.stop.cancelled().await;
    }

    /// Whether the route is to stop.
    pub fn is_stopped(&self) -> bool {
        self.tasks.stop.is_cancelled()
    }
}

async fn acknowledged(exchange: &mut Exchange, cx: &Cx<'_>) -> Result<(), Exception> {
    let _waiting = cx.route.stats.wait();
    exchange.pending.end().await
}

/// Tells whoever follows an exchange how it stands.
fn settle(exchange: &Exchange) {
    if let Some(journey) = exchange.journey.get() {
        journey.settle(exchange);
    }
}

/// Ends an exchange: waits for what it has begun, does what is to be done at its end, and says if it failed.
pub(crate) async fn finish(exchange: &mut Exchange, cx: &Cx<'_>) {
    if !exchange.pending.is_empty()
        && let Err(exception) = acknowledged(exchange, cx).await
    {
        exchange.resume();
        exchange.fail(exception);
        if let Some(errors) = cx.errors {
            errors.give_up(exchange, cx).await;
            // What error handling has sent has to arrive as well.
            if let Err(exception) = exchange.pending.end().await {
                exchange.fail(exception);
            }
        }
    }
    settle(exchange);
    exchange.journey = Carried::default();
    let failure = exchange.exception().cloned();
    exchange.hooks.run(failure.is_some()).await;
    if let Some(failure) = failure.filter(|_| !exchange.is_answered_for()) {
        tracing::error!(
            route = %cx.route.id(),
            exchange = %exchange.id(),
            class = failure.class().name,
            "exchange failed and nobody handled it"
        );
    }
}
