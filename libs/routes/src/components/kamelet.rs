//! `kamelet:`: a route that is made from a template where it is used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exchange::{Exception, Exchange, class};
use crate::run::{BoxFuture, Core, Cx, Inlet, Limits, Sending};

use super::{Component, ComponentSpec, Consumer, Endpoint, Producer, Side};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "kamelet",
    about: "Goes through a route that is made from a template, with the options as its parameters",
    path: "template",
    side: Side::Both,
    options: &[],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Kamelet::default())
}

/// The routes that can be called, by name.
type Table = Arc<Mutex<HashMap<String, Inlet>>>;

#[derive(Debug, Default)]
struct Kamelet(Table);

impl Component for Kamelet {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        Ok(Arc::new(Caller { name: endpoint.text.path, table: Arc::clone(&self.0) }))
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        Ok(Box::new(Callee { name: endpoint.text.path, table: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct Caller {
    name: String,
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
            None => Sending::Done(Err(Exception::new(
                &class::ILLEGAL_STATE,
                format!("the route of kamelet:{} does not run", self.name),
            ))),
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
                return Err(format!("`kamelet:{}` belongs to route `{}` already", self.name, other.route().id()));
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
