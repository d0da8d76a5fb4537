//! `kamelet:`: a route that is made from a template where it is used.

use std::sync::Arc;

use crate::exchange::{Exception, Exchange, class};
use crate::run::{Core, Cx, Limits, Sending};

use super::callees::Callees;
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

#[derive(Debug, Default)]
struct Kamelet(Callees);

impl Component for Kamelet {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        Ok(Arc::new(Caller { name: endpoint.text.path, callees: self.0.clone() }))
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        Ok(self.0.callee(endpoint))
    }
}

#[derive(Debug)]
struct Caller {
    name: String,
    callees: Callees,
}

impl Producer for Caller {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        self.callees.call(&self.name, exchange, |_| {
            let message = format!("the route of kamelet:{} does not run", self.name);
            Err(Exception::new(&class::ILLEGAL_STATE, message))
        })
    }
}
