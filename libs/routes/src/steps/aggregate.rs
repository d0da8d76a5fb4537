//! `aggregate`: exchanges are collected until there are enough.

mod groups;
mod watch;

use std::sync::Arc;

use crate::check::{Element, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exchange, Pattern};
use crate::run::{Block, Cx, Running, Step, drive};

use super::StepKind;
use groups::{Groups, Ready, Rules};

const STORE: &str = "groups are kept where the state of all routes is";

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "aggregate",
        about: "Collects exchanges, and runs its steps with what was collected",
        options: &[
            OptionSpec::required("correlationExpression", Takes::Value, "what exchanges of one group have in common"),
            OptionSpec::required("aggregationStrategy", Takes::Text, "how exchanges become one"),
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("completionSize", Takes::Integer(1, 1_000_000), "how many exchanges complete a group"),
            OptionSpec::new("completionSizeExpression", Takes::Value, "the same as an expression"),
            OptionSpec::new("completionTimeout", Takes::Duration, "after which time without exchanges it is complete"),
            OptionSpec::new("completionTimeoutExpression", Takes::Value, "the same as an expression"),
            OptionSpec::new("completionInterval", Takes::Duration, "after which time all groups are complete"),
            OptionSpec::new("completionPredicate", Takes::Condition, "a condition that completes a group"),
            OptionSpec::new("eagerCheckCompletion", Takes::Bool, "whether conditions look at the new exchange (false)"),
            OptionSpec::new("ignoreInvalidCorrelationKeys", Takes::Bool, "whether exchanges without a key are passed over (false)"),
            OptionSpec::new("closeCorrelationKeyOnCompletion", Takes::Integer(0, 1_000_000), "how many complete keys are refused afterwards"),
            OptionSpec::new("discardOnCompletionTimeout", Takes::Bool, "whether groups without enough in time are dropped (false)"),
            OptionSpec::new("discardOnAggregationFailure", Takes::Bool, "whether a group whose collecting fails is dropped (false)"),
            OptionSpec::new("forceCompletionOnStop", Takes::Bool, "whether groups are complete when the route stops (false)"),
            OptionSpec::new("completeAllOnStop", Takes::Bool, "the same (false)"),
            OptionSpec::meaningless("completionTimeoutCheckerInterval", "every group has its own time"),
            OptionSpec::meaningless("executorService", "there are no threads"),
            OptionSpec::unused("parallelProcessing", &Takes::Bool, "who completes a group waits for its steps"),
            OptionSpec::meaningless("timeoutCheckerExecutorService", "there are no threads"),
            OptionSpec::unused("optimisticLocking", &Takes::Bool, STORE),
            OptionSpec::unused("optimisticLockingSyncRetry", &Takes::Bool, STORE),
            OptionSpec::unused("optimisticLockRetryPolicy", &Takes::Parameters, STORE),
            OptionSpec::refused("aggregateController", "there is no Java here"),
            OptionSpec::refused("aggregationRepository", STORE),
            OptionSpec::refused("aggregationStrategyMethodName", "there is no Java here"),
            OptionSpec::refused("aggregationStrategyMethodAllowNull", "there is no Java here"),
            OptionSpec::refused("completionFromBatchConsumer", "use `completionSize`"),
            OptionSpec::refused("completionOnNewCorrelationGroup", "use `completionPredicate`"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    let strategy = builder.strategy(element, "aggregationStrategy");
    let block = builder.block(element.steps("steps"));
    let rules = Rules {
        key: element.value("correlationExpression")?,
        strategy: strategy?,
        size: element.count("completionSize"),
        size_expression: element.value("completionSizeExpression"),
        timeout_ms: element.duration_ms("completionTimeout"),
        timeout_expression: element.value("completionTimeoutExpression"),
        interval_ms: element.duration_ms("completionInterval"),
        predicate: element.condition("completionPredicate"),
        looks_at_new: element.is_on("eagerCheckCompletion"),
        ignores_invalid: element.is_on("ignoreInvalidCorrelationKeys"),
        closed_max: element.count("closeCorrelationKeyOnCompletion"),
        discards_late: element.is_on("discardOnCompletionTimeout"),
        discards_failed: element.is_on("discardOnAggregationFailure"),
    };
    if !rules.can_complete() {
        builder.error(element.at, "`aggregate` needs a completion, for example `completionSize: 10`");
        return None;
    }
    let completes_on_stop = element.is_on("forceCompletionOnStop") || element.is_on("completeAllOnStop");
    let store = builder.core.state.groups(builder.place(element, STEP.spec.name));
    let groups = Groups::new(rules, &builder.core.limits, completes_on_stop, store);
    let shared = Arc::new(Shared { groups, block });
    if shared.groups.needs_watch() {
        let watched = Arc::clone(&shared);
        builder.at_start(move |core, route| watch::begin(Arc::clone(&watched), core, route));
    }
    Some(Box::new(Aggregate { shared }))
}

#[derive(Debug)]
struct Aggregate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    groups: Groups,
    block: Block,
}

impl Step for Aggregate {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Later(Box::pin(async move {
            if let Some(ready) = self.shared.groups.add(exchange, cx).await? {
                self.shared.complete(ready, cx).await;
            }
            Ok(())
        }))
    }
}

impl Shared {
    /// Takes what was collected through the steps; its failure is its own.
    async fn complete(&self, ready: Ready, cx: &Cx<'_>) {
        let Ready { number, failures, exchange: mut collected } = ready;
        collected.pattern = Pattern::InOnly;
        let cx = Cx { errors: cx.route.plan.errors.as_ref(), ..*cx };
        let steps = async {
            drive(&self.block.entries, &mut collected, &cx).await;
            crate::run::finish(&mut collected, &cx).await;
        };
        self.groups.hold(number, steps, &cx).await;
        self.groups.settle(number, failures, collected.is_failed(), &cx).await;
    }
}
