//! `split`: the parts of a message go their own way, one after the other.

use std::sync::Arc;
use std::time::Duration;

use crate::check::{Element, Inline, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Body, Exception, Exchange, Kind, Text, Value, class};
use crate::language::Expression;
use crate::run::{Block, Cx, Parts, Running, Step, run_parts};

use super::StepKind;
use super::iterate::iterate;

const FACTORY: &str = "there are no threads";

const RESUME: &str = "use `idempotentConsumer` in the steps: what fails comes again as a whole";

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "split",
        about: "Takes a message apart; every part goes through the steps",
        inline: Inline::Value,
        options: &[
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("delimiter", Takes::Text, "where text is cut (a comma); `false` for not at all"),
            OptionSpec::new("streaming", Takes::Bool, "whether results are taken as they come (false)"),
            OptionSpec::new("parallelProcessing", Takes::Bool, "whether parts do not wait for each other (false)"),
            OptionSpec::new("stopOnException", Takes::Bool, "whether the first failure ends it (false)"),
            OptionSpec::new("aggregationStrategy", Takes::Text, "how the results become one message"),
            OptionSpec::new("timeout", Takes::Duration, "how long all parts may take together"),
            OptionSpec::new("shareUnitOfWork", Takes::Bool, "whether parts end with the whole, which fails with them (false)"),
            OptionSpec::new("group", Takes::Integer(1, 1_000_000), "how many parts make one, whose body is their list"),
            OptionSpec::unused("synchronous", &Takes::Bool, FACTORY),
            OptionSpec::meaningless("executorService", FACTORY),
            OptionSpec::unused("parallelAggregate", &Takes::Bool, "results are put together one after the other"),
            OptionSpec::refused("aggregationStrategyMethodName", "there is no Java here"),
            OptionSpec::refused("aggregationStrategyMethodAllowNull", "there is no Java here"),
            OptionSpec::refused("onPrepare", "prepare parts in the first of the steps"),
            OptionSpec::refused("errorThreshold", "use `stopOnException`, or `onException` with `continued`"),
            OptionSpec::refused("maxFailedRecords", "use `stopOnException`, or `onException` with `continued`"),
            OptionSpec::refused("resumeStrategy", RESUME),
            OptionSpec::refused("watermarkKey", RESUME),
            OptionSpec::refused("watermarkExpression", RESUME),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    let block = builder.block(element.steps("steps"));
    let strategy = builder.strategy(element, "aggregationStrategy");
    Some(Box::new(Split {
        expression: element.inline_value()?,
        delimiter: element.text("delimiter").unwrap_or(",").to_owned(),
        group: element.count("group"),
        how: Parts {
            strategy,
            is_parallel: element.is_on("parallelProcessing"),
            is_streaming: element.is_on("streaming"),
            stops_on_exception: element.is_on("stopOnException"),
            timeout: element.duration_ms("timeout").filter(|ms| *ms > 0).map(Duration::from_millis),
            shares_unit: element.is_on("shareUnitOfWork"),
        },
        block,
    }))
}

#[derive(Debug)]
struct Split {
    expression: Arc<dyn Expression>,
    delimiter: String,
    group: Option<usize>,
    how: Parts,
    block: Block,
}

const INDEX: Text = Text::fixed("CamelSplitIndex");
const SIZE: Text = Text::fixed("CamelSplitSize");
const COMPLETE: Text = Text::fixed("CamelSplitComplete");

impl Step for Split {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let value = match self.expression.evaluate(exchange, Kind::Any) {
            Ok(value) => value,
            Err(exception) => return Running::Done(Err(exception)),
        };
        let mut values = iterate(value, &self.delimiter);
        match self.group {
            // What is null stands in its list.
            Some(size) => values = groups(values, size),
            None => values.retain(|value| !value.is_null()),
        }
        if values.len() > cx.core.limits.parts_max {
            let message = format!("split makes {} parts, {} are allowed", values.len(), cx.core.limits.parts_max);
            return Running::Done(Err(Exception::new(&class::ILLEGAL_STATE, message)));
        }
        Running::Later(Box::pin(async move {
            let last = values.len().saturating_sub(1);
            let whole = exchange.copy();
            let parts = values.into_iter().enumerate().map(|(at, value)| {
                let mut part = whole.copy();
                match value {
                    Value::Exchange(inner) => part.message = inner.message.clone(),
                    value => part.message.body = Body::new(value),
                }
                part.properties.insert(INDEX, number(at));
                part.properties.insert(COMPLETE, Value::Bool(at == last));
                if !self.how.is_streaming || at == last {
                    part.properties.insert(SIZE, number(last + 1));
                }
                (part, &*self.block.entries)
            });
            run_parts(&self.how, parts, exchange, cx).await;
            Ok(())
        }))
    }
}

/// Lists of as many values each; the last one has what is left.
fn groups(values: Vec<Value>, size: usize) -> Vec<Value> {
    values.chunks(size.max(1)).map(|group| Value::list(group.to_vec())).collect()
}

pub(super) fn number(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
