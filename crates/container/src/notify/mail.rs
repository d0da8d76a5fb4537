//! E-mail: a message becomes a mail, which goes to a server or, without one, into the mailbox folder.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::Message as Mail;
use lettre::message::Mailbox as Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};

use super::mailbox::Mailbox;
use super::smtp::{Smtp, SmtpConfig};
use super::{Carry, Message, TRACEPARENT, Undelivered};
use crate::error::Error;

/// The right-hand side of our message ids.
const MESSAGE_ID_DOMAIN: &str = "techleet.local";

/// Sends mails.
#[derive(Debug)]
pub(crate) struct Mailer {
    from: Address,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Server(Box<Smtp>),
    Folder(Mailbox),
}

impl Mailer {
    /// A mailer from the address `from`: to the server that `smtp` names, or into `folder` if it names none.
    pub(crate) fn new(from: &str, smtp: &SmtpConfig, put_off: Duration, folder: PathBuf) -> Result<Self, Error> {
        let from = from.parse().map_err(|source| Error::Address { whose: "of mail_from", source })?;
        let way = match smtp.host.is_empty() {
            true => Way::Folder(Mailbox::open(folder)?),
            false => Way::Server(Box::new(Smtp::new(smtp, put_off)?)),
        };
        Ok(Self { from, way })
    }

    fn mail(&self, message: &Message) -> Result<Mail, Error> {
        let to = message.to.as_deref().ok_or(Error::NoAddress)?;
        let to: Address = to.parse().map_err(|source| Error::Address { whose: "of the recipient", source })?;
        let mut mail = Mail::builder();
        if let Some(trace) = &message.traceparent {
            mail = mail.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(TRACEPARENT), trace.clone()));
        }
        mail.message_id(Some(format!("<{}@{MESSAGE_ID_DOMAIN}>", message.id)))
            .date(system_time(message.time))
            .from(self.from.clone())
            .to(to)
            .subject(message.subject.as_str())
            .header(ContentType::TEXT_PLAIN)
            .body(message.text.clone())
            .map_err(|source| Error::Mail { source })
    }
}

impl Carry for Mailer {
    async fn carry(&self, message: &Message) -> Result<(), Undelivered> {
        let mail = self.mail(message).map_err(Undelivered::Refused)?;
        match &self.way {
            Way::Server(smtp) => smtp.send(&mail).await,
            Way::Folder(mailbox) => mailbox.put(message.id, mail.formatted()).await,
        }
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    let ms = u64::try_from(time.as_millisecond()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}
