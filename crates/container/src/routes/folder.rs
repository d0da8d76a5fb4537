//! The folder with route files: what is in it, and when to look again.
//!
//! A file is taken when whoever writes it has closed it, or has put it there whole by renaming: a half-written file is
//! not looked at, and what was read of one that somebody opens meanwhile does not count.

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
const SETTLED: Duration = Duration::from_millis(200);
/// How a file is called while the container itself writes it.
const OWN_SUFFIX: &str = ".part";
/// How long a file must have been empty to be taken as such: the kernel tells that a file is emptied a moment after it
/// has done so, and whoever empties it mostly goes on writing.
pub(super) const EMPTY_FOR: Duration = Duration::from_secs(1);

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
    /// Files that were emptied a moment ago.
    emptied: Vec<String>,
}

/// Tells who is writing while the files are read.
pub(crate) trait Writers {
    /// The files are read from now on.
    fn begin(&mut self) {}

    /// Whether somebody is writing this file.
    fn is_open(&self, name: &str) -> bool;

    /// The files have been read.
    fn end(&mut self) {}

    /// Whether somebody has opened, written, moved or deleted this file in between: what was read may be a part of it.
    fn is_touched(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Whether what was emptied a moment ago may be about to be written.
    fn doubts_emptied(&mut self) -> bool {
        false
    }
}

/// Only this file is complete: whoever put it there says so.
pub(crate) struct Only<'n>(pub(crate) &'n str);

impl Writers for Only<'_> {
    fn is_open(&self, name: &str) -> bool {
        name != self.0
    }
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

    /// Looks at all files but those that are being written.
    pub(crate) async fn look(&self, writers: &mut (impl Writers + Send)) -> io::Result<Found> {
        writers.begin();
        let mut found = Found::default();
        let mut names = self.blocking(Self::names).await?;
        let beyond = names.split_off(names.len().min(FILES_MAX));
        let reason = format!("there are more than {FILES_MAX} files: the first by name are taken");
        found.unreadable.extend(beyond.into_iter().map(|name| (name, reason.clone())));
        (found.unfinished, names) = names.into_iter().partition(|name| writers.is_open(name));
        let read = names.clone();
        let mut found = self
            .blocking(move |folder| {
                folder.read_all(read, &mut found);
                Ok(found)
            })
            .await?;
        writers.end();
        let emptied = std::mem::take(&mut found.emptied);
        let is_doubted = !emptied.is_empty() && writers.doubts_emptied();
        let is_open = |name: &String| writers.is_touched(name) || is_doubted && emptied.contains(name);
        for name in names.into_iter().filter(is_open) {
            found.files.remove(&name);
            found.unreadable.remove(&name);
            found.unfinished.push(name);
        }
        Ok(found)
    }

    /// Does what waits for a disk on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let folder = self.clone();
        tokio::task::spawn_blocking(move || work(&folder)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn read_all(&self, names: Vec<String>, found: &mut Found) {
        for name in names {
            let path = self.0.join(&name);
            match read(&path) {
                Ok(Some(text)) => {
                    if text.is_empty() && is_younger(&path, EMPTY_FOR) {
                        found.emptied.push(name.clone());
                    }
                    found.files.insert(name, text);
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => drop(found.unreadable.insert(name, error.to_string())),
            }
        }
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

    /// How long to wait before the first look, where some file was changed a moment ago and may not be complete.
    pub(crate) async fn settles_in(&self) -> Option<Duration> {
        let settles_in = self.blocking(|folder| {
            let changed = std::fs::read_dir(&folder.0)?.flatten().filter_map(|entry| {
                let facts = entry.metadata().ok()?;
                let settled = if facts.len() == 0 { EMPTY_FOR } else { SETTLED };
                let is_fresh = facts.modified().ok()?.elapsed().map_or(true, |age| age < settled);
                is_fresh.then_some(settled)
            });
            Ok(changed.max())
        });
        settles_in.await.unwrap_or_default()
    }

    /// Puts a file there whole.
    pub(crate) async fn write(&self, name: &str, text: &str) -> io::Result<()> {
        if !is_route_file(name) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a route file is called NAME.yaml"));
        }
        let (name, text) = (name.to_owned(), text.to_owned());
        self.blocking(move |Self(folder)| {
            let part = folder.join(format!(".{name}{OWN_SUFFIX}"));
            std::fs::write(&part, text)?;
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, folder.join(name))
        })
        .await
    }

    /// Takes a file away.
    pub(crate) async fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        match self.blocking(move |_| std::fs::remove_file(path)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

/// Whether a file of this name is one with routes.
pub(crate) fn is_route_file(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\\']) && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// Whether a file was changed less than so long ago.
fn is_younger(path: &Path, age: Duration) -> bool {
    let changed = std::fs::metadata(path).and_then(|facts| facts.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|elapsed| elapsed < age))
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

    #[tokio::test]
    async fn a_fresh_file_is_waited_for_before_the_first_look_and_an_empty_one_longer() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::open(temporary.path().to_owned()).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let put = |name: &str, text: &str, changed| {
            std::fs::write(folder.path().join(name), text).unwrap();
            std::fs::File::options().write(true).open(folder.path().join(name)).unwrap().set_modified(changed).unwrap();
        };
        put("old.yaml", "", long_ago);
        assert_eq!(folder.settles_in().await, None);
        // By no clock is that long ago.
        let ahead = long_ago + Duration::from_hours(24 * 365 * 200);
        put("fresh.yaml", "[]", ahead);
        assert_eq!(folder.settles_in().await, Some(SETTLED));
        put("emptied.yaml", "", ahead);
        assert_eq!(folder.settles_in().await, Some(EMPTY_FOR));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_that_has_just_been_emptied_is_looked_at_again() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("emptied.yaml");
        std::fs::write(&path, "").unwrap();
        let folder = Folder::open(temporary.path().to_owned()).unwrap();
        // What happened before it watches is not told to it.
        let mut watch = Watch::new(&folder).unwrap();
        let found = folder.look(&mut watch).await.unwrap();
        assert_eq!((found.files.len(), found.unfinished), (0, vec!["emptied.yaml".to_owned()]));
        // Nothing is told of it any more, and the look that comes without is half a minute away.
        tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap().unwrap();
        let found = folder.look(&mut watch).await.unwrap();
        assert_eq!((found.files["emptied.yaml"].as_str(), found.unfinished.len()), ("", 0));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_folder_that_is_removed_while_it_is_looked_at_is_told_of() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::open(temporary.path().join("routes")).unwrap();
        let mut watch = Watch::new(&folder).unwrap();
        std::fs::remove_dir(folder.path()).unwrap();
        // As a look does, which takes in what was told until then.
        watch.begin();
        let told = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.unwrap();
        assert_eq!(told.unwrap_err().to_string(), "the folder is not watched any more");
    }

    #[tokio::test]
    async fn files_beyond_the_most_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..FILES_MAX + 2 {
            std::fs::write(folder.path().join(format!("{n:05}.yaml")), "[]").unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let folder = Folder::open(folder.path().to_owned()).unwrap();
        let found = folder.look(&mut Watch::new(&folder).unwrap()).await.unwrap();
        assert_eq!(found.files.len(), FILES_MAX);
        let left: Vec<_> = found.unreadable.keys().map(String::as_str).collect();
        assert_eq!(left, ["01000.yaml", "01001.yaml"]);
    }
}
