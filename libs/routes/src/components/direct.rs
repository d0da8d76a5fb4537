//! `direct:`: another route, in the same breath.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::check::Takes;
use crate::exchange::{Exception, Exchange, class};
use crate::run::{BoxFuture, Core, Cx, Inlet, Limits, Sending};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Producer, Side};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "direct",
    about: "Calls another route and waits for it",
    path: "name",
    side: Side::Both,
    options: &[
        EndpointOption::new(
            "failIfNoConsumers",
            Takes::Bool,
            Side::To,
            "whether an exchange fails when there is no such route (true), or goes on unchanged",
        ),
        EndpointOption::meaningless("block", "whether there is a route is decided at once"),
        EndpointOption::meaningless("timeout", "whether there is a route is decided at once"),
        EndpointOption::meaningless("synchronous", "the caller always waits, and no thread does"),
    ],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Direct::default())
}

/// The routes that can be called, by name.
type Table = Arc<Mutex<HashMap<String, Inlet>>>;

#[derive(Debug, Default)]
struct Direct(Table);

impl Component for Direct {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let fails = endpoint.flag("failIfNoConsumers").unwrap_or(true);
        Ok(Arc::new(Caller { name: endpoint.text.path, fails, table: Arc::clone(&self.0) }))
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        Ok(Box::new(Callee { name: endpoint.text.path, table: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct Caller {
    name: String,
    fails: bool,
    table: Table,
}

impl Producer for Caller {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        let inlet = self.table.lock().unwrap_or_else(PoisonError::into_inner).get(&self.name).cloned();
        match inlet {
            Some(inlet) => Sending::Later(Box::pin(async move {
                inlet.call(exchange).await;
                Ok(())
            })),
            None if self.fails => Sending::Done(Err(Exception::new(
                &class::DIRECT_CONSUMER_NOT_AVAILABLE,
                format!("No consumers available on endpoint: direct://{}. Exchange[{}]", self.name, exchange.id()),
            ))),
            None => Sending::Done(Ok(())),
        }
    }
}

#[derive(Debug)]
struct Callee {
    name: String,
    table: Table,
}

impl Consumer for Callee {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(other) = table.get(&self.name) {
                return Err(format!("`direct:{}` belongs to route `{}` already", self.name, other.route().id()));
            }
            table.insert(self.name.clone(), inlet);
            Ok(())
        })
    }

    fn is_called(&self) -> bool {
        true
    }

    fn stop(&self) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
