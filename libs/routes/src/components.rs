//! Components: where exchanges come from and go to. No component knows a step, no step a component.

pub mod brought;
mod callees;
mod cron;
mod direct;
mod file;
pub mod kafka;
mod kamelet;
mod log;
mod mock;
mod names;
mod registry;
mod scheduler;
mod seda;
mod spec;
mod stand_in;
mod timer;

use std::fmt;

use crate::exchange::{Exchange, Text};
use crate::run::{BoxFuture, Core, Cx, Inlet, Limits, Sending};

pub use mock::Mocks;
pub use names::{Name, Names};
pub use registry::Components;
pub use spec::{ComponentSpec, Endpoint, EndpointOption, Side};
pub use stand_in::{Answers, StandIn};

/// A component of one engine.
pub trait Component: Send + Sync + fmt::Debug {
    /// What its addresses may say.
    fn spec(&self) -> &'static ComponentSpec;

    /// All files are read anew: what their addresses said before does not count any more.
    fn begin(&self) {}

    /// What sends exchanges to an endpoint.
    ///
    /// # Errors
    /// With what is wrong with the address.
    fn producer(&self, endpoint: Endpoint, core: &Core) -> Result<std::sync::Arc<dyn Producer>, String> {
        let _ = core;
        Err(format!("`{}:` takes no exchanges: it is only for `from`", endpoint.text.scheme))
    }

    /// What brings exchanges from an endpoint.
    ///
    /// # Errors
    /// With what is wrong with the address.
    fn consumer(&self, endpoint: Endpoint, core: &Core) -> Result<Box<dyn Consumer>, String> {
        let _ = core;
        Err(format!("`{}:` brings no exchanges: it is only for `to`", endpoint.text.scheme))
    }

    /// Whether it only stands in for a component that is not there, so that tests may send to any address of it.
    fn is_stand_in(&self) -> bool {
        false
    }

    /// The component as the mocks that tests look at, if that is what it is.
    fn mocks(&self) -> Option<&Mocks> {
        None
    }
}

/// Sends exchanges to an endpoint.
pub trait Producer: Send + Sync + fmt::Debug {
    /// Sends one; the answer, if there is one, becomes its message.
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Sending<'e>;
}

/// Brings exchanges from an endpoint to a route.
pub trait Consumer: Send + Sync + fmt::Debug {
    /// Begins; tasks are spawned on the inlet, and end when it is stopped. Who has a name that only one may have
    /// takes it over from whoever had it: [`Self::conflict`] is asked before.
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>>;

    /// Takes nothing new from now on.
    fn stop(&self) {}

    /// A name that only one route may have at a time, for example `direct:start`.
    fn claims(&self) -> Option<String> {
        None
    }

    /// What keeps it from beginning as long as other routes run than those that it takes the place of.
    fn conflict(&self, replaced: &[Text]) -> Option<String> {
        let _ = replaced;
        None
    }

    /// Whether exchanges come only from other routes, so that they have to start later and stop earlier.
    fn is_called(&self) -> bool {
        false
    }

    /// Whether it takes its exchanges out of something from which others take as well, so that it can stop as soon as
    /// another does.
    fn shares(&self) -> bool {
        false
    }

    /// How many exchanges wait for the route already.
    fn waiting(&self) -> usize {
        0
    }
}

/// Makes a component for an engine with these limits.
type Make = fn(&Limits) -> std::sync::Arc<dyn Component>;

/// The built-in components, in the order of the support matrix.
static BUILT_IN: &[(&ComponentSpec, Make)] = &[
    (&cron::SPEC, cron::make),
    (&direct::SPEC, direct::make),
    (&file::SPEC, file::make),
    (&kamelet::SPEC, kamelet::make),
    (&log::SPEC, log::make),
    (&mock::SPEC, mock::make),
    (&scheduler::SPEC, scheduler::make),
    (&seda::SPEC, seda::make),
    (&timer::SPEC, timer::make),
];

/// Components that need something from whoever runs the engine, and are known all the same.
static BROUGHT: &[&ComponentSpec] = &[&kafka::SPEC, &brought::HTTP, &brought::HTTPS, &brought::PLATFORM_HTTP];

/// What is known of every component.
pub fn specs() -> impl Iterator<Item = &'static ComponentSpec> {
    BUILT_IN.iter().map(|(spec, _)| *spec).chain(BROUGHT.iter().copied())
}
