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
    /// The folder with routes cannot be made, read or watched.
    #[error("folder with routes {} cannot be used", path.display())]
    RoutesFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A value for route files is not written as it must be.
    #[error("container.routes_properties has {pair:?}: write it as NAME=VALUE")]
    RoutesProperty {
        /// What is there.
        pair: String,
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
    #[error("mail address {whose} is not valid")]
    Address {
        /// Whose it is; the address itself stays out of logs.
        whose: &'static str,
        /// What is wrong with it.
        source: lettre::address::AddressError,
    },
    /// A notification names no address, and its recipient has none of the kind.
    #[error("there is no address to send to")]
    NoAddress,
    /// A mail could not be put together.
    #[error("mail could not be put together")]
    Mail {
        /// What is wrong with it.
        source: lettre::error::Error,
    },
    /// The configured mail server cannot be used.
    #[error("container.smtp cannot be used: {reason}")]
    SmtpUnusable {
        /// What is wrong.
        reason: String,
    },
    /// The mail server refused, for now or for good; its words are left out, since they may hold an address.
    #[error("mail server answered {code}")]
    SmtpRefused {
        /// The reply code.
        code: u16,
    },
    /// The conversation with the mail server came to no end.
    #[error("mail server could not be talked to: {reason}")]
    SmtpBroken {
        /// What happened.
        reason: &'static str,
    },
    /// The configured gateway cannot be used.
    #[error("{section} cannot be used: {reason}")]
    GatewayUnusable {
        /// The section of the configuration.
        section: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// There is no gateway for such messages.
    #[error("{section}.url is not set: there is no gateway to send this through")]
    NoGateway {
        /// The section of the configuration.
        section: &'static str,
    },
    /// A gateway answered that it did not take a message.
    #[error("gateway {section} answered {status}")]
    GatewayRefused {
        /// The section of the configuration.
        section: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// A gateway could not be reached, or broke off.
    #[error("gateway {section} could not be talked to")]
    GatewayAway {
        /// The section of the configuration.
        section: &'static str,
        /// What happened.
        source: hyper_util::client::legacy::Error,
    },
    /// A gateway did not answer in time.
    #[error("gateway {section} did not answer in time")]
    GatewaySlow {
        /// The section of the configuration.
        section: &'static str,
    },
    /// No event has told of somebody or something yet.
    #[error("{kind} {id} is not known yet")]
    NotYetKnown {
        /// What it is.
        kind: &'static str,
        /// Its number.
        id: i64,
    },
    /// An event lacks a number that a rule needs.
    #[error("event has no number in {field}")]
    NoNumber {
        /// The field.
        field: &'static str,
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
