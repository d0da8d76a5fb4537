//! Files: positioned writes and syncs behind a trait that tests can make fail, a bounded cache of open files, atomic replacement.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// How segment files are written and made durable.
pub trait Disk: Debug + Send + Sync {
    /// Writes all of `bytes` at `position`.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written then.
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Returns when the file's content is on stable storage.
    ///
    /// # Errors
    /// What the system says; what is on stable storage is unknown then.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
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
}

impl Files {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::new(Open::default()) }
    }

    /// The file, opened for reading and writing if it is not open yet; it must exist.
    pub(crate) fn get(&self, key: FileKey, path: &Path) -> io::Result<Arc<File>> {
        let mut open = lock(&self.inner);
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

    /// Closes one file once nobody uses it.
    pub(crate) fn forget(&self, key: FileKey) {
        lock(&self.inner).files.remove(&key);
    }

    /// Closes all files of a partition.
    pub(crate) fn forget_partition(&self, partition: u64) {
        lock(&self.inner).files.retain(|key, _| key.partition != partition);
    }

    /// Closes what was not used since the last call, so that an idle broker holds no files.
    pub(crate) fn close_idle(&self, since_tick: u64) -> u64 {
        let mut open = lock(&self.inner);
        open.files.retain(|_, (_, used)| *used > since_tick);
        open.tick
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts `bytes` in the place of `path`: afterwards, also after a crash, it has either the old content or the new.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_of(path);
    let file = File::create(&temporary)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Creates a directory and its parents down from `root`, each made durable.
pub(crate) fn create_dirs(root: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let mut at = path;
    while at != root {
        sync_dir(at)?;
        match at.parent() {
            Some(parent) => at = parent,
            None => break,
        }
    }
    sync_dir(root)
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    path.with_file_name(name)
}
