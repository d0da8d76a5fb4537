//! Files: every change behind a trait that tests can make fail, a bounded cache of open files, atomic replacement.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Everything that changes the data directory, so that tests can make each of it fail, or lose what was not synced.
///
/// Reading does not go through it.
pub trait Disk: Debug + Send + Sync {
    /// Makes an empty file, or empties the one that is there; opened for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Writes all of `bytes` at `position`.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written then.
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Cuts the file off, or fills it up with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, file: &File, length: u64) -> io::Result<()>;

    /// Returns when the file's content is on stable storage.
    ///
    /// # Errors
    /// What the system says; what is on stable storage is unknown then.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Gives a file another name, in the place of what had that name.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory and those above it that are missing.
    ///
    /// # Errors
    /// What the system says.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    ///
    /// # Errors
    /// What the system says; some of it may be gone then.
    fn remove_dirs(&self, path: &Path) -> io::Result<()>;

    /// Returns when the names in a directory are on stable storage.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Which file of which partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileKey {
    pub(crate) partition: u64,
    pub(crate) base: i64,
    pub(crate) kind: FileKind,
}

/// The two files of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    Log,
    Index,
}

/// Open files, the least recently used closed first: a thousand idle partitions hold none.
#[derive(Debug)]
pub(crate) struct Files {
    capacity: usize,
    inner: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    tick: u64,
    files: HashMap<FileKey, (Arc<File>, u64)>,
    /// Files that are not to be found under their names, and so are never closed.
    kept: HashMap<FileKey, Arc<File>>,
}

impl Files {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::new(Open::default()) }
    }

    /// The file, opened for reading and writing if it is not open yet; it must exist.
    pub(crate) fn get(&self, key: FileKey, path: &Path) -> io::Result<Arc<File>> {
        let mut open = lock(&self.inner);
        if let Some(file) = open.kept.get(&key) {
            return Ok(Arc::clone(file));
        }
        open.tick += 1;
        let tick = open.tick;
        if let Some((file, used)) = open.files.get_mut(&key) {
            *used = tick;
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(path)?);
        open.files.insert(key, (Arc::clone(&file), tick));
        if open.files.len() > self.capacity {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                open.files.remove(&oldest);
            }
        }
        Ok(file)
    }

    /// Takes an open file for the one of this key from now on: what has its name, if anything has, is another.
    pub(crate) fn keep(&self, key: FileKey, file: File) {
        lock(&self.inner).kept.insert(key, Arc::new(file));
    }

    /// Closes one file once nobody uses it.
    pub(crate) fn forget(&self, key: FileKey) {
        lock(&self.inner).files.remove(&key);
    }

    /// Closes all files of a partition.
    pub(crate) fn forget_partition(&self, partition: u64) {
        let mut open = lock(&self.inner);
        open.files.retain(|key, _| key.partition != partition);
        open.kept.retain(|key, _| key.partition != partition);
    }

    /// Closes what was not used since the last call, so that an idle broker holds no files.
    pub(crate) fn close_idle(&self, since_tick: u64) -> u64 {
        let mut open = lock(&self.inner);
        open.files.retain(|_, (_, used)| *used > since_tick);
        open.tick
    }
}

/// Puts `bytes` in the place of `path`: afterwards, also after a crash, it has either the old content or the new.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_file_as(disk, path, bytes, |_| Ok(()))
}

/// As [`replace_file`], with something done to the new file before anything is in it.
pub(crate) fn replace_file_as(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_of(path);
    let file = disk.create(&temporary)?;
    prepare(&file)?;
    disk.write_at(&file, bytes, 0)?;
    disk.sync(&file)?;
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

/// Creates a directory and its parents down from `root`, each made durable.
pub(crate) fn create_dirs(disk: &dyn Disk, root: &Path, path: &Path) -> io::Result<()> {
    disk.create_dirs(path)?;
    let mut at = path;
    while at != root {
        disk.sync_dir(at)?;
        match at.parent() {
            Some(parent) => at = parent,
            None => break,
        }
    }
    disk.sync_dir(root)
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a directory with everything in it, if it is there.
pub(crate) fn remove_dirs_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_dirs(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    path.with_file_name(name)
}
