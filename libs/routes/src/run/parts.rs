//! Exchanges that go their own way for a while, and come back as one: split, multicast, recipients.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;

use crate::exchange::{Exception, Exchange, Text, class};

use super::Cx;
use super::block::{Entry, drive};
use super::strategy::Strategy;

/// Most parts that are under way at a time if they go in parallel.
const PARALLEL_MAX: usize = 64;

const CAUGHT: Text = Text::fixed("CamelExceptionCaught");

/// How parts go and come back.
#[derive(Debug)]
pub struct Parts {
    /// How the results become one; without one the message from before counts.
    pub strategy: Option<Strategy>,
    /// Whether parts wait for each other.
    pub is_parallel: bool,
    /// Whether results are taken as they come.
    pub is_streaming: bool,
    /// Whether the first failure ends it.
    pub stops_on_exception: bool,
    /// How long all of them may take.
    pub timeout: Option<Duration>,
    /// Whether parts end when the whole exchange ends, and what fails or is handled of one does of the whole.
    pub shares_unit: bool,
}

/// A part and what it goes through.
pub type Part<'a> = (Exchange, &'a [Entry]);

/// Takes parts through their steps, and makes one exchange of what comes back.
pub async fn run_parts<'a>(
    how: &Parts,
    parts: impl Iterator<Item = Part<'a>> + Send,
    exchange: &mut Exchange,
    cx: &Cx<'_>,
) {
    let begin = |mut part: Exchange| {
        // Who shares the unit of work has its original message too.
        if !how.shares_unit && cx.errors.is_some_and(super::ErrorHandling::keeps_original) {
            part.keep_original();
        }
        part
    };
    let runs = parts.enumerate().map(|(number, (part, entries))| {
        let part = begin(part);
        async move { (number, run(part, entries, cx).await) }
    });
    let width = if how.is_parallel { PARALLEL_MAX } else { 1 };
    let ordered = stream::iter(runs);
    let mut results = match how.is_streaming && how.is_parallel {
        true => ordered.buffer_unordered(width).boxed(),
        false => ordered.buffered(width).boxed(),
    };
    let deadline = how.timeout.map(|timeout| Instant::now() + timeout);
    let mut joined = None;
    let mut failure = None;
    let mut handled = None;
    loop {
        let next = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, results.next()).await.ok().flatten(),
            None => results.next().await,
        };
        let Some((number, mut part)) = next else { break };
        part.end_within(exchange, how.shares_unit).await;
        if let Some(exception) = part.exception() {
            if how.stops_on_exception {
                let message = format!(
                    "Multicast processing failed for number {number}. Exchange[{}]. Caused by: [{} - {}]",
                    part.id(),
                    exception.class().name,
                    exception.message().cloned().unwrap_or_default()
                );
                failure = Some(Exception::new(&class::CAMEL_EXCHANGE, message).caused_by(exception.clone()));
                break;
            }
            let is_kept = how.strategy.as_ref().is_some_and(|strategy| *strategy != Strategy::UseOriginal);
            if !is_kept || how.shares_unit {
                failure = Some(exception.clone());
            }
        }
        if how.shares_unit && part.is_handled() {
            handled = Some(part.properties.get(&CAUGHT).cloned().unwrap_or_default());
        }
        if let Some(strategy) = &how.strategy {
            part.resume();
            joined = Some(strategy.add(joined, part));
        }
    }
    drop(results);
    come_back(how, exchange, joined, failure, cx);
    if let (Some(caught), false) = (handled, exchange.is_failed()) {
        // What was handled of a part is the whole's: no other step follows.
        exchange.properties.insert(CAUGHT, caught);
        exchange.mark_handled();
    }
}

async fn run(mut part: Exchange, entries: &[Entry], cx: &Cx<'_>) -> Exchange {
    drive(entries, &mut part, cx).await;
    part
}

fn come_back(
    how: &Parts,
    exchange: &mut Exchange,
    joined: Option<Exchange>,
    mut failure: Option<Exception>,
    cx: &Cx<'_>,
) {
    if let (Some(strategy), Some(mut joined)) = (&how.strategy, joined) {
        strategy.complete(&mut joined);
        // With a strategy, a failure is one only if it is part of what was put together.
        failure = failure.or(joined.clear_exception());
        if *strategy != Strategy::UseOriginal {
            exchange.message = joined.message;
            exchange.properties = joined.properties;
            exchange.variables = joined.variables;
        }
    }
    if let Some(failure) = failure {
        exchange.fail(failure);
        if cx.errors.is_some() {
            // The parts' own error handling has done what it can.
            exchange.mark_exhausted();
        }
    }
}
