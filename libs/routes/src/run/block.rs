//! Steps one after the other.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::exchange::{Exception, Exchange, Message, Progressed, Result, Text, class};

use super::{BoxFuture, Cx, Running, Step};

/// Steps that follow each other.
#[derive(Debug, Default)]
pub struct Block {
    /// The steps.
    pub entries: Box<[Entry]>,
}

/// A step with its name.
pub struct Entry {
    /// The step.
    pub step: Box<dyn Step>,
    /// What kind of step it is, for example `setBody`.
    pub name: &'static str,
    /// Its id in the file; empty if it has none.
    pub id: Text,
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
    following: &'b [Entry],
}

/// Runs steps until they are through, or the exchange does not go on.
pub async fn drive(entries: &[Entry], exchange: &mut Exchange, cx: &Cx<'_>) {
    let mut above: Vec<Above<'_>> = Vec::new();
    let mut rest = entries;
    while exchange.continues() {
        let Some((entry, following)) = rest.split_first() else {
            match above.pop() {
                Some(outer) => rest = outer.following,
                None => return,
            }
            continue;
        };
        rest = following;
        let before = cx.errors.filter(|errors| errors.may_redeliver()).map(|_| Before::of(exchange));
        if let Some(inner) = attempt(entry, exchange, cx).await {
            above.push(Above { entry, before, following });
            rest = &inner.entries;
        } else if let (true, false, Some(errors)) = (exchange.is_failed(), exchange.is_exhausted(), cx.errors) {
            let mut failed = Some((entry, before));
            while let Some((entry, before)) = failed {
                if entry.step.is_covered() {
                    errors.recover(entry, exchange, cx, before).await;
                    break;
                }
                failed = above.pop().map(|outer| {
                    rest = outer.following;
                    (outer.entry, outer.before)
                });
            }
        }
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
