//! Tells people: takes notification events, asks what their recipients want and where they are, makes the text, and
//! hands it to a carrier.

mod gateway;
mod log;
mod mail;
mod mailbox;
mod preferences;
mod smtp;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms};
use eventkit::{Effect, Event, HandlerError, HandlerResult, Received, RecipientType};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::directory::{Directory, Lookup, Person};
use crate::error::Error;
use crate::metrics;
use crate::templates::Templates;
pub(crate) use gateway::{Gateway, GatewayConfig};
use log::Entry;
pub(crate) use log::{Log, Logged, Outcome, recipient_name};
pub(crate) use mail::Mailer;
pub(crate) use preferences::{Preferences, Stored, Wishes};
pub(crate) use smtp::SmtpConfig;

/// A way to tell somebody something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// A mail.
    Email,
    /// A text message.
    Sms,
    /// A notice on somebody's devices.
    Push,
}

impl Channel {
    /// As preferences, metrics and the log name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Push => "push",
        }
    }

    /// Where somebody is reached this way; nothing where that takes no address.
    fn address(self, person: &Person) -> Result<Option<String>, Undelivered> {
        match self {
            Self::Email => Ok(Some(person.email.clone())),
            Self::Sms => match &person.phone_number {
                Some(number) => Ok(Some(number.clone())),
                None => Err(Undelivered::Refused(Error::NoAddress)),
            },
            Self::Push => Ok(None),
        }
    }
}

/// An event that asks for somebody to be told something.
pub(crate) trait Notification: Event {
    const CHANNEL: Channel;

    /// The address, where the event names one.
    fn to(&self) -> Option<&str>;
    /// The subject or the title.
    fn subject(&self) -> Option<&str>;
    /// The template's name.
    fn template(&self) -> &str;
    /// What the template is filled with.
    fn variables(&self) -> &Map<String, Value>;
}

impl Notification for NotificationEmail {
    const CHANNEL: Channel = Channel::Email;

    fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.subject)
    }

    fn template(&self) -> &str {
        &self.template
    }

    fn variables(&self) -> &Map<String, Value> {
        &self.variables
    }
}

impl Notification for NotificationSms {
    const CHANNEL: Channel = Channel::Sms;

    fn to(&self) -> Option<&str> {
        self.to.as_deref()
    }

    fn subject(&self) -> Option<&str> {
        None
    }

    fn template(&self) -> &str {
        &self.template
    }

    fn variables(&self) -> &Map<String, Value> {
        &self.variables
    }
}

impl Notification for NotificationPush {
    const CHANNEL: Channel = Channel::Push;

    fn to(&self) -> Option<&str> {
        None
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.title)
    }

    fn template(&self) -> &str {
        &self.template
    }

    fn variables(&self) -> &Map<String, Value> {
        &self.variables
    }
}

/// A notification that is ready to go.
#[derive(Debug)]
pub(crate) struct Message {
    /// The same whenever the event is handled: the receiving side can tell a repetition by it.
    pub(crate) id: Uuid,
    /// The address; nothing for a channel that goes by the recipient's number.
    pub(crate) to: Option<String>,
    pub(crate) recipient: Option<(RecipientType, i64)>,
    pub(crate) template: String,
    /// The subject or the title; empty where there is none.
    pub(crate) subject: String,
    pub(crate) text: String,
    /// When the event happened, so that a repeated message is the same to the byte.
    pub(crate) time: Timestamp,
    /// The trace that the event belongs to.
    pub(crate) traceparent: Option<String>,
}

/// The header of requests and mails that carries the trace of their event.
const TRACEPARENT: &str = "traceparent";

/// Why a message was not handed over. No variant holds an address.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// Whoever would take it is away: no fault of this message, and tried until it works.
    Away(Error),
    /// Not now; after a while, if one is given.
    PutOff(Error, Option<Duration>),
    /// Never.
    Refused(Error),
    /// The recipient is not to be told.
    Unwanted(&'static str),
}

/// Takes messages out of the house, at least once each.
pub(crate) trait Carry: Send + Sync + 'static {
    /// Hands one over.
    fn carry(&self, message: &Message) -> impl Future<Output = Result<(), Undelivered>> + Send;
}

/// What every processor needs.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) directory: Directory,
    pub(crate) preferences: Preferences,
    pub(crate) templates: Templates,
    pub(crate) log: Log,
}

/// Handles the notifications of one channel.
#[derive(Debug)]
pub(crate) struct Processor<C> {
    desk: Arc<Desk>,
    carrier: C,
}

impl<C: Carry> Processor<C> {
    pub(crate) fn new(desk: Arc<Desk>, carrier: C) -> Self {
        Self { desk, carrier }
    }

    async fn deliver<N: Notification>(&self, received: &Received<N>, id: Uuid) -> Result<(), Undelivered> {
        let (event, recipient) = (&received.event, received.envelope.recipient());
        if let Some((kind, number)) = recipient {
            let wishes = self.desk.preferences.of(kind, number).await.map_err(stored)?;
            if !wishes.wants(N::CHANNEL, event.template()) {
                return Err(Undelivered::Unwanted("the recipient does not want it"));
            }
        }
        let to = match event.to() {
            Some(to) => Some(to.to_owned()),
            None => self.look_up(N::CHANNEL, recipient).await?,
        };
        let rendered = self.desk.templates.render(event.template(), event.variables());
        let rendered = rendered.map_err(Undelivered::Refused)?;
        let subject = rendered.subject.as_deref().or(event.subject()).unwrap_or_default();
        let message = Message {
            id,
            to,
            recipient,
            template: event.template().to_owned(),
            subject: one_line(subject),
            text: rendered.text,
            time: received.envelope.timestamp.unwrap_or_default(),
            traceparent: received.traceparent().map(str::to_owned),
        };
        self.carrier.carry(&message).await
    }

    async fn look_up(
        &self,
        channel: Channel,
        recipient: Option<(RecipientType, i64)>,
    ) -> Result<Option<String>, Undelivered> {
        let Some((kind, id)) = recipient else { return Err(Undelivered::Refused(Error::NoAddress)) };
        match self.desk.directory.person(kind, id).await.map_err(stored)? {
            Lookup::Known(person) => channel.address(&person),
            Lookup::Gone => Err(Undelivered::Unwanted("the recipient has left")),
            Lookup::Unknown => {
                let kind = match kind {
                    RecipientType::Employee => "employee",
                    RecipientType::Candidate => "candidate",
                };
                Err(Undelivered::PutOff(Error::NotYetKnown { kind, id }, None))
            }
        }
    }
}

impl<N: Notification, C: Carry> Effect<N> for Processor<C> {
    async fn perform(&self, received: &Received<N>) -> HandlerResult {
        let id = message_id(&received.identity);
        let delivered = self.deliver(received, id).await;
        let (outcome, reason) = told(&delivered);
        let (channel, outcome_name) = (N::CHANNEL.as_str(), outcome.as_str());
        ::metrics::counter!(metrics::NOTIFICATIONS_TOTAL, "channel" => channel, "outcome" => outcome_name).increment(1);
        let entry = Entry {
            event_id: &received.identity,
            channel: N::CHANNEL,
            template: received.event.template(),
            recipient: received.envelope.recipient(),
            outcome,
            reason: reason.as_deref(),
        };
        let logged = self.desk.log.write(&entry).await;
        match delivered {
            Ok(()) => {
                // What is out is out: failing now would only send it again.
                if let Err(error) = logged {
                    tracing::warn!(error = eventkit::chain(&error), "a sent notification could not be logged");
                }
                Ok(())
            }
            Err(Undelivered::Unwanted(_)) => Ok(logged?),
            Err(undelivered) => {
                logged?;
                Err(handler_error(undelivered))
            }
        }
    }
}

fn told(delivered: &Result<(), Undelivered>) -> (Outcome, Option<String>) {
    match delivered {
        Ok(()) => (Outcome::Sent, None),
        Err(Undelivered::Unwanted(reason)) => (Outcome::Skipped, Some((*reason).to_owned())),
        Err(Undelivered::Refused(error)) => (Outcome::Failed, Some(eventkit::chain(error))),
        Err(Undelivered::Away(error) | Undelivered::PutOff(error, _)) => {
            (Outcome::Delayed, Some(eventkit::chain(error)))
        }
    }
}

fn handler_error(undelivered: Undelivered) -> HandlerError {
    match undelivered {
        // The consumer does not count attempts that fail for a transport that is away.
        Undelivered::Away(error) => HandlerError::transient(eventkit::Error::Transport {
            operation: "hand a notification over".to_owned(),
            transient: true,
            source: error.into(),
        }),
        Undelivered::PutOff(error, delay) => HandlerError::Transient { delay, source: error.into() },
        Undelivered::Refused(error) => HandlerError::permanent(error),
        Undelivered::Unwanted(reason) => HandlerError::permanent(reason),
    }
}

fn stored(error: db::Error) -> Undelivered {
    Undelivered::Away(error.into())
}

/// The event's own id where it is a UUID, else one that follows from its identity.
fn message_id(identity: &str) -> Uuid {
    Uuid::parse_str(identity).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, identity.as_bytes()))
}

/// A text without line breaks and other control characters, so that it stays within its header.
fn one_line(text: &str) -> String {
    text.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_identity_cannot_leave_a_folder() {
        let id = message_id("../../etc/passwd");
        assert_eq!(id, message_id("../../etc/passwd"));
        assert!(!id.to_string().contains('/'));
    }

    #[test]
    fn a_subject_stays_on_its_line() {
        assert_eq!(one_line("Hello\r\nBcc: all@example.com\n"), "Hello Bcc: all@example.com");
    }
}
