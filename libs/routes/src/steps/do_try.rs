//! `doTry`: exceptions of some steps are caught on the spot.

use std::sync::Arc;

use crate::check::{Inline, OptionSpec, Spec, Takes};
use crate::exchange::{Class, Exception, Exchange};
use crate::language::Predicate;
use crate::run::{Block, Cx, Running, Step, drive};

use super::StepKind;

static DO_CATCH: Spec = Spec {
    name: "doCatch",
    about: "What is done with exceptions of some classes",
    inline: Inline::Nothing,
    options: &[
        OptionSpec::required("exception", Takes::Classes, "the classes"),
        OptionSpec::new("onWhen", Takes::Condition, "only exchanges that meet this"),
        OptionSpec::new("steps", Takes::Steps, "the steps"),
    ],
    ..Spec::EMPTY
};

static DO_FINALLY: Spec = Spec {
    name: "doFinally",
    about: "What is done in any case",
    options: &[OptionSpec::new("steps", Takes::Steps, "the steps")],
    ..Spec::EMPTY
};

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "doTry",
        about: "Catches exceptions of its steps on the spot",
        options: &[
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("doCatch", Takes::Many(&DO_CATCH), "what is done with exceptions"),
            OptionSpec::new("doFinally", Takes::One(&DO_FINALLY), "what is done in any case"),
        ],
        ..Spec::EMPTY
    },
    build: |element, builder| {
        let block = builder.block(element.steps("steps"));
        let catches = element.many("doCatch").iter().map(|catch| Catch {
            classes: catch.classes("exception").to_vec(),
            on_when: catch.condition("onWhen"),
            block: builder.block(catch.steps("steps")),
        });
        let catches = catches.collect();
        let finally = element.one("doFinally").map(|finally| builder.block(finally.steps("steps")));
        Some(Box::new(DoTry { block, catches, finally }))
    },
};

#[derive(Debug)]
struct DoTry {
    block: Block,
    catches: Vec<Catch>,
    finally: Option<Block>,
}

#[derive(Debug)]
struct Catch {
    classes: Vec<&'static Class>,
    on_when: Option<Arc<dyn Predicate>>,
    block: Block,
}

impl Catch {
    fn takes(&self, exception: &Exception, exchange: &Exchange) -> bool {
        let is_one = exception.chain().any(|thrown| self.classes.iter().any(|class| thrown.class().is_a(class)));
        is_one && self.on_when.as_ref().is_none_or(|on_when| on_when.matches(exchange).unwrap_or(false))
    }
}

impl Step for DoTry {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        Running::Later(Box::pin(async move {
            let cx = Cx { errors: None, ..*cx };
            drive(&self.block.entries, exchange, &cx).await;
            let thrown = exchange.exception().cloned();
            let catch = thrown.and_then(|thrown| self.catches.iter().find(|catch| catch.takes(&thrown, exchange)));
            if let Some(catch) = catch {
                exchange.catch();
                drive(&catch.block.entries, exchange, &cx).await;
            }
            if let Some(finally) = &self.finally {
                let exception = exchange.clear_exception();
                drive(&finally.entries, exchange, &cx).await;
                if let (Some(exception), false) = (exception, exchange.is_failed()) {
                    exchange.fail(exception);
                }
            }
            Ok(())
        }))
    }

    fn is_covered(&self) -> bool {
        false
    }
}
