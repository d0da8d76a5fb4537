//! Steps one after the other.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::exchange::{Exception, Exchange, Message, Progressed, Result, class};

use super::stats::StepInfo;
use super::visit::Visit;
use super::{BoxFuture, Cx, Running, Step};

/// Steps that follow each other.
#[derive(Debug, Default)]
pub struct Block {
    /// The steps.
    pub entries: Box<[Entry]>,
}

/// A step of a block.
pub struct Entry {
    /// The step.
    pub step: Box<dyn Step>,
    /// As what it is counted; a step that another step makes is counted as that one.
    pub info: Option<Arc<StepInfo>>,
}

impl Entry {
    /// A step that another one makes while it runs.
    pub fn within(step: impl Step + 'static) -> Self {
        Self { step: Box::new(step), info: None }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.step.fmt(f)
    }
}

/// An exchange before a step that may be tried again.
#[derive(Debug)]
pub(super) struct Before {
    message: Message,
    progressed: Progressed,
}

impl Before {
    fn of(exchange: &Exchange) -> Self {
        Self { message: exchange.message.clone(), progressed: exchange.progressed() }
    }

    /// Makes the exchange what it was.
    pub(super) fn restore(&self, exchange: &mut Exchange) {
        exchange.message = self.message.clone();
        exchange.go_back(self.progressed);
    }
}

/// A step whose block is being run, and what follows it.
struct Above<'b> {
    entry: &'b Entry,
    before: Option<Before>,
    visit: Visit<'b>,
    following: &'b [Entry],
}

/// Runs steps until they are through, or the exchange does not go on.
pub async fn drive(entries: &[Entry], exchange: &mut Exchange, cx: &Cx<'_>) {
    let mut above: Vec<Above<'_>> = Vec::new();
    let mut rest = entries;
    // What ends one step begins the next: the clock is read once for both.
    let mut now = Instant::now();
    while exchange.continues() {
        let Some((entry, following)) = rest.split_first() else {
            let Some(outer) = above.pop() else { return };
            now = outer.visit.end(exchange, cx);
            rest = outer.following;
            continue;
        };
        rest = following;
        let before = cx.errors.filter(|errors| errors.may_redeliver()).map(|_| Before::of(exchange));
        let visit = Visit::begin(entry, exchange, cx, now);
        if let Some(inner) = attempt(entry, exchange, cx).await {
            above.push(Above { entry, before, visit, following });
            rest = &inner.entries;
            now = Instant::now();
        } else if let (true, false, Some(errors)) = (exchange.is_failed(), exchange.is_exhausted(), cx.errors) {
            let mut failed = Some((entry, before, visit));
            while let Some((entry, before, visit)) = failed {
                if entry.step.is_covered() {
                    errors.recover(entry, exchange, cx, before, visit).await;
                    break;
                }
                visit.end(exchange, cx);
                failed = above.pop().map(|outer| {
                    rest = outer.following;
                    (outer.entry, outer.before, outer.visit)
                });
            }
            now = Instant::now();
        } else {
            now = visit.end(exchange, cx);
        }
    }
    for outer in above.into_iter().rev() {
        outer.visit.end(exchange, cx);
    }
}

/// Runs one step; what fails or panics in it fails the exchange. A block is to be entered then.
pub(super) async fn attempt<'s>(entry: &'s Entry, exchange: &mut Exchange, cx: &Cx<'_>) -> Option<&'s Block> {
    match outcome(entry, exchange, cx).await {
        Ok(block) => block,
        Err(exception) => {
            exchange.fail(exception);
            None
        }
    }
}

async fn outcome<'s>(entry: &'s Entry, exchange: &mut Exchange, cx: &Cx<'_>) -> Result<Option<&'s Block>> {
    match caught(move || entry.step.run(exchange, cx)) {
        Ok(Running::Done(result)) => result.map(|()| None),
        Ok(Running::Enter(block)) => Ok(Some(block)),
        Ok(Running::Later(future)) => CatchPanic(future).await.map(|()| None),
        Err(panic) => Err(panicked(panic.as_ref())),
    }
}

/// Runs something once, and gives what it panics with.
fn caught<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
}

/// A future whose panic is an exception.
struct CatchPanic<'e>(BoxFuture<'e, Result<()>>);

impl Future for CatchPanic<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match caught(|| self.0.as_mut().poll(cx)) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Exception {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Exception::new(&class::ERROR, format!("step panicked: {}", said.unwrap_or("without a message")))
}
