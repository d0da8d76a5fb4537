//! What happens when a step fails: it is tried again, and then somebody else gets the exchange.

use std::sync::Arc;
use std::time::Duration;

use crate::components::Producer;
use crate::exchange::{Class, Exception, Exchange, Text, Value};
use crate::language::Predicate;

use super::Cx;
use super::block::{Before, Block, Entry, attempt, drive};
use super::redelivery::Redelivery;
use super::stats::StepInfo;
use super::visit::Visit;

/// How a route handles errors.
#[derive(Debug, Default)]
pub struct ErrorHandling {
    /// What `onException` says; those of the route come first.
    pub policies: Vec<Arc<Policy>>,
    /// When steps are tried again that no policy says something about.
    pub redelivery: Redelivery,
    /// Where exchanges go that no policy sends elsewhere.
    pub dead_letter: Option<Target>,
}

/// A dead letter channel.
#[derive(Debug)]
pub struct Target {
    /// Where exchanges go.
    pub producer: Arc<dyn Producer>,
    /// Which message goes there.
    pub original: Original,
    /// Their address, without options.
    pub name: Text,
    /// Whether an error on the way there is only logged.
    pub swallows: bool,
}

/// Which message error handling gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Original {
    /// The message as it was when the step failed.
    #[default]
    No,
    /// The message as it came into the route.
    Message,
    /// The body as it came into the route, with the headers of now.
    Body,
}

/// An `onException`.
#[derive(Debug)]
pub struct Policy {
    /// The classes it is for.
    pub classes: Vec<&'static Class>,
    /// What must be true of the exchange.
    pub on_when: Option<Arc<dyn Predicate>>,
    /// As long as this is true, the step is tried again.
    pub retry_while: Option<Arc<dyn Predicate>>,
    /// Whether the sender sees success.
    pub handled: Option<Arc<dyn Predicate>>,
    /// Whether the route goes on behind the failed step.
    pub continued: Option<Arc<dyn Predicate>>,
    /// When the step is tried again.
    pub redelivery: Redelivery,
    /// Which message the steps get.
    pub original: Original,
    /// What is done then.
    pub block: Block,
}

impl ErrorHandling {
    /// Whether any step may be tried again, so that messages have to be kept.
    pub fn may_redeliver(&self) -> bool {
        self.redelivery.is_on()
            || self.policies.iter().any(|policy| policy.redelivery.is_on() || policy.retry_while.is_some())
    }

    /// Whether the message as it came in may be needed.
    pub fn keeps_original(&self) -> bool {
        self.policies.iter().any(|policy| policy.original != Original::No)
            || self.dead_letter.as_ref().is_some_and(|target| target.original != Original::No)
    }

    /// Tries a failed step again, and hands the exchange on if that does not help.
    pub(super) async fn recover(
        &self,
        entry: &Entry,
        exchange: &mut Exchange,
        cx: &Cx<'_>,
        before: Option<Before>,
        mut visit: Visit<'_>,
    ) {
        let mut attempts = 0_u32;
        let mut delay_ms = 0;
        while let Some(exception) = exchange.exception().cloned() {
            let policy = self.policy_for(exchange, &exception);
            let redelivery = policy.map_or(&self.redelivery, |policy| &policy.redelivery);
            attempts += 1;
            set_counter(exchange, attempts, redelivery);
            let may_try = match policy.and_then(|policy| policy.retry_while.as_ref()) {
                Some(retry_while) => retry_while.matches(exchange).unwrap_or(false),
                None => redelivery.allows(attempts),
            };
            if !may_try {
                set_counter(exchange, attempts - 1, redelivery);
                visit.end(exchange, cx);
                return self.deliver(policy, exception, exchange, cx).await;
            }
            delay_ms = redelivery.delay_ms(attempts, delay_ms, rand::random());
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            cx.route.stats.redeliver();
            visit.redeliver();
            if let Some(before) = &before {
                before.restore(exchange);
                set_counter(exchange, attempts, redelivery);
            }
            exchange.catch();
            if let Some(block) = attempt(entry, exchange, cx).await {
                Box::pin(drive(&block.entries, exchange, cx)).await;
            }
            if !exchange.is_failed() || exchange.is_exhausted() {
                break;
            }
        }
        visit.end(exchange, cx);
    }

    /// Hands a failed exchange on without another attempt.
    pub(super) async fn give_up(&self, exchange: &mut Exchange, cx: &Cx<'_>) {
        let Some(exception) = exchange.exception().cloned() else { return };
        let policy = self.policy_for(exchange, &exception);
        self.deliver(policy, exception, exchange, cx).await;
    }

    /// The policy whose class is closest to the exception or to what caused it, causes first.
    fn policy_for(&self, exchange: &Exchange, exception: &Exception) -> Option<&Policy> {
        let chain: Vec<_> = exception.chain().collect();
        let mut best: Option<(usize, &Policy)> = None;
        for thrown in chain.into_iter().rev() {
            for policy in &self.policies {
                let distance = policy.classes.iter().filter_map(|class| thrown.class().distance_to(class)).min();
                let Some(distance) = distance else { continue };
                let is_closer = best.is_none_or(|(closest, _)| distance < closest);
                if !is_closer || !policy.is_met(exchange) {
                    continue;
                }
                if distance == 0 {
                    return Some(policy);
                }
                best = Some((distance, policy));
            }
        }
        best.map(|(_, policy)| policy)
    }

    async fn deliver(&self, policy: Option<&Policy>, exception: Exception, exchange: &mut Exchange, cx: &Cx<'_>) {
        let steps = policy.map(|policy| &policy.block).filter(|block| !block.entries.is_empty());
        let dead_letter = self.dead_letter.as_ref().filter(|_| steps.is_none());
        if policy.is_none() && dead_letter.is_none() {
            exchange.mark_exhausted();
            return;
        }
        let step = cx.route.failed_step(exchange);
        exchange.catch();
        let original = match (policy, dead_letter) {
            (_, Some(target)) if target.original != Original::No => target.original,
            (Some(policy), _) => policy.original,
            _ => Original::No,
        };
        restore(exchange, original);
        if policy.is_some_and(|policy| policy.handled.is_some() || policy.continued.is_some()) || dead_letter.is_some()
        {
            clear_counter(exchange);
        }
        let quiet = Cx { errors: None, ..*cx };
        if let Some(block) = steps {
            Box::pin(drive(&block.entries, exchange, &quiet)).await;
        } else if let Some(target) = dead_letter
            && self.send(target, exchange, &quiet).await
        {
            cx.route.bury(step.as_deref());
        }
        if exchange.is_failed() {
            // What went wrong in error handling takes the place of what it was for.
            note(step.as_deref(), exchange, cx);
            exchange.mark_exhausted();
            return;
        }
        let says = |predicate: Option<&Arc<dyn Predicate>>, exchange: &Exchange| {
            predicate.is_some_and(|predicate| predicate.matches(exchange).unwrap_or(false))
        };
        if says(policy.and_then(|policy| policy.continued.as_ref()), exchange) {
            cx.route.stats.handle();
            exchange.resume();
        } else if dead_letter.is_some() || says(policy.and_then(|policy| policy.handled.as_ref()), exchange) {
            cx.route.stats.handle();
            exchange.mark_handled();
        } else {
            exchange.fail(exception);
            note(step.as_deref(), exchange, cx);
            exchange.mark_exhausted();
        }
    }

    /// Sends to the dead letters; whether it went there.
    async fn send(&self, target: &Target, exchange: &mut Exchange, cx: &Cx<'_>) -> bool {
        let result = target.producer.send(exchange, cx).end().await;
        let Some(failure) = result.err().or_else(|| exchange.clear_exception()) else { return true };
        if target.swallows {
            tracing::error!(route = %cx.route.id(), class = failure.class().name, "dead letter could not be sent");
        } else {
            exchange.fail(failure);
        }
        false
    }
}

impl Policy {
    fn is_met(&self, exchange: &Exchange) -> bool {
        self.on_when.as_ref().is_none_or(|on_when| on_when.matches(exchange).unwrap_or(false))
    }
}

/// Notes again which step failed an exchange, which is forgotten when the exception is caught.
fn note(step: Option<&StepInfo>, exchange: &mut Exchange, cx: &Cx<'_>) {
    if let Some(step) = step {
        exchange.note_failure(cx.route.id(), &step.name);
    }
}

fn restore(exchange: &mut Exchange, original: Original) {
    let Some(message) = exchange.original().cloned() else { return };
    match original {
        Original::No => {}
        Original::Message => exchange.message = (*message).clone(),
        Original::Body => exchange.message.body = message.body.clone(),
    }
}

const COUNTER: Text = Text::fixed("CamelRedeliveryCounter");
const REDELIVERED: Text = Text::fixed("CamelRedelivered");
const MAX_COUNTER: Text = Text::fixed("CamelRedeliveryMaxCounter");

fn set_counter(exchange: &mut Exchange, attempts: u32, redelivery: &Redelivery) {
    let headers = &mut exchange.message.headers;
    headers.set(COUNTER, Value::Integer(i64::from(attempts)));
    headers.set(REDELIVERED, Value::Bool(attempts > 0));
    if let Some(max) = redelivery.attempts_max.filter(|max| *max > 0) {
        headers.set(MAX_COUNTER, Value::Integer(i64::from(max)));
    }
}

fn clear_counter(exchange: &mut Exchange) {
    for name in [COUNTER, REDELIVERED, MAX_COUNTER] {
        exchange.message.headers.remove(&name);
    }
}
