//! Disks that lose what was not synced, and disks that fail when they are told to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::{Disk, SystemDisk};

/// EIO.
const IO_ERROR: i32 = 5;

/// A change of the data directory; files are numbers, since names come and go. `Forget` is a sync that failed: the system
/// takes for written what it could not write.
#[derive(Debug, Clone)]
enum Change {
    Create { path: PathBuf, file: usize },
    Write { file: usize, bytes: Vec<u8>, position: u64 },
    SetLen { file: usize, length: u64 },
    Sync { file: usize },
    Forget { file: usize },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    CreateDirs { path: PathBuf },
    RemoveDirs { path: PathBuf },
    SyncDir { path: PathBuf },
}

/// A disk that writes down every change, so that the directory can be made as a power loss at any of them leaves it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    inner: Mutex<Written>,
    /// Syncs up to the one that fails, 0 if none does.
    forgets_at: AtomicUsize,
}

#[derive(Debug, Default)]
struct Written {
    changes: Vec<Change>,
    /// The number of the file that has this inode now.
    files: HashMap<u64, usize>,
    next: usize,
}

/// What a power loss leaves of changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything is there: the process died, the machine did not.
    Nothing,
    /// Names and bytes that were not synced are gone.
    Unsynced,
    /// Names are there, bytes that were not synced are gone.
    UnsyncedBytes,
    /// Of bytes that were not synced the first half is there.
    Torn,
    /// Of bytes that were not synced the first so many of each file are there.
    TornAt(usize),
    /// Of writes that were not synced only the last is there, behind a hole of zeros.
    Reordered,
    /// Of changes of names that were not synced, in each directory, the first half is there.
    FirstNames,
    /// The same of the other half: a directory's changes need not come to the disk in their order.
    LastNames,
}

impl Journal {
    /// One whose sync of this number, the first being 1, fails and loses what was to be synced; all are well after it.
    pub(crate) fn forgetting_at(sync: usize) -> Self {
        Self { forgets_at: AtomicUsize::new(sync), ..Self::default() }
    }

    /// How many changes there were.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().unwrap().changes.len()
    }

    /// How many files were synced.
    pub(crate) fn syncs(&self) -> usize {
        let written = self.inner.lock().unwrap();
        written.changes.iter().filter(|change| matches!(change, Change::Sync { .. })).count()
    }

    /// Every sync of a file: how many changes came before it, and how many bytes of the file it brought to the disk.
    pub(crate) fn synced_bytes(&self) -> Vec<(usize, usize)> {
        let mut state = Replayed::default();
        let mut synced = Vec::new();
        for (at, change) in self.inner.lock().unwrap().changes.iter().enumerate() {
            if let Change::Sync { file } = change {
                synced.push((at, state.contents.get(file).map_or(0, Content::unsynced_bytes)));
            }
            state.apply(change);
        }
        synced
    }

    /// Makes `to` what `from` is after the first `count` changes and a power loss.
    pub(crate) fn replay(&self, count: usize, loss: Loss, from: &Path, to: &Path) {
        let mut state = Replayed::default();
        state.dirs.insert(from.to_owned());
        state.synced_dirs.insert(from.to_owned());
        for change in &self.inner.lock().unwrap().changes[..count] {
            state.apply(change);
        }
        state.write(loss, from, to);
    }

    fn change<T>(&self, act: impl FnOnce() -> io::Result<T>, note: impl FnOnce(&mut Written, &T)) -> io::Result<T> {
        let mut written = self.inner.lock().unwrap();
        let done = act()?;
        note(&mut written, &done);
        Ok(done)
    }
}

impl Written {
    fn file(&self, file: &File) -> usize {
        self.files[&file.metadata().unwrap().ino()]
    }
}

impl Disk for Journal {
    fn create(&self, path: &Path) -> io::Result<File> {
        let existed = path.exists();
        self.change(
            || SystemDisk.create(path),
            |written, file| {
                if !existed {
                    written.next += 1;
                    written.files.insert(file.metadata().unwrap().ino(), written.next);
                }
                let file = written.file(file);
                written.changes.push(Change::Create { path: path.to_owned(), file });
            },
        )
    }

    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        self.change(
            || SystemDisk.write_at(file, bytes, position),
            |written, ()| {
                let file = written.file(file);
                written.changes.push(Change::Write { file, bytes: bytes.to_vec(), position });
            },
        )
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        self.change(
            || SystemDisk.set_len(file, length),
            |written, ()| {
                let file = written.file(file);
                written.changes.push(Change::SetLen { file, length });
            },
        )
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let left = self.forgets_at.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let forgets = left == Ok(1);
        self.change(
            || Ok(()),
            |written, ()| {
                let file = written.file(file);
                written.changes.push(if forgets { Change::Forget { file } } else { Change::Sync { file } });
            },
        )?;
        if forgets { Err(io::Error::from_raw_os_error(IO_ERROR)) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = Change::Rename { from: from.to_owned(), to: to.to_owned() };
        self.change(|| SystemDisk.rename(from, to), |written, ()| written.changes.push(change))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let change = Change::Remove { path: path.to_owned() };
        self.change(|| SystemDisk.remove(path), |written, ()| written.changes.push(change))
    }

    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let change = Change::CreateDirs { path: path.to_owned() };
        self.change(|| SystemDisk.create_dirs(path), |written, ()| written.changes.push(change))
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        let change = Change::RemoveDirs { path: path.to_owned() };
        self.change(|| SystemDisk.remove_dirs(path), |written, ()| written.changes.push(change))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let change = Change::SyncDir { path: path.to_owned() };
        self.change(|| Ok(()), |written, ()| written.changes.push(change))
    }
}

/// A directory in the making.
#[derive(Debug, Default)]
struct Replayed {
    contents: HashMap<usize, Content>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since their directory was synced.
    unsynced_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    synced_dirs: BTreeSet<PathBuf>,
}

/// A name that comes, goes, or takes the place of another; always within one directory.
#[derive(Debug, Clone)]
struct NameChange {
    gone: Option<PathBuf>,
    there: Option<(PathBuf, usize)>,
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        self.gone.as_deref().or(self.there.as_ref().map(|(path, _)| path.as_path())).and_then(Path::parent)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        names.extend(self.there.clone());
    }
}

/// A file's bytes, as they are and as they were last synced.
#[derive(Debug, Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Position and bytes of what was written since.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// The shortest it was since.
    cut_to: Option<usize>,
}

impl Content {
    fn put(to: &mut Vec<u8>, position: usize, bytes: &[u8]) {
        if to.len() < position + bytes.len() {
            to.resize(position + bytes.len(), 0);
        }
        to[position..position + bytes.len()].copy_from_slice(bytes);
    }

    fn cut(&mut self, length: usize) {
        if length < self.now.len() {
            self.cut_to = Some(self.cut_to.map_or(length, |cut| cut.min(length)));
        }
        self.now.resize(length, 0);
    }

    /// Writes what was not written yet: what was forgotten is not among it.
    fn sync(&mut self) {
        self.synced.truncate(self.cut_to.take().unwrap_or(usize::MAX));
        for (position, bytes) in self.unsynced.drain(..) {
            Self::put(&mut self.synced, position, &bytes);
        }
        self.synced.resize(self.now.len(), 0);
    }

    fn unsynced_bytes(&self) -> usize {
        self.unsynced.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Writes the first `bytes` of what was not synced.
    fn write_first(&self, bytes: usize, to: &mut Vec<u8>) {
        let mut left = bytes;
        for (position, bytes) in &self.unsynced {
            let taken = left.min(bytes.len());
            if taken == 0 {
                break;
            }
            Self::put(to, *position, &bytes[..taken]);
            left -= taken;
        }
    }

    fn after(&self, loss: Loss) -> Vec<u8> {
        let mut left = self.synced.clone();
        match loss {
            Loss::Nothing => return self.now.clone(),
            Loss::Unsynced | Loss::UnsyncedBytes | Loss::FirstNames | Loss::LastNames => {}
            Loss::Torn => self.write_first(self.unsynced_bytes() / 2, &mut left),
            Loss::TornAt(bytes) => self.write_first(bytes, &mut left),
            Loss::Reordered => {
                if let Some((position, bytes)) = self.unsynced.last() {
                    Self::put(&mut left, *position, bytes);
                }
            }
        }
        left
    }
}

impl Replayed {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create { path, file } => {
                if self.names.get(path) != Some(file) {
                    self.rename(None, Some((path.clone(), *file)));
                }
                self.contents.entry(*file).or_default().cut(0);
            }
            Change::Write { file, bytes, position } => {
                let content = self.contents.entry(*file).or_default();
                let position = usize::try_from(*position).unwrap();
                Content::put(&mut content.now, position, bytes);
                content.unsynced.push((position, bytes.clone()));
            }
            Change::SetLen { file, length } => {
                self.contents.entry(*file).or_default().cut(usize::try_from(*length).unwrap());
            }
            Change::Sync { file } => self.contents.entry(*file).or_default().sync(),
            Change::Forget { file } => self.contents.entry(*file).or_default().unsynced.clear(),
            Change::Rename { from, to } => {
                let file = self.names[from];
                self.rename(Some(from.clone()), Some((to.clone(), file)));
            }
            Change::Remove { path } => self.rename(Some(path.clone()), None),
            Change::CreateDirs { path } => self.dirs.extend(path.ancestors().map(Path::to_owned)),
            Change::RemoveDirs { path } => {
                let gone: Vec<_> = self.names.keys().filter(|name| name.starts_with(path)).cloned().collect();
                gone.into_iter().for_each(|name| self.rename(Some(name), None));
                self.dirs.retain(|dir| !dir.starts_with(path));
            }
            Change::SyncDir { path } => {
                let is_in = |name: &Path| name.parent() == Some(path);
                self.unsynced_names.retain(|change| change.dir() != Some(path));
                self.synced_names.retain(|name, _| !is_in(name));
                self.synced_names
                    .extend(self.names.iter().filter(|(name, _)| is_in(name)).map(|(n, f)| (n.clone(), *f)));
                self.synced_dirs.retain(|dir| !is_in(dir));
                self.synced_dirs.extend(self.dirs.iter().filter(|dir| is_in(dir)).cloned());
            }
        }
    }

    fn rename(&mut self, gone: Option<PathBuf>, there: Option<(PathBuf, usize)>) {
        let change = NameChange { gone, there };
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    /// The names that are left if of each directory's changes only the first half is there, or only the other.
    fn half_of_the_names(&self, is_first: bool) -> BTreeMap<PathBuf, usize> {
        let mut by_dir: BTreeMap<&Path, Vec<&NameChange>> = BTreeMap::new();
        for change in &self.unsynced_names {
            by_dir.entry(change.dir().unwrap()).or_default().push(change);
        }
        let mut names = self.synced_names.clone();
        for changes in by_dir.values() {
            let (first, last) = changes.split_at(changes.len() / 2);
            let kept = if is_first { first } else { last };
            kept.iter().for_each(|change| change.apply(&mut names));
        }
        names
    }

    fn write(&self, loss: Loss, from: &Path, to: &Path) {
        let all_dirs = || self.dirs.union(&self.synced_dirs).cloned().collect();
        let (names, dirs) = match loss {
            Loss::Unsynced => (self.synced_names.clone(), self.synced_dirs.clone()),
            Loss::FirstNames => (self.half_of_the_names(true), all_dirs()),
            Loss::LastNames => (self.half_of_the_names(false), all_dirs()),
            _ => (self.names.clone(), self.dirs.clone()),
        };
        // A name in a directory whose own name is lost is lost with it.
        let is_reached = |path: &Path| {
            path.ancestors().skip(1).take_while(|above| above.starts_with(from)).all(|above| dirs.contains(above))
        };
        fs::create_dir_all(to).unwrap();
        for dir in dirs.iter().filter(|dir| dir.starts_with(from) && is_reached(dir)) {
            fs::create_dir_all(to.join(dir.strip_prefix(from).unwrap())).unwrap();
        }
        for (name, file) in names.iter().filter(|(name, _)| is_reached(name)) {
            fs::write(to.join(name.strip_prefix(from).unwrap()), self.contents[file].after(loss)).unwrap();
        }
    }
}

/// A disk that does not wait for anything, for brokers whose data nobody needs.
#[derive(Debug, Default)]
pub(crate) struct Lazy;

/// A disk on which one change fails, or from one on all.
#[derive(Debug)]
pub(crate) struct Failing {
    /// Changes left until it fails.
    left: AtomicUsize,
    pub(crate) for_good: bool,
    errno: i32,
}

impl Failing {
    /// Fails the change after so many with this error of the system.
    pub(crate) fn after(changes: usize, for_good: bool, errno: i32) -> Self {
        Self { left: AtomicUsize::new(changes), for_good, errno }
    }

    /// Has the next change fail.
    pub(crate) fn fail_now(&self) {
        self.fail_after(0);
    }

    /// Has the change after so many fail.
    pub(crate) fn fail_after(&self, changes: usize) {
        self.left.store(changes, Ordering::SeqCst);
    }

    /// How many changes it would have taken before failing.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    fn check(&self) -> io::Result<()> {
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            0 if self.for_good => None,
            0 => Some(usize::MAX),
            left => Some(left - 1),
        });
        match before {
            Ok(0) | Err(_) => Err(io::Error::from_raw_os_error(self.errno)),
            Ok(_) => Ok(()),
        }
    }
}

macro_rules! pass_on {
    ($disk:ty, $before:expr) => {
        impl Disk for $disk {
            fn create(&self, path: &Path) -> io::Result<File> {
                $before(self)?;
                SystemDisk.create(path)
            }

            fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
                if let Err(error) = $before(self) {
                    // Some of it is written: nobody may rely on none of it being there.
                    SystemDisk.write_at(file, &bytes[..bytes.len() / 2], position)?;
                    return Err(error);
                }
                SystemDisk.write_at(file, bytes, position)
            }

            fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
                $before(self)?;
                SystemDisk.set_len(file, length)
            }

            fn sync(&self, _file: &File) -> io::Result<()> {
                $before(self)
            }

            fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
                $before(self)?;
                SystemDisk.rename(from, to)
            }

            fn remove(&self, path: &Path) -> io::Result<()> {
                $before(self)?;
                SystemDisk.remove(path)
            }

            fn create_dirs(&self, path: &Path) -> io::Result<()> {
                $before(self)?;
                SystemDisk.create_dirs(path)
            }

            fn remove_dirs(&self, path: &Path) -> io::Result<()> {
                $before(self)?;
                SystemDisk.remove_dirs(path)
            }

            fn sync_dir(&self, _path: &Path) -> io::Result<()> {
                $before(self)
            }
        }
    };
}

pass_on!(Lazy, |_: &Lazy| io::Result::Ok(()));
pass_on!(Failing, Failing::check);
