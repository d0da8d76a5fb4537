//! `removeProperties`: properties of the exchange whose names match a pattern go.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::pattern::Pattern;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "removeProperties",
        about: "Removes properties of the exchange whose names match a pattern",
        scalar: Some("pattern"),
        options: &[
            OptionSpec::required("pattern", Takes::Text, "a name, one that ends in `*`, or a regular expression"),
            OptionSpec::new("excludePattern", Takes::Text, "names that stay, in the same way"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| {
        let pattern = builder.pattern(element, "pattern")?;
        let except = builder.pattern(element, "excludePattern");
        Some(Box::new(RemoveProperties { pattern, except }))
    },
};

#[derive(Debug)]
struct RemoveProperties {
    pattern: Pattern,
    except: Option<Pattern>,
}

impl Step for RemoveProperties {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.properties.retain(|name, _| {
            !self.pattern.matches(name) || self.except.as_ref().is_some_and(|except| except.matches(name))
        });
        Running::Done(Ok(()))
    }
}
