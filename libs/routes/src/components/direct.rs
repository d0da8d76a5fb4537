//! `direct:`: another route, in the same breath.

use std::sync::Arc;

use crate::check::Takes;
use crate::exchange::{Exception, Exchange, class};
use crate::run::{Core, Cx, Limits, Sending};

use super::callees::Callees;
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

#[derive(Debug, Default)]
struct Direct(Callees);

impl Component for Direct {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let fails = endpoint.flag("failIfNoConsumers").unwrap_or(true);
        Ok(Arc::new(Caller { name: endpoint.text.path, fails, callees: self.0.clone() }))
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        Ok(self.0.callee(endpoint))
    }
}

#[derive(Debug)]
struct Caller {
    name: String,
    fails: bool,
    callees: Callees,
}

impl Producer for Caller {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        self.callees.call(&self.name, exchange, |exchange| {
            if !self.fails {
                return Ok(());
            }
            Err(Exception::new(
                &class::DIRECT_CONSUMER_NOT_AVAILABLE,
                format!("No consumers available on endpoint: direct://{}. Exchange[{}]", self.name, exchange.id()),
            ))
        })
    }
}
