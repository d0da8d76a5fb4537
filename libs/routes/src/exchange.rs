//! What travels through a route: a message, and what the route knows about it.
//!
//! Copies are cheap: bodies, texts, lists and maps are shared and never changed in place.

mod body;
mod classes;
mod convert;
mod exception;
mod headers;
mod java;
mod json;
mod map;
mod message;
mod text;
mod value;
mod variables;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use body::Body;
pub use classes::{Class, class};
pub use convert::Kind;
pub use exception::{Exception, Result};
pub use headers::Headers;
pub use java::decimal_text;
pub use json::{parse_json, write_json, write_json_pretty};
pub use map::Map;
pub use message::Message;
pub use text::Text;
pub use value::Value;
pub use variables::{SHARED_MAX, Shared, Variables};

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
    exception: Option<Exception>,
    caught: Option<Exception>,
    number: u64,
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Exchange {
    /// An exchange with `message`, made at `created_ms` (milliseconds since 1970).
    pub fn new(message: Message, created_ms: i64) -> Self {
        Self { message, created_ms, number: NUMBERS.fetch_add(1, Ordering::Relaxed), ..Self::default() }
    }

    /// A copy with a number of its own, as a split or a wiretap makes it.
    pub fn copy(&self) -> Self {
        Self { number: NUMBERS.fetch_add(1, Ordering::Relaxed), ..self.clone() }
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
        let exception = self.exception.take();
        if exception.is_some() {
            self.caught.clone_from(&exception);
        }
        exception
    }

    /// Takes the exception away without a trace, as before a redelivery.
    pub fn clear_exception(&mut self) -> Option<Exception> {
        self.exception.take()
    }

    /// Whether a step has failed the exchange.
    pub fn is_failed(&self) -> bool {
        self.exception.is_some()
    }

    /// This exchange as a value, as the strategies that group exchanges collect it.
    pub fn into_value(self) -> Value {
        Value::Exchange(Arc::new(self))
    }
}
