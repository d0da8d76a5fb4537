//! Routes that others call by name and wait for: what `direct:` and `kamelet:` have in common.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exchange::{Exception, Exchange, Text};
use crate::run::{BoxFuture, Inlet, Sending};

use super::{Consumer, Endpoint};

/// The routes that can be called, by name. Clones are the same table.
#[derive(Debug, Default, Clone)]
pub(super) struct Callees(Arc<Mutex<HashMap<String, (u64, Inlet)>>>);

/// Tells the starts of routes apart.
static STARTS: AtomicU64 = AtomicU64::new(1);

impl Callees {
    /// Has a route take the exchange and waits for it; without such a route, what `otherwise` says.
    pub(super) fn call<'e>(
        &self,
        name: &str,
        exchange: &'e mut Exchange,
        otherwise: impl FnOnce(&Exchange) -> Result<(), Exception>,
    ) -> Sending<'e> {
        let inlet = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(|(_, inlet)| inlet.clone());
        match inlet {
            Some(inlet) => Sending::Later(Box::pin(async move {
                inlet.call(exchange).await;
                Ok(())
            })),
            None => Sending::Done(otherwise(exchange)),
        }
    }

    /// Whether a route has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// The beginning of the route that an endpoint names.
    pub(super) fn callee(&self, endpoint: Endpoint) -> Box<dyn Consumer> {
        let (scheme, name) = (endpoint.text.scheme, endpoint.text.path);
        Box::new(Callee { scheme, name, callees: self.clone(), start: AtomicU64::new(0) })
    }
}

#[derive(Debug)]
struct Callee {
    scheme: String,
    name: String,
    callees: Callees,
    /// Which start put it into the table.
    start: AtomicU64,
}

impl Callee {
    fn table(&self) -> MutexGuard<'_, HashMap<String, (u64, Inlet)>> {
        self.callees.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consumer for Callee {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        self.start.store(start, Ordering::Relaxed);
        self.table().insert(self.name.clone(), (start, inlet));
        Box::pin(async { Ok(()) })
    }

    fn claims(&self) -> Option<String> {
        Some(format!("{}:{}", self.scheme, self.name))
    }

    fn conflict(&self, replaced: &[Text]) -> Option<String> {
        let table = self.table();
        let (_, other) = table.get(&self.name)?;
        let route = other.route().id();
        let (scheme, name) = (&self.scheme, &self.name);
        (!replaced.contains(route)).then(|| format!("`{scheme}:{name}` belongs to route `{route}` already"))
    }

    fn is_called(&self) -> bool {
        true
    }

    fn stop(&self) {
        let mut table = self.table();
        // Another route may have taken the name over.
        if table.get(&self.name).is_some_and(|(start, _)| *start == self.start.load(Ordering::Relaxed)) {
            table.remove(&self.name);
        }
    }
}
