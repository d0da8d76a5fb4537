//! What can keep a broker from starting or from doing what its owner asks in process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A failure told to the owner of the broker; clients get Kafka's own error codes instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory is in use by another broker.
    #[error("data directory {path} is locked by another running broker")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the data directory could not be read or written.
    #[error("{operation} {path} failed")]
    Storage {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A metadata file is not what this broker wrote.
    #[error("metadata file {path} is unreadable: {reason}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The listener could not be opened.
    #[error("listening on {address} failed")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A configuration value that cannot work.
    #[error("configuration key {key} is invalid: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Why.
        reason: String,
    },
    /// There is no configuration key of that name.
    #[error("there is no configuration key {key}; there are {known}")]
    UnknownKey {
        /// The name.
        key: String,
        /// The names that there are.
        known: String,
    },
    /// A value given by name that does not fit its key.
    #[error("configuration key {key} is invalid: {reason}")]
    ConfigValue {
        /// The key, as it was named.
        key: String,
        /// Why.
        reason: String,
    },
    /// A topic that cannot be made as asked.
    #[error("topic {topic} cannot be made: {reason}")]
    Topic {
        /// Its name.
        topic: String,
        /// Why.
        reason: String,
    },
    /// A worker of the broker died.
    #[error("worker for {operation} was lost")]
    Worker {
        /// What it was doing.
        operation: &'static str,
    },
}

impl Error {
    /// A storage failure with its operation and path.
    pub(crate) fn storage(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { operation, path, source }
    }
}
