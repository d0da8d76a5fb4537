//! Stands in for a component that is not there, where routes are only checked or tested.
//!
//! A test sends to the address of a source, and the route takes it; what a route sends is kept as a `mock:`
//! endpoint would keep it, under the address without its options.

use std::collections::HashMap;
use std::sync::Arc;

use crate::exchange::{Body, Exchange, Value};
use crate::run::{Core, Cx, Sending};

use super::callees::Callees;
use super::{Component, ComponentSpec, Consumer, Endpoint, Mocks, Producer, Side};

/// A stand-in for the component of a spec.
#[derive(Debug)]
pub struct StandIn {
    spec: &'static ComponentSpec,
    routes: Callees,
    answers: Answers,
}

/// What addresses answer when they are sent to; the others leave the message as it is.
pub type Answers = Arc<HashMap<String, Value>>;

impl StandIn {
    /// Stands in for this component.
    pub fn new(spec: &'static ComponentSpec, answers: &Answers) -> Self {
        Self { spec, routes: Callees::default(), answers: Arc::clone(answers) }
    }

    /// Stand-ins for all that the engine knows and does not bring along itself, and for these.
    pub fn all(others: &[&'static ComponentSpec], answers: &Answers) -> Vec<Arc<dyn Component>> {
        let specs = super::BROUGHT.iter().chain(others);
        specs.map(|spec| Arc::new(Self::new(spec, answers)) as Arc<dyn Component>).collect()
    }
}

impl Component for StandIn {
    fn spec(&self) -> &'static ComponentSpec {
        self.spec
    }

    fn is_stand_in(&self) -> bool {
        true
    }

    fn producer(&self, endpoint: Endpoint, core: &Core) -> Result<Arc<dyn Producer>, String> {
        // A source is sent to by tests alone: what stands in a file was checked before.
        let name = endpoint.text.name();
        let mocks = core.components.mocks().cloned().ok_or("there is no component `mock`")?;
        let answer = self.answers.get(&name).cloned();
        Ok(Arc::new(Kept { name, path: endpoint.text.path, routes: self.routes.clone(), mocks, answer }))
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        if self.spec.side == Side::To {
            return Err(format!("`{}:` brings no exchanges: it is only for `to`", self.spec.name));
        }
        Ok(self.routes.callee(endpoint))
    }
}

#[derive(Debug)]
struct Kept {
    name: String,
    path: String,
    routes: Callees,
    mocks: Mocks,
    answer: Option<Value>,
}

impl Producer for Kept {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        if !self.routes.has(&self.path) {
            // A question has no effect: only its answer counts.
            match &self.answer {
                Some(answer) => exchange.message.body = Body::new(answer.clone()),
                None => self.mocks.keep(&self.name, exchange),
            }
        }
        self.routes.call(&self.path, exchange, |_| Ok(()))
    }
}
