//! What the container can fail at, and how that is answered over HTTP.

use std::io;
use std::path::PathBuf;

use axum::response::{IntoResponse, Response};
use chassis::Problem;

/// A failed operation of the container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder with templates could not be read.
    #[error("templates in {} could not be read", path.display())]
    TemplatesUnreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A template's file is larger than any text for a person.
    #[error("template {} is larger than {bytes_max} bytes", path.display())]
    TemplateTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A template is unknown, wrong, or asks for a variable that the event lacks.
    #[error("template {name} could not be used")]
    Template {
        /// The template's name.
        name: String,
        /// What the engine said.
        source: minijinja::Error,
    },
    /// The mailbox folder could not be written.
    #[error("mailbox {} could not be written", path.display())]
    Mailbox {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A mail address is none.
    #[error("mail address {address} is not valid")]
    Address {
        /// The address, or whose it is.
        address: String,
        /// What is wrong with it.
        source: lettre::address::AddressError,
    },
    /// A notification names no address to send to.
    #[error("notification has no address to send to")]
    NoAddress,
    /// A mail could not be put together.
    #[error("mail could not be put together")]
    Message {
        /// What is wrong with it.
        source: lettre::error::Error,
    },
    /// A stored audit record could not be read.
    #[error("audit record {sequence} could not be read: {reason}")]
    AuditRecordUnreadable {
        /// Its place in the chain.
        sequence: i64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Reading or storing failed.
    #[error("backbone failed")]
    Backbone(#[from] eventkit::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Backbone(error.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Backbone(error) => error.into(),
            other => Problem::internal(other),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
