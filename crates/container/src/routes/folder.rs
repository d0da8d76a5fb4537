//! The folder with route files: what is in it, and when to look again.
//!
//! A file is taken when whoever writes it has closed it, or has put it there whole by renaming: a half-written file is
//! not looked at.

#[cfg(target_os = "linux")]
mod watch_linux;
#[cfg(not(target_os = "linux"))]
mod watch_polling;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(crate) use watch_linux::Watch;
#[cfg(not(target_os = "linux"))]
pub(crate) use watch_polling::Watch;

/// Most files that are taken; those beyond are refused.
const FILES_MAX: usize = 1_000;
/// The largest file that is read; a larger one is refused by its size.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long a file must have been left alone that was there before anybody watched.
pub(super) const SETTLED: Duration = Duration::from_millis(200);
/// How a file is called while the container itself writes it.
const OWN_SUFFIX: &str = ".part";

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

/// What a look at the folder found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The complete files and what they say.
    pub(crate) files: BTreeMap<String, String>,
    /// Files that are being written: they count as unchanged.
    pub(crate) unfinished: Vec<String>,
    /// Files that cannot be read, and why.
    pub(crate) unreadable: BTreeMap<String, String>,
}

impl Folder {
    /// The folder, made if it is not there.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Looks at all files but those that `is_open` says are being written.
    pub(crate) fn look(&self, is_open: impl Fn(&str) -> bool) -> io::Result<Found> {
        let mut found = Found::default();
        for (index, name) in self.names()?.into_iter().enumerate() {
            if index >= FILES_MAX {
                found.unreadable.insert(name, format!("there are more than {FILES_MAX} files: the first by name are taken"));
                continue;
            }
            if is_open(&name) {
                found.unfinished.push(name);
                continue;
            }
            match read(&self.0.join(&name)) {
                Ok(Some(text)) => drop(found.files.insert(name, text)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => drop(found.unreadable.insert(name, error.to_string())),
            }
        }
        Ok(found)
    }

    /// The names of the files with routes, in order.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| is_route_file(name)));
        }
        names.sort();
        Ok(names)
    }

    /// Whether some file was changed a moment ago, so that it may not be complete.
    pub(crate) fn is_fresh(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return false };
        let changed = entries.flatten().filter_map(|entry| entry.metadata().ok()?.modified().ok());
        changed.into_iter().any(|changed| changed.elapsed().map_or(true, |age| age < SETTLED))
    }

    /// Puts a file there whole.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        if !is_route_file(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a route file is called NAME.yaml"));
        }
        let part = self.0.join(format!(".{name}{OWN_SUFFIX}"));
        std::fs::write(&part, text)?;
        std::fs::File::open(&part)?.sync_all()?;
        std::fs::rename(&part, self.0.join(name))
    }

    /// Takes a file away.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

/// Whether a file of this name is one with routes.
pub(crate) fn is_route_file(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\\']) && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// What a file says; nothing if it is none.
fn read(path: &Path) -> io::Result<Option<String>> {
    let facts = std::fs::metadata(path)?;
    if !facts.is_file() {
        return Ok(None);
    }
    if facts.len() > FILE_BYTES_MAX {
        let reason = format!("the file has {} bytes, {FILE_BYTES_MAX} are allowed", facts.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    String::from_utf8(std::fs::read(path)?)
        .map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beyond_the_most_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..FILES_MAX + 2 {
            std::fs::write(folder.path().join(format!("{n:05}.yaml")), "").unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let found = Folder::open(folder.path().to_owned()).unwrap().look(|_| false).unwrap();
        assert_eq!(found.files.len(), FILES_MAX);
        let left: Vec<_> = found.unreadable.keys().map(String::as_str).collect();
        assert_eq!(left, ["01000.yaml", "01001.yaml"]);
    }
}
