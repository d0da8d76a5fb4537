//! What can stop the story.

/// The story did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A service refused a request for good.
    #[error("{request} was answered {status}: {answer}")]
    Refused {
        /// Method and URL.
        request: String,
        /// The status.
        status: u16,
        /// What it said.
        answer: String,
    },
    /// A service was away, or not ready, for too long.
    #[error("{request} was not fulfilled within {seconds} s; the last try said: {last}")]
    GaveUp {
        /// Method and URL.
        request: String,
        /// How long it was tried.
        seconds: u64,
        /// Why the last try failed.
        last: String,
    },
    /// An answer lacks what it promises.
    #[error("{request} was answered without {field}")]
    Incomplete {
        /// Method and URL.
        request: String,
        /// What is missing.
        field: &'static str,
    },
    /// An invitation's link did not come.
    #[error("no invitation for employee {employee_id} came within {seconds} s")]
    NoInvitation {
        /// Who was to be invited.
        employee_id: i64,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A topic could not be read.
    #[error("topic {topic} could not be read")]
    Topic {
        /// The topic.
        topic: String,
        /// What the transport said.
        source: eventkit::Error,
    },
    /// The story broke off, and its administrator could not be removed.
    #[error(
        "its administrator, employee {employee_id}, is still there, with a password that nobody knows, and has to be \
         removed by hand ({why}); the story broke off"
    )]
    AdministratorLeft {
        /// The administrator.
        employee_id: i64,
        /// Why it could not be removed.
        why: String,
        /// Why the story broke off.
        source: Box<Error>,
    },
    /// Whoever had the story told had enough.
    #[error("stopped")]
    Stopped,
    /// A task of the story died.
    #[error("a task of the story ended early")]
    Task(#[from] tokio::task::JoinError),
}
