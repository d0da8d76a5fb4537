//! The e-mail processor: a notification becomes an .eml file in the mailbox folder, named by the event's id.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use contracts::notification::NotificationEmail;
use eventkit::{Effect, HandlerError, HandlerResult, Received};
use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use uuid::Uuid;

use crate::error::Error;
use crate::templates::Templates;

/// The right-hand side of our message ids.
const MESSAGE_ID_DOMAIN: &str = "techleet.local";

/// Writes mails.
#[derive(Debug)]
pub(crate) struct Mailer {
    folder: Arc<Path>,
    from: Mailbox,
    templates: Templates,
}

impl Mailer {
    /// A mailer into `folder`, which is made if it is not there.
    pub(crate) fn new(folder: PathBuf, from: &str, templates: Templates) -> Result<Self, Error> {
        std::fs::create_dir_all(&folder).map_err(|source| Error::Mailbox { path: folder.clone(), source })?;
        let from = from.parse().map_err(|source| Error::Address { address: from.to_owned(), source })?;
        Ok(Self { folder: folder.into(), from, templates })
    }

    fn message(&self, received: &Received<NotificationEmail>, id: Uuid) -> Result<Vec<u8>, Error> {
        let email = &received.event;
        let to = email.to.as_deref().ok_or(Error::NoAddress)?;
        let to: Mailbox =
            to.parse().map_err(|source| Error::Address { address: "of the recipient".to_owned(), source })?;
        let text = self.templates.render(&email.template, &email.variables)?;
        let message = Message::builder()
            .message_id(Some(format!("<{id}@{MESSAGE_ID_DOMAIN}>")))
            .date(sent_at(received))
            .from(self.from.clone())
            .to(to)
            .subject(email.subject.as_str())
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|source| Error::Message { source })?;
        Ok(message.formatted())
    }
}

impl Effect<NotificationEmail> for Mailer {
    async fn perform(&self, received: &Received<NotificationEmail>) -> HandlerResult {
        let id = mail_id(&received.identity);
        let message = self.message(received, id).map_err(HandlerError::permanent)?;
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || write_once(&folder, &format!("{id}.eml"), &message)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(HandlerError::transient(Error::Mailbox { path: self.folder.to_path_buf(), source })),
            Err(stopped) => Err(HandlerError::transient(stopped)),
        }
    }
}

/// The event's own id where it is a UUID, else one that follows from its identity.
fn mail_id(identity: &str) -> Uuid {
    Uuid::parse_str(identity).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, identity.as_bytes()))
}

/// The event's time, so that a repeated mail is the same to the byte.
fn sent_at(received: &Received<NotificationEmail>) -> SystemTime {
    let ms = received.envelope.timestamp.map_or(0, |time| time.as_millisecond());
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Makes a whole, durable file appear under its name at once; does nothing if it is there.
fn write_once(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if path.try_exists()? {
        return Ok(());
    }
    let unfinished = folder.join(format!(".{name}.tmp"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, &path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        write_once(folder.path(), "a.eml", b"first").unwrap();
        write_once(folder.path(), "a.eml", b"second").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.eml")).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_unfinished_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".a.eml.tmp"), b"half of a much longer mail").unwrap();
        write_once(folder.path(), "a.eml", b"whole").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.eml")).unwrap(), b"whole");
    }

    #[test]
    fn a_foreign_identity_cannot_leave_the_folder() {
        let id = mail_id("../../etc/passwd");
        assert_eq!(id, mail_id("../../etc/passwd"));
        assert!(!id.to_string().contains('/'));
    }
}
