//! One route: its source, its steps and what it does with errors.

use std::sync::Arc;

use crate::check::Element;
use crate::exchange::Text;
use crate::run::{ErrorHandling, Original, Plan, Policy, Redelivery, Route, Target};

use super::builder::Builder;

/// What a route gets from outside of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outside<'e, 'f> {
    /// What `onException` says at the top of the file and in configurations, in this order; each with its file.
    pub(super) policies: &'e [(&'f Arc<str>, &'f Element)],
    /// The error handler of the file or of a configuration.
    pub(super) error_handler: Option<&'f Element>,
}

/// Builds a route; nothing if it cannot be built.
pub(super) fn build<'f>(
    source: &Element,
    id: Text,
    outside: Outside<'_, 'f>,
    builder: &mut Builder<'f>,
) -> Option<Arc<Route>> {
    let from = source.one("from")?;
    builder.begin_route(id.clone());
    let block = builder.block(from.steps("steps"));
    let errors = error_handling(source.one("errorHandler").or(outside.error_handler), outside.policies, builder);
    let uri = from.uri("uri")?;
    let consumer = match builder.core.components.consumer(uri, builder.core) {
        Ok(consumer) => consumer,
        Err(message) => {
            builder.error(uri.at, message);
            return None;
        }
    };
    Some(Arc::new(Route::new(Plan {
        starts: std::mem::take(&mut builder.starts),
        id,
        group: source.text("group").map(Text::from).unwrap_or_default(),
        file: Arc::clone(builder.file),
        from: Text::from(uri.name()),
        auto_startup: source.flag("autoStartup").unwrap_or(true),
        startup_order: source.integer("startupOrder").unwrap_or(i64::MAX),
        block,
        steps: std::mem::take(&mut builder.steps).into_iter().flatten().collect(),
        errors,
        consumer,
        in_flight_max: builder.core.limits.in_flight_max,
    })))
}

fn error_handling<'f>(
    handler: Option<&Element>,
    policies: &[(&'f Arc<str>, &Element)],
    builder: &mut Builder<'f>,
) -> Option<ErrorHandling> {
    if handler.is_some_and(|handler| handler.one("noErrorHandler").is_some()) {
        return None;
    }
    let dead_letter = handler.and_then(|handler| handler.one("deadLetterChannel"));
    let chosen = dead_letter.or_else(|| handler.and_then(|handler| handler.one("defaultErrorHandler")));
    let redelivery = overlaid(&Redelivery::default(), chosen, builder);
    let original = chosen.map(original_of).unwrap_or_default();
    let dead_letter = dead_letter.and_then(|element| {
        let uri = element.uri("deadLetterUri")?;
        let producer = builder.producer(uri)?;
        let swallows = element.flag("deadLetterHandleNewException").unwrap_or(true);
        Some(Target { producer, name: Text::from(uri.name()), original, swallows })
    });
    let own = builder.file;
    let policies = policies.iter().map(|(file, element)| {
        builder.file = *file;
        Arc::new(policy(element, &redelivery, original, builder))
    });
    let policies = policies.collect();
    builder.file = own;
    Some(ErrorHandling { policies, redelivery, dead_letter })
}

fn policy(element: &Element, redelivery: &Redelivery, outer: Original, builder: &mut Builder<'_>) -> Policy {
    let original = match original_of(element) {
        Original::No => outer,
        own => own,
    };
    Policy {
        classes: element.classes("exception").to_vec(),
        on_when: element.condition("onWhen"),
        retry_while: element.condition("retryWhile"),
        handled: element.condition("handled"),
        continued: element.condition("continued"),
        redelivery: overlaid(redelivery, Some(element), builder),
        original,
        block: builder.block(element.steps("steps")),
    }
}

fn overlaid(redelivery: &Redelivery, element: Option<&Element>, builder: &mut Builder<'_>) -> Redelivery {
    let Some(says) = element.and_then(|element| element.one("redeliveryPolicy")) else { return redelivery.clone() };
    match redelivery.overlaid(says) {
        Ok(redelivery) => redelivery,
        Err(message) => {
            builder.error(says.mark_of("delayPattern"), message);
            redelivery.clone()
        }
    }
}

fn original_of(element: &Element) -> Original {
    match (element.is_on("useOriginalMessage"), element.is_on("useOriginalBody")) {
        (true, _) => Original::Message,
        (false, true) => Original::Body,
        (false, false) => Original::No,
    }
}
