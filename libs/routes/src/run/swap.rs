//! Routes take the place of others while both run.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::exchange::Text;

use super::engine::Engine;
use super::route::{Route, RouteState};

/// Why routes did not take the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapError {
    /// The route that is in the way of the others.
    pub route: Text,
    /// What keeps it from starting.
    pub reason: String,
}

impl fmt::Display for SwapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SwapError {}

impl Engine {
    /// Puts routes in the place of others, which may have the same ids or be none at all; gives the ids of those whose
    /// exchanges under way did not end in time and were cut off: what they came from brings them again, if it can.
    ///
    /// Who is called by other routes is replaced at once: calls that come go to the new one, and those under way end on
    /// the old one. A source from outside stops and ends what it has begun before the new one begins, so that nothing
    /// is taken twice and the order holds.
    ///
    /// # Errors
    /// If another route has one of the ids or names, or a source cannot be opened; then the old routes run as before.
    /// Of two new ones that want one name, the first has it.
    pub async fn swap(&self, new: Vec<Arc<Route>>, old: &[Text]) -> Result<Vec<Text>, SwapError> {
        let _turn = self.turn.lock().await;
        let mut new = new;
        let gone = self.take_part(old);
        if let Some(conflict) = self.conflict(&new, old) {
            return Err(conflict);
        }
        // Who is called is there before who calls.
        new.sort_by_key(|route| (!route.plan.consumer.is_called(), route.plan.startup_order));
        let is_running = |route: &&Arc<Route>| route.state() == RouteState::Started;
        let ran: Vec<_> = gone.iter().filter(is_running).cloned().collect();
        let (called, outside): (Vec<_>, Vec<_>) =
            new.iter().filter(|route| route.plan.auto_startup).cloned().partition(is_called);
        if let Err(reason) = self.start_all(&called).await {
            self.go_back(&called, &ran).await;
            return Err(reason);
        }
        let mut late = self.stop_all(ran.iter().filter(|route| !is_called(route))).await;
        if let Err(reason) = self.start_all(&outside).await {
            self.stop_all(outside.iter()).await;
            self.go_back(&called, &ran).await;
            return Err(reason);
        }
        // What shares a queue with the one that takes its place need not take from it any more.
        let is_over = |route: &Arc<Route>| {
            route.plan.consumer.shares() && called.iter().any(|new| new.plan.from == route.plan.from)
        };
        let (over, still): (Vec<_>, Vec<_>) =
            ran.iter().filter(|route| is_called(route)).partition(|route| is_over(route));
        late.extend(self.stop_all(over.into_iter()).await);
        late.extend(self.end_called(still.into_iter()).await);
        let mut routes = self.lock();
        routes.retain(|route| !old.contains(route.id()));
        routes.extend(new);
        drop(routes);
        self.core.forget_endpoints();
        Ok(late)
    }

    fn take_part(&self, ids: &[Text]) -> Vec<Arc<Route>> {
        self.lock().iter().filter(|route| ids.contains(route.id())).cloned().collect()
    }

    fn conflict(&self, new: &[Arc<Route>], old: &[Text]) -> Option<SwapError> {
        let stays = |route: &&Arc<Route>| !old.contains(route.id());
        let has_id = |route: &Arc<Route>| self.lock().iter().filter(stays).any(|known| known.id() == route.id());
        if let Some(route) = new.iter().find(|route| has_id(route)) {
            return Some(refused(route, format!("a route `{}` runs already", route.id())));
        }
        let mut claimed = HashMap::new();
        for route in new.iter().filter(|route| route.plan.auto_startup) {
            if let Some(conflict) = route.plan.consumer.conflict(old) {
                return Some(refused(route, conflict));
            }
            let Some(name) = route.plan.consumer.claims() else { continue };
            if let Some(other) = claimed.insert(name.clone(), route.id()) {
                let reason = format!("`{name}` belongs to route `{other}` already, and `{}` wants it too", route.id());
                return Some(refused(route, reason));
            }
        }
        None
    }

    /// Starts routes in their order; when one cannot start, those before it are stopped.
    async fn start_all(&self, routes: &[Arc<Route>]) -> Result<(), SwapError> {
        for (started, route) in routes.iter().enumerate() {
            if let Err(reason) = route.start(&self.core).await {
                self.stop_all(routes[..started].iter()).await;
                return Err(refused(route, format!("route `{}` cannot start: {reason}", route.id())));
            }
        }
        Ok(())
    }

    /// Stops routes, all at the same time; those that did not end in time are given back.
    pub(super) async fn stop_all<'r>(&self, routes: impl Iterator<Item = &'r Arc<Route>>) -> Vec<Text> {
        let limit = Duration::from_millis(self.core.limits.stop_ms);
        let stopping = routes.map(|route| async move { (!route.stop(limit).await).then(|| route.id().clone()) });
        join_all(stopping).await.into_iter().flatten().collect()
    }

    /// Lets calls end that are under way in routes that nobody calls any more, and stops them.
    async fn end_called<'r>(&self, routes: impl Iterator<Item = &'r Arc<Route>>) -> Vec<Text> {
        let routes: Vec<_> = routes.collect();
        let quiet = async {
            loop {
                let ended = self.core.ended.notified();
                if routes.iter().all(|route| route.stats.snapshot().in_flight == 0) {
                    return;
                }
                ended.await;
            }
        };
        let limit = Duration::from_millis(self.core.limits.stop_ms);
        if tokio::time::timeout(limit, quiet).await.is_err() {
            tracing::warn!("calls of a route that was replaced did not end in time: they end on it");
        }
        self.stop_all(routes.into_iter()).await
    }

    /// The old routes run again as before.
    async fn go_back(&self, called: &[Arc<Route>], ran: &[Arc<Route>]) {
        for route in ran {
            if is_called(route) {
                self.stop_all(std::iter::once(route)).await;
            }
            if route.state() != RouteState::Started
                && let Err(reason) = route.start(&self.core).await
            {
                tracing::error!(route = %route.id(), reason, "route that was to go on cannot start again");
            }
        }
        self.stop_all(called.iter()).await;
    }
}

fn refused(route: &Route, reason: String) -> SwapError {
    SwapError { route: route.id().clone(), reason }
}

fn is_called(route: &Arc<Route>) -> bool {
    route.plan.consumer.is_called()
}
