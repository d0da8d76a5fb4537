//! Routes that others call by name and wait for: what `direct:` and `kamelet:` have in common.

use crate::exchange::{Exception, Exchange, Text};
use crate::run::{BoxFuture, Inlet, Sending};

use super::names::{Name, Names};
use super::{Consumer, Endpoint};

/// The routes that can be called, by name. Clones are the same table.
#[derive(Debug, Default, Clone)]
pub(super) struct Callees(Names<Inlet>);

impl Callees {
    /// Has a route take the exchange and waits for it; without such a route, what `otherwise` says.
    pub(super) fn call<'e>(
        &self,
        name: &str,
        exchange: &'e mut Exchange,
        otherwise: impl FnOnce(&Exchange) -> Result<(), Exception>,
    ) -> Sending<'e> {
        match self.0.get(name) {
            Some(inlet) => Sending::Later(Box::pin(async move {
                inlet.call(exchange).await;
                Ok(())
            })),
            None => Sending::Done(otherwise(exchange)),
        }
    }

    /// Whether a route has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    /// The beginning of the route that an endpoint names.
    pub(super) fn callee(&self, endpoint: Endpoint) -> Box<dyn Consumer> {
        Box::new(Callee { scheme: endpoint.text.scheme, name: self.0.name(endpoint.text.path) })
    }
}

#[derive(Debug)]
struct Callee {
    scheme: String,
    name: Name<Inlet>,
}

impl Consumer for Callee {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        self.name.take(&inlet.route().id().clone(), inlet);
        Box::pin(async { Ok(()) })
    }

    fn claims(&self) -> Option<String> {
        Some(format!("{}:{}", self.scheme, self.name.as_str()))
    }

    fn conflict(&self, replaced: &[Text]) -> Option<String> {
        let (scheme, name) = (&self.scheme, self.name.as_str());
        self.name.other(replaced).map(|route| format!("`{scheme}:{name}` belongs to route `{route}` already"))
    }

    fn is_called(&self) -> bool {
        true
    }

    fn stop(&self) {
        self.name.give_back();
    }
}
