//! The kernel tells who writes into the folder: nothing is asked while nothing changes.

use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::Folder;

/// How long changes that come together are gathered.
const GATHERED: Duration = Duration::from_millis(10);
/// How often the folder is looked at although nothing was told, for file systems that tell nothing.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 16 * 1024;

/// Tells when to look.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: Folder,
    told: AsyncFd<OwnedFd>,
    /// Files that somebody has begun to write and has not closed.
    open: HashSet<String>,
}

impl Watch {
    pub(crate) fn new(folder: &Folder) -> io::Result<Self> {
        let told = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let wanted = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&told, folder.path(), wanted)?;
        Ok(Self { folder: folder.clone(), told: AsyncFd::register(told)?, open: HashSet::new() })
    }

    /// Whether somebody is writing this file.
    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.open.contains(name)
    }

    /// Waits until there may be something new. May be dropped while it waits.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            let Ok(readable) = tokio::time::timeout(LOOK_EVERY, self.told.readable()).await else { return Ok(()) };
            let mut readable = readable?;
            match readable.try_io(|told| events(told.get_ref())) {
                Ok(events) => {
                    let is_news = self.note(events?);
                    if is_news {
                        break;
                    }
                }
                Err(_would_block) => {}
            }
        }
        tokio::time::sleep(GATHERED).await;
        // What has come meanwhile belongs to it; and a file may have been opened anew.
        if let Ok(events) = events(self.told.get_ref()) {
            self.note(events);
        }
        Ok(())
    }

    /// Notes who is writing; true if some file may be complete now, or is gone.
    fn note(&mut self, events: Vec<(ReadFlags, String)>) -> bool {
        let mut is_news = false;
        for (event, name) in events {
            if event.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.open.clear();
                is_news = true;
            } else if event.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO | ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
                self.open.remove(&name);
                is_news = true;
            } else if event.contains(ReadFlags::CREATE) && is_complete(&self.folder.path().join(&name)) {
                is_news = true;
            } else {
                self.open.insert(name);
            }
        }
        is_news
    }
}

/// Whether a new name is that of something which was there before: a link.
fn is_complete(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|facts| !facts.is_file() || facts.nlink() > 1)
}

/// What has been told since the last time.
fn events(told: &OwnedFd) -> io::Result<Vec<(ReadFlags, String)>> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(told, &mut buffer);
    let mut events = Vec::new();
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                events.push((event.events(), name));
                if reader.is_buffer_empty() {
                    return Ok(events);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) if !events.is_empty() => return Ok(events),
            Err(error) => return Err(error.into()),
        }
    }
}
