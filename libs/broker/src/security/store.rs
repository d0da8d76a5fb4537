//! What is kept about security, in one file that is replaced whole: users with their salted passwords, access rules.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::log::disk::{Disk, replace_file_as};
use crate::sealed;
use crate::security::policy::Acls;
use crate::security::scram::{Credential, Mechanism};
use crate::sync::{read, write};

const FILE: &str = "security.json";
/// Only the owner of the broker reads it.
const MODE: u32 = 0o600;

/// The content of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Saved {
    /// What users prove themselves against, by name.
    pub(crate) users: BTreeMap<String, BTreeMap<Mechanism, Credential>>,
    /// Access rules.
    pub(crate) acls: Acls,
}

/// The file and what is in it.
#[derive(Debug)]
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    saved: RwLock<Arc<Saved>>,
    /// Held by the one who changes it.
    changing: tokio::sync::Mutex<()>,
}

impl Store {
    /// Reads the file, if there is one; blocking.
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let saved = match fs::read(&path) {
            Ok(bytes) => sealed::read(&bytes).map_err(|reason| Error::Metadata { path: path.clone(), reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Saved::default(),
            Err(error) => return Err(Error::storage("reading", &path)(error)),
        };
        let saved = RwLock::new(Arc::new(saved));
        Ok(Self { disk, path, saved, changing: tokio::sync::Mutex::new(()) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What holds now.
    pub(crate) fn read(&self) -> Arc<Saved> {
        Arc::clone(&read(&self.saved))
    }

    /// Changes it; what has changed holds once it is on stable storage.
    pub(crate) async fn change<T>(&self, change: impl FnOnce(&mut Saved) -> T) -> io::Result<T> {
        let _changing = self.changing.lock().await;
        let mut next = Saved::clone(&self.read());
        let result = change(&mut next);
        let bytes = sealed::seal(serde_json::to_vec_pretty(&next).map_err(io::Error::other)?);
        let (disk, path) = (Arc::clone(&self.disk), self.path.clone());
        let stored = spawn_blocking(move || {
            let private = |file: &fs::File| file.set_permissions(Permissions::from_mode(MODE));
            replace_file_as(&*disk, &path, &bytes, private)
        });
        stored.await.map_err(io::Error::other)??;
        *write(&self.saved) = Arc::new(next);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::disk::SystemDisk;

    #[tokio::test]
    async fn users_are_found_again_and_no_password_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(SystemDisk), dir.path()).unwrap();
        let credential = Credential::of_password(Mechanism::Sha256, "correct horse");
        let user = BTreeMap::from([(Mechanism::Sha256, credential)]);
        store.change(|saved| saved.users.insert("an".to_owned(), user)).await.unwrap();
        let text = fs::read_to_string(store.path()).unwrap();
        assert!(!text.contains("correct horse"), "{text}");
        assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, MODE);
        let again = Store::open(Arc::new(SystemDisk), dir.path()).unwrap();
        assert!(again.read().users["an"][&Mechanism::Sha256].proves(Mechanism::Sha256, "correct horse"));
    }

    #[test]
    fn a_damaged_file_is_refused_and_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"users\"").unwrap();
        assert!(matches!(Store::open(Arc::new(SystemDisk), dir.path()), Err(Error::Metadata { .. })));
    }
}
