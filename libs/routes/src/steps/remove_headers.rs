//! `removeHeaders`: headers whose names match a pattern go.

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::Exchange;
use crate::pattern::Pattern;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "removeHeaders",
        about: "Removes headers whose names match a pattern",
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
        Some(Box::new(RemoveHeaders { pattern, except }))
    },
};

#[derive(Debug)]
struct RemoveHeaders {
    pattern: Pattern,
    except: Option<Pattern>,
}

impl Step for RemoveHeaders {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Running<'s, 'e> {
        exchange.message.headers.retain(|name, _| {
            !self.pattern.matches(name) || self.except.as_ref().is_some_and(|except| except.matches(name))
        });
        Running::Done(Ok(()))
    }
}
