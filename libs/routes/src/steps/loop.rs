//! `loop`: steps again and again.

use std::sync::Arc;

use crate::check::{Compiled, Element, Inline, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exception, Exchange, Kind, Result, Text, Value, class};
use crate::language::{Expression, Predicate};
use crate::run::{Block, Cx, Running, Step, drive};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "loop",
        about: "Runs steps as many times as an expression says, or while it is true",
        inline: Inline::Loop,
        options: &[
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("copy", Takes::Bool, "whether each turn begins with the message from before (false)"),
            OptionSpec::new("doWhile", Takes::Bool, "whether the expression is a condition (false)"),
            OptionSpec::new("breakOnShutdown", Takes::Bool, "a route stops when its loops have ended (false)"),
            OptionSpec::refused("onPrepare", "prepare the message in the first of the steps"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    if element.is_on("breakOnShutdown") {
        let message = "`breakOnShutdown: true` is not supported: a route stops when its loops have ended; take it out";
        builder.error(element.mark_of("breakOnShutdown"), message);
    }
    let until = match element.expression.as_ref()? {
        Compiled::Value(count) => Until::Count(Arc::clone(count)),
        Compiled::Condition(condition) => Until::False(Arc::clone(condition)),
    };
    Some(Box::new(Loop { until, copies: element.is_on("copy"), block: builder.block(element.steps("steps")) }))
}

#[derive(Debug)]
enum Until {
    Count(Arc<dyn Expression>),
    False(Arc<dyn Predicate>),
}

#[derive(Debug)]
struct Loop {
    until: Until,
    copies: bool,
    block: Block,
}

const INDEX: Text = Text::fixed("CamelLoopIndex");
const SIZE: Text = Text::fixed("CamelLoopSize");

impl Step for Loop {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Later(Box::pin(async move { self.turns(exchange, cx).await }))
    }
}

impl Loop {
    async fn turns(&self, exchange: &mut Exchange, cx: &Cx<'_>) -> Result<()> {
        let count = match &self.until {
            Until::Count(count) => {
                let count = count.evaluate(exchange, Kind::Int)?.convert(Kind::Int)?;
                let count = count.to_integer().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
                exchange.properties.insert(SIZE, Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
                Some(count)
            }
            Until::False(_) => None,
        };
        let turns_max = cx.core.limits.turns_max;
        let before = self.copies.then(|| exchange.message.clone());
        let mut turn = 0_u64;
        while count.is_none_or(|count| turn < count) {
            match &self.until {
                Until::False(condition) if !condition.matches(exchange)? => break,
                _ => {}
            }
            if turn >= turns_max {
                let message = format!("loop has made {turns_max} turns, and no more are allowed");
                return Err(Exception::new(&class::ILLEGAL_STATE, message));
            }
            if let Some(before) = &before {
                exchange.message = before.clone();
            }
            exchange.properties.insert(INDEX, Value::Integer(i64::try_from(turn).unwrap_or(i64::MAX)));
            drive(&self.block.entries, exchange, cx).await;
            if !exchange.continues() {
                break;
            }
            turn += 1;
            // A loop without waits lets others run too.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }
}
