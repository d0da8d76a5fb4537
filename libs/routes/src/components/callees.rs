//! Routes that others call by name and wait for: what `direct:` and `kamelet:` have in common.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exchange::{Exception, Exchange};
use crate::run::{BoxFuture, Inlet, Sending};

use super::{Consumer, Endpoint};

/// The routes that can be called, by name. Clones are the same table.
#[derive(Debug, Default, Clone)]
pub(super) struct Callees(Arc<Mutex<HashMap<String, Inlet>>>);

impl Callees {
    /// Has a route take the exchange and waits for it; without such a route, what `otherwise` says.
    pub(super) fn call<'e>(
        &self,
        name: &str,
        exchange: &'e mut Exchange,
        otherwise: impl FnOnce(&Exchange) -> Result<(), Exception>,
    ) -> Sending<'e> {
        let inlet = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match inlet {
            Some(inlet) => Sending::Later(Box::pin(async move {
                inlet.call(exchange).await;
                Ok(())
            })),
            None => Sending::Done(otherwise(exchange)),
        }
    }

    /// The beginning of the route that an endpoint names.
    pub(super) fn callee(&self, endpoint: Endpoint) -> Box<dyn Consumer> {
        Box::new(Callee { scheme: endpoint.text.scheme, name: endpoint.text.path, callees: self.clone() })
    }
}

#[derive(Debug)]
struct Callee {
    scheme: String,
    name: String,
    callees: Callees,
}

impl Consumer for Callee {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut callees = self.callees.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(other) = callees.get(&self.name) {
                let (scheme, name, route) = (&self.scheme, &self.name, other.route().id());
                return Err(format!("`{scheme}:{name}` belongs to route `{route}` already"));
            }
            callees.insert(self.name.clone(), inlet);
            Ok(())
        })
    }

    fn is_called(&self) -> bool {
        true
    }

    fn stop(&self) {
        self.callees.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
