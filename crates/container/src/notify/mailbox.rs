//! Mails as .eml files in a folder, named by the event's id, for an installation without a mail server.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::Undelivered;
use crate::error::Error;

/// A folder of mails.
#[derive(Debug)]
pub(super) struct Mailbox(Arc<Path>);

impl Mailbox {
    /// The mailbox in `folder`, which is made if it is not there.
    pub(super) fn open(folder: PathBuf) -> Result<Self, Error> {
        std::fs::create_dir_all(&folder).map_err(|source| Error::Mailbox { path: folder.clone(), source })?;
        Ok(Self(folder.into()))
    }

    /// Makes a mail's file appear, once.
    pub(super) async fn put(&self, id: Uuid, mail: Vec<u8>) -> Result<(), Undelivered> {
        let folder = self.0.clone();
        let written = tokio::task::spawn_blocking(move || write_once(&folder, &format!("{id}.eml"), &mail)).await;
        let written = written.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        // A disk that is full may be so for long: the mail is a dead letter then, which says so and can be sent back.
        written.map_err(|source| Undelivered::PutOff(Error::Mailbox { path: self.0.to_path_buf(), source }, None))
    }
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
}
