//! The steps: each is one file with what it may say, how it is built and what it does, and one line here.

use std::fmt;

use crate::check::{Element, Spec};
use crate::compile::Builder;
use crate::run::Step;

macro_rules! steps {
    ($($module:ident)*) => {
        $(mod $module;)*

        static STEPS: &[&StepKind] = &[$(&$module::STEP),*];
    };
}

steps! {
    aggregate
    choice
    circuit_breaker
    convert_body_to
    convert_header_to
    convert_variable_to
    delay
    do_try
    enrich
    filter
    idempotent_consumer
    kamelet
    log
    r#loop
    marshal
    multicast
    pipeline
    recipient_list
    remove_header
    remove_headers
    remove_properties
    remove_property
    remove_variable
    rollback
    set_body
    set_exchange_pattern
    set_header
    set_headers
    set_property
    set_variable
    set_variables
    split
    step
    stop
    threads
    throttle
    throw_exception
    to
    to_d
    transform
    unmarshal
    validate
    wire_tap
}

mod iterate;

/// Builds a step of what the file says; nothing if it cannot be, and then the builder has the errors.
pub type Build = fn(&Element, &mut Builder<'_>) -> Option<Box<dyn Step>>;

/// A kind of step.
pub struct StepKind {
    /// What it may say.
    pub spec: Spec,
    /// How it is built.
    pub build: Build,
}

impl fmt::Debug for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepKind").field("name", &self.spec.name).finish()
    }
}

/// The step of this name.
pub fn find(name: &str) -> Option<&'static StepKind> {
    STEPS.iter().copied().find(|kind| kind.spec.name == name)
}

/// All steps, in the order of the support matrix.
pub fn all() -> &'static [&'static StepKind] {
    STEPS
}
