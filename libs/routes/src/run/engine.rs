//! The engine: what all routes share, and the routes that it runs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::check::{nearest, parse_uri};
use crate::clock::Clock;
use crate::compile::{Compiled, compile, compile_with};
use crate::components::{Component, Components, Producer, Side};
use crate::exchange::{Exception, Exchange, Message, Result, Shared, Text, Variables, class};
use crate::language::{Properties, Surroundings};
use crate::parse::{Mark, Problem};
use crate::state::{Memory, StateStore};

use super::limits::Limits;
use super::route::{Route, RouteState, finish};

tokio::task_local! {
    /// There where a task holds a place beside the routes.
    static HOLDS_PLACE: ();
}

/// What an engine is made of.
#[derive(Debug, Default)]
pub struct Setup {
    /// The values of `{{placeholders}}`.
    pub properties: Properties,
    /// The most of everything.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// Whether routes without an id are called after their file; otherwise they are numbered through all files.
    pub names_by_file: bool,
    /// Components beside the built-in ones; one of the same name takes the place of a built-in one.
    pub components: Vec<Arc<dyn Component>>,
    /// Where the state of steps is kept; in memory if nothing is said.
    pub state: Option<Arc<dyn StateStore>>,
}

/// What all routes of an engine share.
#[derive(Debug)]
pub struct Core {
    /// The most of everything.
    pub limits: Limits,
    /// What expressions may use.
    pub surroundings: Surroundings,
    /// The components.
    pub components: Components,
    /// Whether routes without an id are called after their file.
    pub names_by_file: bool,
    /// Where the state of steps is kept.
    pub state: Arc<dyn StateStore>,
    /// Told when an exchange has been through a route.
    pub(super) ended: Notify,
    shared: Shared,
    endpoints: Mutex<HashMap<String, Arc<dyn Producer>>>,
    background: TaskTracker,
    background_places: Arc<Semaphore>,
}

impl Core {
    /// A new exchange.
    pub fn exchange(&self, message: Message) -> Exchange {
        let mut exchange = Exchange::new(message, self.surroundings.clock.now_ms());
        exchange.variables = Variables::new(self.shared.clone());
        exchange
    }

    /// An exchange that was kept as bytes.
    pub(crate) fn restored(&self, stored: &[u8]) -> Option<Exchange> {
        Exchange::from_stored(stored, &self.shared)
    }

    /// What sends to an address that is known only now; kept for the next time.
    ///
    /// # Errors
    /// If there is no such endpoint.
    pub fn producer(&self, uri: &str) -> Result<Arc<dyn Producer>> {
        if let Some(known) = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).get(uri) {
            return Ok(Arc::clone(known));
        }
        let refuse = |why: String| Exception::new(&class::NO_SUCH_ENDPOINT, format!("no endpoint `{uri}`: {why}"));
        let parsed = parse_uri(uri, Mark::default()).map_err(refuse)?;
        let is_stand_in = self.components.is_stand_in(&parsed.scheme);
        if !is_stand_in && self.components.check_scheme(&parsed.scheme, Side::To).is_err() {
            let message = format!(
                "No endpoint could be found for: {}://{}, please check your classpath contains the needed Camel \
                 component jar.",
                parsed.scheme, parsed.path
            );
            return Err(Exception::new(&class::NO_SUCH_ENDPOINT, message));
        }
        let mut problems = self.components.check(&parsed, Side::To).into_iter();
        if let Some((_, why)) = problems.find(|(is_error, _)| *is_error && !is_stand_in) {
            return Err(refuse(why));
        }
        let producer = self.components.producer(&parsed, self).map_err(refuse)?;
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if endpoints.len() >= self.limits.endpoints_max {
            // The addresses that are still used come back by themselves.
            endpoints.clear();
        }
        endpoints.insert(uri.to_owned(), Arc::clone(&producer));
        Ok(producer)
    }

    /// Forgets what sends to addresses that were known only at run time: they may lead elsewhere now.
    pub(super) fn forget_endpoints(&self) {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A place for a task beside the routes; waits while too many are under way.
    pub async fn background_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.background_places).acquire_owned().await.ok()
    }

    /// A place for a copy that goes its own way. Who holds a place does not wait for another: all of them
    /// could be held by those who wait.
    ///
    /// # Errors
    /// If all are taken, for who holds one.
    pub(crate) async fn place_for_copy(&self) -> Result<Option<OwnedSemaphorePermit>> {
        if HOLDS_PLACE.try_with(|()| ()).is_err() {
            return Ok(self.background_place().await);
        }
        Arc::clone(&self.background_places).try_acquire_owned().map(Some).map_err(|_| {
            let places = self.limits.background_max;
            let message = format!("all {places} places for copies are taken, and a copy does not wait for another's");
            Exception::new(&class::ILLEGAL_STATE, message)
        })
    }

    /// Tells who waits for quiet that an exchange has ended.
    pub(crate) fn tell_ended(&self) {
        self.ended.notify_waiters();
    }

    /// Runs a task beside the routes, in a place of [`Self::background_place`].
    pub fn spawn(&self, place: Option<OwnedSemaphorePermit>, task: impl Future<Output = ()> + Send + 'static) {
        self.background.spawn(async move {
            HOLDS_PLACE.scope((), task).await;
            drop(place);
        });
    }
}

/// Runs routes.
#[derive(Debug)]
pub struct Engine {
    pub(super) core: Arc<Core>,
    pub(super) routes: Mutex<Vec<Arc<Route>>>,
    /// Whoever starts, stops or swaps routes takes turns.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Where exchanges stand that come from outside of all routes.
    outside: Arc<Route>,
}

impl Engine {
    /// An engine without routes.
    pub fn new(setup: Setup) -> Self {
        let surroundings =
            Surroundings { clock: setup.clock, properties: Arc::new(setup.properties), ..Surroundings::default() };
        let core = Core {
            surroundings,
            components: Components::new(&setup.limits, setup.components),
            names_by_file: setup.names_by_file,
            state: setup.state.unwrap_or_else(|| Arc::new(Memory)),
            ended: Notify::new(),
            shared: Shared::default(),
            endpoints: Mutex::default(),
            background: TaskTracker::new(),
            background_places: Arc::new(Semaphore::new(setup.limits.background_max)),
            limits: setup.limits,
        };
        Self {
            core: Arc::new(core),
            routes: Mutex::default(),
            turn: Default::default(),
            outside: Arc::new(Route::outside()),
        }
    }

    /// What all routes share.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The routes that were started, in the order of their start.
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.lock().clone()
    }

    /// Reads and compiles files: names and texts.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub fn load(&self, files: &[(String, String)]) -> Result<Compiled, Vec<Problem>> {
        compile(&self.core, files)
    }

    /// The same beside what runs, however long it takes: on a thread for what computes. Where two files want one route id,
    /// one that gives way is wrong and not one that does not.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub async fn load_beside(
        &self,
        files: Vec<(String, String)>,
        gives_way: HashSet<String>,
    ) -> Result<Compiled, Vec<Problem>> {
        let core = Arc::clone(&self.core);
        let compiled = tokio::task::spawn_blocking(move || compile_with(&core, &files, &gives_way)).await;
        compiled.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process ends.
            Err(_) => Err(Vec::new()),
        })
    }

    /// Starts compiled routes.
    ///
    /// # Errors
    /// If a route of this id runs already, or a source cannot be opened; then none is started.
    pub async fn start(&self, compiled: Compiled) -> Result<(), String> {
        self.swap(compiled.routes, &[]).await.map(drop).map_err(|error| error.reason)
    }

    /// Sends an exchange to an address, as a route would, and waits until it comes back.
    pub async fn send(&self, uri: &str, mut exchange: Exchange) -> Exchange {
        match self.core.producer(uri) {
            Err(exception) => exchange.fail(exception),
            Ok(producer) => {
                let cx = super::Cx { core: &self.core, route: &self.outside, errors: None };
                let result = producer.send(&mut exchange, &cx).end().await;
                if let Err(exception) = result {
                    exchange.fail(exception);
                }
            }
        }
        finish(&mut exchange, &super::Cx { core: &self.core, route: &self.outside, errors: None }).await;
        exchange
    }

    /// Starts a route that does not run.
    ///
    /// # Errors
    /// If there is no such route, another has its name for others by now, or its source cannot be opened.
    pub async fn start_route(&self, id: &str) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let route = self.route(id)?;
        if route.state() == RouteState::Started {
            return Ok(());
        }
        match route.plan.consumer.conflict(&[]) {
            Some(conflict) => Err(conflict),
            None => route.start(&self.core).await,
        }
    }

    /// Stops a route, and waits until what is under way in it has ended.
    ///
    /// # Errors
    /// If there is no such route, or something did not end in time.
    pub async fn stop_route(&self, id: &str) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let limit = Duration::from_millis(self.core.limits.stop_ms);
        match self.route(id)?.stop(limit).await {
            true => Ok(()),
            false => {
                let limit_ms = limit.as_millis();
                Err(format!("what is under way in route `{id}` did not end in {limit_ms} ms and was cut off"))
            }
        }
    }

    /// Has a route take nothing until it is resumed.
    ///
    /// # Errors
    /// If there is no such route, it does not run, or something did not end in time.
    pub async fn suspend_route(&self, id: &str) -> Result<(), String> {
        let route = self.route(id)?;
        if route.state() != RouteState::Started {
            return Err(format!("route `{id}` is {}: only one that runs can be suspended", route.state().as_str()));
        }
        let stopped = self.stop_route(id).await;
        route.mark_suspended();
        stopped
    }

    /// Has a suspended route go on.
    ///
    /// # Errors
    /// If there is no such route, it is not suspended, or its source cannot be opened.
    pub async fn resume_route(&self, id: &str) -> Result<(), String> {
        let route = self.route(id)?;
        match route.state() {
            RouteState::Suspended => self.start_route(id).await,
            state => Err(format!("route `{id}` is {}: start it instead", state.as_str())),
        }
    }

    /// Stops all routes; returns those that did not end in time.
    ///
    /// What brings exchanges from outside stops first; when nothing is under way or waits any more, the
    /// routes that others call stop as well.
    pub async fn stop(&self) -> Vec<Text> {
        let _turn = self.turn.lock().await;
        let limit = Duration::from_millis(self.core.limits.stop_ms);
        let routes = std::mem::take(&mut *self.lock());
        let started = || routes.iter().filter(|route| route.state() == RouteState::Started);
        let mut late = Vec::new();
        for together in rounds(started().filter(|route| !route.plan.consumer.is_called())) {
            late.extend(self.stop_all(together.into_iter()).await);
        }
        let quiet = async {
            loop {
                let ended = self.core.ended.notified();
                if started().all(|route| route.stats.snapshot().in_flight == 0 && route.plan.consumer.waiting() == 0) {
                    return;
                }
                ended.await;
            }
        };
        // Who is late is told below.
        let _ = tokio::time::timeout(limit, quiet).await;
        for together in rounds(started()) {
            late.extend(self.stop_all(together.into_iter()).await);
        }
        self.core.background.close();
        if tokio::time::timeout(limit, self.core.background.wait()).await.is_err() {
            late.push(Text::fixed("(background)"));
        }
        late
    }

    /// The route of this id.
    ///
    /// # Errors
    /// If there is none, with the one that may be meant.
    pub fn route(&self, id: &str) -> Result<Arc<Route>, String> {
        let routes = self.lock();
        let found = routes.iter().find(|route| route.id() == id).cloned();
        found.ok_or_else(|| {
            let names: Vec<_> = routes.iter().map(|route| route.id().as_str()).collect();
            match nearest(id, names.iter().copied()) {
                Some(near) => format!("there is no route `{id}`: did you mean `{near}`?"),
                None => format!("there is no route `{id}`: there are {}", names.join(", ")),
            }
        })
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Route>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Routes in the order in which they stop: those with a greater number earlier, those with the same together.
fn rounds<'r>(routes: impl Iterator<Item = &'r Arc<Route>>) -> impl Iterator<Item = Vec<&'r Arc<Route>>> {
    let mut rounds: BTreeMap<i64, Vec<&Arc<Route>>> = BTreeMap::new();
    for route in routes {
        rounds.entry(route.plan.startup_order).or_default().push(route);
    }
    rounds.into_values().rev()
}
