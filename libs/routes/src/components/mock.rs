//! `mock:`: keeps what it gets, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::check::Takes;
use crate::exchange::Exchange;
use crate::run::{Core, Cx, Limits, Sending};

use super::{Component, ComponentSpec, Endpoint, EndpointOption, Producer, Side};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "mock",
    about: "Keeps what it gets while routes are tested, and drops it otherwise",
    path: "name",
    side: Side::To,
    options: &[
        EndpointOption::new("retainFirst", Takes::Integer(-1, i64::MAX), Side::To, "how many are kept at the most"),
        EndpointOption::meaningless("log", "the log component does that"),
        EndpointOption::meaningless("copyOnExchange", "what is kept is always a copy"),
    ],
};

/// Most exchanges that one endpoint keeps.
const KEPT_MAX: usize = 100_000;

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Mocks::default())
}

type Kept = Arc<Mutex<Option<BTreeMap<String, Vec<Exchange>>>>>;

/// What `mock:` endpoints have got, by their names; nothing before [`Self::record`].
#[derive(Debug, Clone, Default)]
pub struct Mocks(Kept);

impl Mocks {
    /// Keeps exchanges from now on.
    pub fn record(&self) {
        self.with(|kept| {
            kept.get_or_insert_default();
        });
    }

    /// What every endpoint has got, in order.
    pub fn received(&self) -> BTreeMap<String, Vec<Exchange>> {
        self.with(|kept| kept.clone().unwrap_or_default())
    }

    /// How many exchanges have come to all endpoints.
    pub fn count(&self) -> usize {
        self.with(|kept| kept.iter().flat_map(BTreeMap::values).map(Vec::len).sum())
    }

    /// Keeps an exchange that came to an endpoint which is stood in for.
    pub(super) fn keep(&self, name: &str, exchange: &Exchange) {
        self.put(name, exchange, KEPT_MAX);
    }

    fn put(&self, name: &str, exchange: &Exchange, kept_max: usize) {
        self.with(|kept| {
            let Some(kept) = kept else { return };
            let list = kept.entry(name.to_owned()).or_default();
            if list.len() < kept_max {
                list.push(exchange.copy().at_rest());
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Option<BTreeMap<String, Vec<Exchange>>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Component for Mocks {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let first = endpoint.integer("retainFirst").and_then(|first| usize::try_from(first).ok());
        let kept_max = first.map_or(KEPT_MAX, |first| first.min(KEPT_MAX));
        Ok(Arc::new(Mock { name: endpoint.text.path, kept_max, mocks: self.clone() }))
    }

    fn mocks(&self) -> Option<&Mocks> {
        Some(self)
    }
}

#[derive(Debug)]
struct Mock {
    name: String,
    kept_max: usize,
    mocks: Mocks,
}

impl Producer for Mock {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        self.mocks.put(&self.name, exchange, self.kept_max);
        Sending::Done(Ok(()))
    }
}
