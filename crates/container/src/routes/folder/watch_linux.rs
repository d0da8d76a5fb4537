//! The kernel tells who writes into the folder: nothing is asked while nothing changes.

use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::sync::mpsc;

use super::Folder;

/// How long changes that come together are gathered.
const GATHERED: Duration = Duration::from_millis(10);
/// How often the folder is looked at although nothing was told, for file systems that tell nothing.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 16 * 1024;
/// Events that are read and not looked at yet, a buffer each.
const QUEUED_MAX: usize = 64;

type Events = Vec<(ReadFlags, String)>;

/// Tells when to look. A thread of its own waits for the kernel.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: Folder,
    kernel: Arc<OwnedFd>,
    watched: i32,
    told: mpsc::Receiver<io::Result<Events>>,
    /// Files that somebody has begun to write and has not closed.
    open: HashSet<String>,
}

impl Watch {
    pub(crate) fn new(folder: &Folder) -> io::Result<Self> {
        let kernel = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let wanted = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        let watched = inotify::add_watch(&*kernel, folder.path(), wanted)?;
        let (tell, told) = mpsc::channel(QUEUED_MAX);
        let waiting = Arc::clone(&kernel);
        std::thread::Builder::new().name("routes-folder".to_owned()).spawn(move || tell_events(&waiting, &tell))?;
        Ok(Self { folder: folder.clone(), kernel, watched, told, open: HashSet::new() })
    }

    /// Whether somebody is writing this file.
    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.open.contains(name)
    }

    /// Waits until there may be something new. May be dropped while it waits.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            let Ok(told) = tokio::time::timeout(LOOK_EVERY, self.told.recv()).await else { return Ok(()) };
            let ended = || io::Error::other("the folder is not watched any more");
            if self.note(told.ok_or_else(ended)??) {
                break;
            }
        }
        tokio::time::sleep(GATHERED).await;
        // What has come meanwhile belongs to it; and a file may have been opened anew.
        while let Ok(events) = self.told.try_recv() {
            self.note(events?);
        }
        Ok(())
    }

    /// Notes who is writing; true if some file may be complete now, or is gone.
    fn note(&mut self, events: Events) -> bool {
        let mut is_news = false;
        for (event, name) in events {
            if event.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.open.clear();
                is_news = true;
            } else if event
                .intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO | ReadFlags::MOVED_FROM | ReadFlags::DELETE)
            {
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

impl Drop for Watch {
    fn drop(&mut self) {
        // Wakes the thread, which finds that nobody listens; if it cannot be woken, it ends with the process.
        if let Err(error) = inotify::remove_watch(&*self.kernel, self.watched) {
            tracing::debug!(%error, "folder was not watched any more");
        }
    }
}

/// Hands on what the kernel tells, until nobody listens or the folder is not watched any more.
fn tell_events(kernel: &OwnedFd, tell: &mpsc::Sender<io::Result<Events>>) {
    loop {
        let events = events(kernel);
        let is_over =
            events.as_ref().map_or(true, |events| events.iter().any(|(event, _)| event.contains(ReadFlags::IGNORED)));
        if tell.blocking_send(events).is_err() || is_over {
            return;
        }
    }
}

/// What the kernel tells next; waits for it.
fn events(kernel: &OwnedFd) -> io::Result<Events> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(kernel, &mut buffer);
    let mut events = Events::new();
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                events.push((event.events(), name));
            }
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if reader.is_buffer_empty() {
            return Ok(events);
        }
    }
}
