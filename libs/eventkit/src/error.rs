//! Everything that can go wrong in eventkit, and whether trying again can help.

use std::error::Error as StdError;
use std::time::Duration;

/// A result with eventkit's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of eventkit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database under an outbox, an inbox or a unit of work failed.
    #[error("database failed")]
    Database(#[from] db::Error),
    /// An event could not be written as JSON.
    #[error("event {event_type} could not be written as json")]
    Encode {
        /// The event's type, for example `user.created`.
        event_type: String,
        /// What the JSON writer said.
        source: serde_json::Error,
    },
    /// A record's value is not an envelope, or its data is not the event that its type names.
    #[error("event {event_type} could not be read")]
    Decode {
        /// The event's type, or `envelope` when not even that could be read.
        event_type: String,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The event was written by a newer version of its contract than this reader knows.
    #[error("event {event_type} has schema version {found}, this reader knows {known} and older")]
    NewerSchema {
        /// The event's type.
        event_type: &'static str,
        /// The version in the envelope.
        found: u32,
        /// The newest version that this reader knows.
        known: u32,
    },
    /// An older version of an event could not be brought up to the current one.
    #[error("event {event_type} version {from} could not be upcast: {reason}")]
    Upcast {
        /// The event's type.
        event_type: &'static str,
        /// The version that the failing step starts from.
        from: u32,
        /// What the upcaster said.
        reason: String,
    },
    /// A setting of eventkit or of its transport is wrong.
    #[error("invalid configuration: {reason}")]
    Config {
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The transport could not deliver records, or could not be reached.
    #[error("transport could not {operation}")]
    Transport {
        /// What was tried, for example `publish to user-events`.
        operation: String,
        /// Whether the same call may succeed later.
        transient: bool,
        /// What the transport's client said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A member of a group has no further transaction: another has its name, or nobody knows how the last one ended.
    #[error("transactions are over: could not {operation}")]
    TransactionOver {
        /// What was tried.
        operation: &'static str,
        /// What the transport's client said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The broker takes nothing on a topic for now: this client may not write there, or the topic is not there.
    #[error("topic {topic} takes no records")]
    TopicRefused {
        /// The topic.
        topic: String,
        /// What the transport's client said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A transaction that is still open hides which stored events are complete.
    #[error("an open transaction holds back what was stored after it began")]
    HeldBack,
    /// A projection could not apply an event.
    #[error("projection {name} could not apply event {event}{}", at(*position))]
    Projection {
        /// The projection.
        name: &'static str,
        /// The event's identity.
        event: String,
        /// The event's position in its service's store, where it was read there.
        position: Option<i64>,
        /// Whether the same may succeed later.
        transient: bool,
        /// Why.
        source: Box<HandlerError>,
    },
    /// Another rebuild of the projection is at work.
    #[error("projection {projection} is being rebuilt")]
    RebuildRuns {
        /// The projection.
        projection: &'static str,
        /// Since when, in milliseconds since 1970.
        since_ms: i64,
        /// When it counts as given up if it takes no further step, in milliseconds since 1970.
        until_ms: i64,
    },
    /// A rebuild was ended, or waited too long for its next step.
    #[error("this rebuild of projection {projection} is over; begin another one")]
    RebuildOver {
        /// The projection.
        projection: &'static str,
    },
    /// The event that is being handled has had its effect already; a handler passes this on.
    #[error("event was handled before")]
    AlreadyHandled,
    /// The consumer or the transport has been stopped.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Whether a record was refused because the broker takes none as large.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Transport { transient: false, .. }) && find::<TooLarge>(self).is_some()
    }

    /// Whether the same call may succeed later without anything being mended.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => error.is_transient(),
            Self::Transport { transient, .. } | Self::Projection { transient, .. } => *transient,
            Self::TopicRefused { .. } | Self::HeldBack | Self::RebuildRuns { .. } => true,
            Self::Encode { .. }
            | Self::Decode { .. }
            | Self::NewerSchema { .. }
            | Self::Upcast { .. }
            | Self::Config { .. }
            | Self::TransactionOver { .. }
            | Self::RebuildOver { .. }
            | Self::AlreadyHandled
            | Self::Stopped => false,
        }
    }
}

/// Among the causes of an [`Error::Transport`] that is not transient: the record was refused for its size.
///
/// A transport that knows says so, and a dead letter that is too large is then sent without its value.
#[derive(Debug, thiserror::Error)]
#[error("record is too large")]
pub struct TooLarge(#[source] Box<dyn StdError + Send + Sync>);

impl TooLarge {
    /// `source` is what the transport's client said.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

fn at(position: Option<i64>) -> String {
    position.map_or_else(String::new, |position| format!(" at position {position}"))
}

/// What a handler answers when it could not handle an event: try again, or never.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// Trying again may help; after `delay` if one is given, else by the consumer's policy.
    #[error("handler failed for now")]
    Transient {
        /// How long to wait at the least.
        delay: Option<Duration>,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Trying again cannot help: the event is a dead letter.
    #[error("handler refused the event")]
    Permanent {
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl HandlerError {
    /// Trying again may help.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Transient { delay: None, source: source.into() }
    }

    /// Trying again cannot help.
    pub fn permanent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Permanent { source: source.into() }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        if error.is_transient() { Self::transient(error) } else { Self::permanent(error) }
    }
}

impl From<db::Error> for HandlerError {
    fn from(error: db::Error) -> Self {
        Error::Database(error).into()
    }
}

/// How many causes of an error are told; a longer chain is a loop.
const CAUSES_MAX: usize = 16;

/// The first error of type `E` in an error's chain of causes.
pub(crate) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    for _ in 0..CAUSES_MAX {
        if let Some(found) = cause?.downcast_ref() {
            return Some(found);
        }
        cause = cause?.source();
    }
    None
}

/// An error and its causes in one line, for logs and dead-letter headers.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(source) = cause else { break };
        line.push_str(": ");
        line.push_str(&source.to_string());
        cause = source.source();
    }
    line
}
