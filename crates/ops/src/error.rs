//! Everything that can go wrong in an operator's work, told so that it says what to do.

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of an operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No broker answers.
    #[error("no broker answers on {brokers}")]
    Unreachable {
        /// Where one was looked for.
        brokers: String,
        /// What the client said.
        source: eventkit::Error,
    },
    /// There is no such topic.
    #[error("there is no topic {topic}")]
    NoTopic {
        /// The topic that was named.
        topic: String,
    },
    /// There is no such partition.
    #[error("there is no partition {partition} in topic {topic}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition that was named.
        partition: i32,
    },
    /// There is no such group.
    #[error("there is no consumer group {group}")]
    NoGroup {
        /// The group that was named.
        group: String,
    },
    /// The group has members, and what was asked for needs it without.
    #[error("group {group} has members; stop them first")]
    GroupInUse {
        /// The group.
        group: String,
    },
    /// The group has committed nothing for what was named.
    #[error("group {group} has no offsets to move; name a topic that it reads")]
    NothingToMove {
        /// The group.
        group: String,
    },
    /// A dead letter lacks what is needed to send it back.
    #[error("dead letter {place} cannot be sent back: it has no header {header}")]
    IncompleteLetter {
        /// `topic/partition/offset` of the letter.
        place: String,
        /// The header.
        header: &'static str,
    },
    /// The value of a dead letter's event was too large for a letter.
    #[error("dead letter {place} cannot be sent back: its value was too large for a letter; replay its event instead")]
    ValueLeftOut {
        /// `topic/partition/offset` of the letter.
        place: String,
    },
    /// Sending dead letters back broke off.
    #[error("after {redriven} dead letters it broke off; the same command goes on with the rest")]
    RedriveBrokeOff {
        /// Letters that were sent back and remembered.
        redriven: usize,
        /// What stopped it.
        source: eventkit::Error,
    },
    /// Giving dead letters up broke off.
    #[error("after {purged} dead letters it broke off; the same command goes on with the rest")]
    PurgeBrokeOff {
        /// Letters that were given up.
        purged: usize,
        /// What stopped it.
        source: eventkit::Error,
    },
    /// A part does not answer.
    #[error("nothing answers on {address}; is {part} running?")]
    PartAway {
        /// The part.
        part: &'static str,
        /// Where it was looked for.
        address: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// A part took the connection, and did not answer in time.
    #[error("{part} on {address} did not answer within {seconds} s")]
    PartSilent {
        /// The part.
        part: &'static str,
        /// Where it was asked.
        address: String,
        /// How long it was waited for.
        seconds: u64,
        /// What the client said.
        source: reqwest::Error,
    },
    /// A part was asked, and its answer did not come whole.
    #[error("the connection to {part} on {address} broke")]
    PartBrokeOff {
        /// The part.
        part: &'static str,
        /// Where it was asked.
        address: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// A part answered that it does not do this.
    #[error("{part}: {reason}")]
    PartRefused {
        /// The part.
        part: &'static str,
        /// What it said.
        reason: String,
    },
    /// No part and no topic knows an event.
    #[error("no part and no topic knows an event {event_id}; `techleet events list` finds those that there are")]
    NoEvent {
        /// The event's id.
        event_id: String,
    },
    /// A replay broke off.
    #[error("after {events} events, at position {position}, it broke off; --from {} goes on", position + 1)]
    ReplayBrokeOff {
        /// Events that were told again.
        events: u64,
        /// The last of them.
        position: i64,
        /// What stopped it.
        source: Box<Error>,
    },
    /// No part has the store of a service.
    #[error("no part has the event store of {service}")]
    NoStore {
        /// The service.
        service: String,
    },
    /// A rebuild broke off.
    #[error("the rebuild of {projection} of {part} broke off; the running projection is whole, run it again")]
    RebuildBrokeOff {
        /// The part.
        part: &'static str,
        /// The projection.
        projection: String,
        /// What stopped it.
        source: Box<Error>,
    },
    /// The cluster or its client failed.
    #[error(transparent)]
    Kafka(#[from] eventkit::Error),
    /// The program is ending.
    #[error("stopped")]
    Stopped,
}
