//! `idempotentConsumer`: what has been seen is not done again.

use std::sync::Arc;

use crate::check::{Element, Inline, OptionSpec, Spec, Takes};
use crate::compile::Builder;
use crate::exchange::{Exception, Exchange, Hooks, Kind, Text, Value, class};
use crate::language::Expression;
use crate::repository::{Claim, Repository};
use crate::run::{Block, Cx, Running, Step, drive};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "idempotentConsumer",
        about: "Runs steps only for exchanges whose key has not been seen",
        inline: Inline::Value,
        options: &[
            OptionSpec::required("idempotentRepository", Takes::Text, "the bean that remembers keys"),
            OptionSpec::new("steps", Takes::Steps, "the steps"),
            OptionSpec::new("eager", Takes::Bool, "whether the key is remembered before the steps (true)"),
            OptionSpec::new("completionEager", Takes::Bool, "whether it counts when the steps end, and not the exchange (false)"),
            OptionSpec::new("skipDuplicate", Takes::Bool, "whether steps are left out for what has been seen (true)"),
            OptionSpec::new("removeOnFailure", Takes::Bool, "whether the key goes again when it fails (true)"),
        ],
        ..Spec::EMPTY
    },
    build,
};

fn build(element: &Element, builder: &mut Builder<'_>) -> Option<Box<dyn Step>> {
    let repository = builder.repository(element, "idempotentRepository");
    let block = builder.block(element.steps("steps"));
    Some(Box::new(IdempotentConsumer {
        key: element.inline_value()?,
        repository: repository?,
        block,
        eager: element.flag("eager").unwrap_or(true),
        completes_early: element.is_on("completionEager"),
        skips: element.flag("skipDuplicate").unwrap_or(true),
        forgets: element.flag("removeOnFailure").unwrap_or(true),
    }))
}

#[derive(Debug)]
struct IdempotentConsumer {
    key: Arc<dyn Expression>,
    repository: Arc<Repository>,
    block: Block,
    eager: bool,
    completes_early: bool,
    skips: bool,
    forgets: bool,
}

const DUPLICATE: Text = Text::fixed("CamelDuplicateMessage");

impl Step for IdempotentConsumer {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let key = match self.key.evaluate(exchange, Kind::Text) {
            Ok(key) => key.to_text().filter(|key| !key.is_empty()),
            Err(exception) => return Running::Done(Err(exception)),
        };
        let Some(key) = key else {
            return Running::Done(Err(Exception::new(&class::NO_MESSAGE_ID, "No message ID could be found")));
        };
        let owner = exchange.next_occurrence(cx.route.id()).map(|id| Text::from(id.to_string()));
        let claim = Claim::new(&key, owner);
        Running::Later(Box::pin(async move {
            let is_new = match self.eager {
                true => self.repository.take(&claim).await?,
                false => !self.repository.is_taken(&claim).await?,
            };
            if !is_new {
                exchange.properties.insert(DUPLICATE, Value::Bool(true));
                if !self.skips {
                    drive(&self.block.entries, exchange, cx).await;
                }
                return Ok(());
            }
            let (repository, eager, forgets) = (Arc::clone(&self.repository), self.eager, self.forgets);
            let settle = move |is_failed| settle(repository, claim, eager, is_failed && forgets, is_failed);
            if !self.completes_early {
                exchange.hooks.add_later(settle);
                drive(&self.block.entries, exchange, cx).await;
                return Ok(());
            }
            // Cut off in the steps, it has failed.
            let mut hooks = Hooks::default();
            hooks.add_later(settle);
            drive(&self.block.entries, exchange, cx).await;
            hooks.run(exchange.is_failed()).await;
            Ok(())
        }))
    }
}

/// What becomes of a key when its exchange ends.
async fn settle(repository: Arc<Repository>, claim: Claim, eager: bool, forgets: bool, is_failed: bool) {
    match (eager, forgets) {
        (true, true) => repository.give_back(&claim).await,
        (true, false) => repository.keep(&claim).await,
        (false, _) if !is_failed => repository.keep(&claim).await,
        (false, _) => {}
    }
}
