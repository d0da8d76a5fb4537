//! What travels through a route: a message, and what the route knows about it.
//!
//! Copies are cheap: bodies, texts, lists and maps are shared and never changed in place.

mod body;
mod classes;
mod convert;
mod exception;
mod headers;
mod hooks;
mod java;
mod json;
mod lineage;
mod list;
mod map;
mod message;
mod pending;
mod stored;
mod text;
mod value;
mod variables;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use body::Body;
pub use classes::{Class, class};
pub use convert::Kind;
pub use exception::{Exception, Result};
pub use headers::Headers;
pub use hooks::Hooks;
pub use java::decimal_text;
pub use json::{parse_json, write_json, write_json_pretty};
use lineage::Lineage;
pub(crate) use lineage::Progressed;
pub use list::List;
pub use map::Map;
pub use message::Message;
pub use pending::Pending;
pub use text::Text;
pub use value::{DEPTH_MAX, VALUE_BYTES_MAX, Value};
pub use variables::{SHARED_BYTES_MAX, SHARED_MAX, Shared, Variables};

use crate::run::Carried;

/// Whether the sender waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pattern {
    /// The sender only hands the message over.
    #[default]
    InOnly,
    /// The message that the route ends with is the answer.
    InOut,
}

/// Where an exchange is, for expressions and logs that ask.
#[derive(Debug, Clone, Default)]
pub struct Position {
    /// The route that the exchange entered first.
    pub from_route: Text,
    /// The endpoint that made the exchange, for example `direct:start`.
    pub from_endpoint: Text,
    /// The route that is running now.
    pub route: Text,
    /// The group of the route that is running now; empty if it has none.
    pub group: Text,
    /// The step that is running now, if it has an id.
    pub step: Text,
}

/// One message on its way, with everything that belongs to it.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The message as the last step left it.
    pub message: Message,
    /// Properties of the exchange: like headers, but never sent to an endpoint. Names are case-sensitive.
    pub properties: Map,
    /// Variables of the exchange, and the shared ones.
    pub variables: Variables,
    /// Whether the sender waits for an answer.
    pub pattern: Pattern,
    /// Where the exchange is now.
    pub position: Position,
    /// When the exchange was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// What is to be done when the exchange ends.
    pub hooks: Hooks,
    /// What has been begun, and has to end before the exchange does.
    pub pending: Pending,
    exception: Option<Exception>,
    caught: Option<Exception>,
    original: Option<Arc<Message>>,
    progress: Progress,
    lineage: Lineage,
    companion: Option<Companion>,
    traceparent: Option<Text>,
    /// The route and the step that failed it.
    failed_at: Option<Box<(Text, Text)>>,
    /// There as long as somebody follows it.
    pub(crate) journey: Carried,
    number: u64,
}

/// What goes along with an exchange and its copies, for the component that brought it and others of its kind.
#[derive(Clone)]
struct Companion(Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Companion")
    }
}

/// How the exchange stands with the steps that follow.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// A step said that no other is to follow.
    is_stopped: bool,
    /// Error handling took the exception, and no other step is to follow.
    is_handled: bool,
    /// Error handling has done what it can, and the exception stays.
    is_exhausted: bool,
    /// Whoever brought the exchange does something about its failure.
    is_answered_for: bool,
    /// How many routes call each other above this one.
    depth: u16,
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Exchange {
    /// An exchange with `message`, made at `created_ms` (milliseconds since 1970).
    pub fn new(message: Message, created_ms: i64) -> Self {
        Self { message, created_ms, number: NUMBERS.fetch_add(1, Ordering::Relaxed), ..Self::default() }
    }

    /// A copy with a number of its own, as a split or a wiretap makes it; nothing is to be done at its end.
    pub fn copy(&self) -> Self {
        let lineage = self.lineage.branch();
        let progress = Progress { is_answered_for: false, ..self.progress };
        let journey = self.journey.shared();
        Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), lineage, progress, journey, ..self.clone() }
    }

    /// The same, and nobody follows it any more: it is kept, and does not go on.
    pub(crate) fn at_rest(mut self) -> Self {
        self.journey = Carried::default();
        self
    }

    /// Says of which trace this exchange and what it sends are part: a W3C trace context.
    pub fn join_trace(&mut self, traceparent: Text) {
        self.traceparent = Some(traceparent);
    }

    /// The trace context that the exchange came with: what it sends carries it, unless the message names another.
    pub fn traceparent(&self) -> Option<&Text> {
        self.traceparent.as_ref()
    }

    /// Notes that a step of a route failed it: the first of a route, and of an outer route in the place of an inner one.
    pub(crate) fn note_failure(&mut self, route: &Text, step: &Text) {
        if self.failed_at.as_ref().is_none_or(|at| at.0 != *route) {
            self.failed_at = Some(Box::new((route.clone(), step.clone())));
        }
    }

    /// The step of a route that failed it.
    pub(crate) fn failed_at(&self, route: &Text) -> Option<&Text> {
        self.failed_at.as_ref().filter(|at| at.0 == *route).map(|at| &at.1)
    }

    /// Says what this exchange follows from: the identity of an event, which is the same when it comes again.
    pub fn follow(&mut self, identity: impl Into<Text>) {
        self.lineage.follow(identity.into(), self.message.body.clone());
    }

    /// Says where what this exchange follows from was read, a place that is the same when it is read there again: of two
    /// copies of an event each has its own.
    pub fn came_from(&mut self, source: impl Into<Text>) {
        self.lineage.came_from(source.into());
    }

    /// The identity of what this exchange follows from, if that is known.
    pub fn cause(&self) -> Option<&Text> {
        self.lineage.cause()
    }

    /// Whether it is a copy that a step made, and not the one that was brought.
    pub fn is_copy(&self) -> bool {
        self.lineage.is_branch()
    }

    /// Whether the body is still the one that came from outside.
    pub fn has_body_of_cause(&self) -> bool {
        self.lineage.came_with(&self.message.body)
    }

    /// The id of what `route` sends next for this exchange: done again for the same cause, it is the same. Nothing
    /// where no cause is known.
    pub fn next_id(&mut self, route: &str) -> Option<uuid::Uuid> {
        self.lineage.next_id(route)
    }

    /// What names the next thing that `route` does for this exchange: the same when its cause is read again from the
    /// same place, and another for a copy of the cause elsewhere. Nothing where no place is known.
    pub(crate) fn next_occurrence(&mut self, route: &str) -> Option<uuid::Uuid> {
        self.lineage.next_occurrence(route)
    }

    /// How far it has come, for a step that is tried again.
    pub(crate) fn progressed(&self) -> Progressed {
        self.lineage.progressed()
    }

    /// Goes back to where it was before a step.
    pub(crate) fn go_back(&mut self, progressed: Progressed) {
        self.lineage.go_back(progressed);
    }

    /// Has something go along with this exchange and its copies.
    pub fn accompany(&mut self, companion: Arc<dyn Any + Send + Sync>) {
        self.companion = Some(Companion(companion));
    }

    /// Leaves what goes along: the exchange is on its own from here.
    pub(crate) fn go_alone(&mut self) {
        self.companion = None;
    }

    /// What goes along, if it is of this type.
    pub fn companion<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let companion = self.companion.as_ref()?;
        Arc::clone(&companion.0).downcast().ok()
    }

    /// What names this exchange among all of the process, for example `00000000000002A7`.
    pub fn id(&self) -> Text {
        Text::from(format!("{:016X}", self.number))
    }

    /// The exception that fails this exchange at the moment.
    pub fn exception(&self) -> Option<&Exception> {
        self.exception.as_ref()
    }

    /// The exception that expressions see as `${exception}`: the one that fails the exchange, or the
    /// last one that was caught.
    pub fn caught_exception(&self) -> Option<&Exception> {
        self.exception.as_ref().or(self.caught.as_ref())
    }

    /// Fails the exchange.
    pub fn fail(&mut self, exception: Exception) {
        self.exception = Some(exception);
    }

    /// Takes the exception away: the exchange no longer fails, and expressions still see it.
    pub fn catch(&mut self) -> Option<Exception> {
        let exception = self.clear_exception();
        if let Some(exception) = &exception {
            self.properties.insert(Text::fixed("CamelExceptionCaught"), Value::Exception(exception.clone()));
            self.caught = Some(exception.clone());
        }
        exception
    }

    /// Takes the exception away without a trace, as before a redelivery.
    pub fn clear_exception(&mut self) -> Option<Exception> {
        self.progress.is_exhausted = false;
        self.failed_at = None;
        self.exception.take()
    }

    /// Says that no other step is to follow.
    pub fn stop(&mut self) {
        self.progress.is_stopped = true;
    }

    /// Says that error handling took the exception, so that no other step is to follow.
    pub fn mark_handled(&mut self) {
        self.progress.is_handled = true;
    }

    /// Says that error handling has done what it can.
    pub fn mark_exhausted(&mut self) {
        self.progress.is_exhausted = true;
    }

    /// Whether error handling has done what it can.
    pub fn is_exhausted(&self) -> bool {
        self.progress.is_exhausted
    }

    /// Whether error handling took an exception.
    pub fn is_handled(&self) -> bool {
        self.progress.is_handled
    }

    /// Whether the next step is to be run.
    pub fn continues(&self) -> bool {
        self.exception.is_none() && !self.progress.is_stopped && !self.progress.is_handled
    }

    /// Lets steps follow again after a part of a route has ended.
    pub fn resume(&mut self) {
        self.progress.is_stopped = false;
        self.progress.is_handled = false;
    }

    /// Says that whoever brought the exchange does something about its failure, and tells of it.
    pub fn answer_for(&mut self) {
        self.progress.is_answered_for = true;
    }

    /// Whether whoever brought the exchange does something about its failure.
    pub(crate) fn is_answered_for(&self) -> bool {
        self.progress.is_answered_for
    }

    /// The message as it came into the route, if the route keeps it.
    pub fn original(&self) -> Option<&Arc<Message>> {
        self.original.as_ref()
    }

    /// Keeps the message as the original one.
    pub fn keep_original(&mut self) {
        self.original = Some(Arc::new(self.message.clone()));
    }

    /// Goes one route deeper, and says how deep that is.
    pub fn descend(&mut self) -> u16 {
        self.progress.depth = self.progress.depth.saturating_add(1);
        self.progress.depth
    }

    /// Comes back from a route.
    pub fn ascend(&mut self) {
        self.progress.depth = self.progress.depth.saturating_sub(1);
    }

    /// Whether a step has failed the exchange.
    pub fn is_failed(&self) -> bool {
        self.exception.is_some()
    }

    /// How deep the values in it are nested.
    pub(crate) fn depth(&self) -> usize {
        let headers = self.message.headers.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        headers.max(self.message.body.value().depth()).max(self.properties.depth()).max(self.variables.own().depth())
    }

    /// About how many bytes the values in it have as JSON.
    pub(crate) fn weight(&self) -> usize {
        let headers = self.message.headers.iter().map(|(name, value)| value.weight().saturating_add(name.len()));
        let headers = headers.fold(0, usize::saturating_add);
        let inner = [self.message.body.value().weight(), self.properties.weight(), self.variables.own().weight()];
        inner.into_iter().fold(headers, usize::saturating_add)
    }

    /// Ends a part of `whole`: what it has begun ends with the whole, and so does what is to be done, if the
    /// whole is to decide or something is still under way.
    pub(crate) async fn end_within(&mut self, whole: &mut Exchange, is_shared: bool) {
        let is_under_way = !self.pending.is_empty() && !self.is_failed();
        whole.pending.append(&mut self.pending);
        if is_shared || is_under_way {
            whole.hooks.append(&mut self.hooks);
        } else {
            let is_failed = self.is_failed();
            self.hooks.run(is_failed).await;
        }
    }

    /// Comes back from steps that were cut off: the message and the place are again those of `before`.
    pub(crate) fn come_back(&mut self, before: Exchange) {
        self.message = before.message;
        self.position = before.position;
        self.progress = before.progress;
    }

    /// This exchange as a value, as the strategies that group exchanges collect it.
    pub fn into_value(self) -> Value {
        Value::Exchange(Arc::new(self))
    }
}
