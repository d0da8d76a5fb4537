//! The components of one engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::{EndpointText, nearest};
use crate::run::{Core, Limits};

use super::spec::{Endpoint, Side};
use super::{BUILT_IN, Component, Consumer, Mocks, Producer};

/// The components of one engine by their names.
#[derive(Debug)]
pub struct Components(BTreeMap<&'static str, Arc<dyn Component>>);

impl Components {
    /// The built-in components, and others, which take the place of built-in ones of their name.
    pub fn new(limits: &Limits, others: Vec<Arc<dyn Component>>) -> Self {
        let built_in = BUILT_IN.iter().map(|(spec, make)| (spec.name, make(limits)));
        let others = others.into_iter().map(|component| (component.spec().name, component));
        Self(built_in.chain(others).collect())
    }

    /// All files are read anew.
    pub(crate) fn begin(&self) {
        self.0.values().for_each(|component| component.begin());
    }

    /// Whether there is a component of this name for this side.
    ///
    /// # Errors
    /// If not, with the nearest name.
    pub fn check_scheme(&self, scheme: &str, side: Side) -> Result<(), String> {
        let component = self.get(scheme).ok_or_else(|| match nearest(scheme, self.0.keys().copied()) {
            Some(near) => format!("unknown component `{scheme}`: did you mean `{near}`?"),
            None => {
                let names: Vec<_> = self.0.keys().copied().collect();
                format!("unknown component `{scheme}`: known are {}", names.join(", "))
            }
        })?;
        component.spec().check_side(side)
    }

    /// Whether the component of this name only stands in for another.
    pub fn is_stand_in(&self, scheme: &str) -> bool {
        self.get(scheme).is_some_and(Component::is_stand_in)
    }

    /// The name of the parameter that is the path of a component's addresses.
    pub fn path_name(&self, scheme: &str) -> Option<&'static str> {
        self.get(scheme).map(|component| component.spec().path)
    }

    /// Everything that is wrong with an address whose component is known.
    pub fn check(&self, uri: &EndpointText, side: Side) -> Vec<(bool, String)> {
        self.get(&uri.scheme).map(|component| component.spec().check(uri, side)).unwrap_or_default()
    }

    /// What sends exchanges to an address.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn producer(&self, uri: &EndpointText, core: &Core) -> Result<Arc<dyn Producer>, String> {
        let (component, endpoint) = self.endpoint(uri)?;
        component.producer(endpoint, core)
    }

    /// What brings exchanges from an address.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn consumer(&self, uri: &EndpointText, core: &Core) -> Result<Box<dyn Consumer>, String> {
        let (component, endpoint) = self.endpoint(uri)?;
        component.consumer(endpoint, core)
    }

    /// What `mock:` endpoints have got.
    pub fn mocks(&self) -> Option<&Mocks> {
        self.get("mock").and_then(|component| component.mocks())
    }

    fn endpoint(&self, uri: &EndpointText) -> Result<(&dyn Component, Endpoint), String> {
        let component = self.get(&uri.scheme).ok_or_else(|| format!("unknown component `{}`", uri.scheme))?;
        Ok((component, Endpoint { text: uri.clone(), spec: component.spec() }))
    }

    fn get(&self, scheme: &str) -> Option<&dyn Component> {
        self.0.get(scheme).map(|component| &**component)
    }
}
