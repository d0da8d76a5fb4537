//! Running compiled routes: exchanges go through steps, and errors to whoever handles them.

mod block;
mod engine;
mod errors;
mod limits;
mod parts;
mod redelivery;
mod route;
mod stats;
mod strategy;
mod swap;
mod trace;
mod visit;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::exchange::{Exchange, Result};

pub use block::{Block, Entry, drive};
pub use engine::{Core, Engine, Setup};
pub use errors::{ErrorHandling, Original, Policy, Target};
pub use limits::Limits;
pub use parts::{Part, Parts, run_parts};
pub use redelivery::Redelivery;
pub(crate) use route::finish;
pub use route::{Inlet, Plan, Route, RouteState, Starts, TRACEPARENT};
pub use stats::{Snapshot, Stats, StepInfo};
pub use strategy::Strategy;
pub use swap::SwapError;
pub(crate) use trace::Carried;
pub use trace::{Followed, FollowedStep, HeaderChange, Masking, Shown, Trace};

/// A future without a name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A step of a route, ready to run.
pub trait Step: Send + Sync + fmt::Debug {
    /// Runs the step.
    ///
    /// What needs no wait is done at once; what is a condition on a block enters it.
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e>;

    /// Whether the error handling of the route is for this step; if not, it is for the step around it.
    fn is_covered(&self) -> bool {
        true
    }
}

/// How far a step has come.
pub enum Running<'s, 'e> {
    /// It is done.
    Done(Result<()>),
    /// These steps are to be run, and then what follows.
    Enter(&'s Block),
    /// It has to wait.
    Later(BoxFuture<'e, Result<()>>),
}

impl fmt::Debug for Running<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Enter(block) => f.debug_tuple("Enter").field(block).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

impl From<Result<()>> for Running<'_, '_> {
    fn from(result: Result<()>) -> Self {
        Self::Done(result)
    }
}

/// How far a producer has come.
pub enum Sending<'e> {
    /// It is done.
    Done(Result<()>),
    /// It has to wait.
    Later(BoxFuture<'e, Result<()>>),
}

impl Sending<'_> {
    /// Waits until it is done.
    pub async fn end(self) -> Result<()> {
        match self {
            Self::Done(result) => result,
            Self::Later(future) => future.await,
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

impl<'e> From<Sending<'e>> for Running<'_, 'e> {
    fn from(sending: Sending<'e>) -> Self {
        match sending {
            Sending::Done(result) => Self::Done(result),
            Sending::Later(future) => Self::Later(future),
        }
    }
}

/// Where a step runs.
#[derive(Debug, Clone, Copy)]
pub struct Cx<'e> {
    /// The engine.
    pub core: &'e Arc<Core>,
    /// The route.
    pub route: &'e Arc<Route>,
    /// Who handles errors of the steps; nobody inside of `doTry` and of error handling itself.
    pub errors: Option<&'e ErrorHandling>,
}
