//! The kernel tells who writes into the folder: nothing is asked while nothing changes.

use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::{EMPTY_FOR, Folder, Writers};

/// How long changes that come together are gathered.
const GATHERED: Duration = Duration::from_millis(10);
/// How often the folder is looked at although nothing was told, for file systems that tell nothing.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 16 * 1024;
/// About how many events are read in one go.
const EVENTS_MAX: usize = 16 * 1024;

/// What the kernel tells, in order.
#[derive(Debug, Default)]
struct Events {
    told: Vec<(ReadFlags, String)>,
    /// Whether more is there that was not read.
    has_more: bool,
}

/// Tells when to look.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: Folder,
    kernel: AsyncFd<OwnedFd>,
    /// Files that somebody has begun to write and has not closed.
    open: HashSet<String>,
    /// Files about which something was told since they were begun to be read; nothing if it may be any.
    touched: Option<HashSet<String>>,
    /// Whether some file may be complete now, or is gone, and nobody has been told.
    is_news: bool,
    /// Whether some file was not taken because it had just been emptied.
    has_doubts: bool,
    /// Whether the kernel has said that it tells no more: the folder was removed.
    is_over: bool,
}

impl Watch {
    /// Watches from now on. Must be called in a runtime.
    pub(crate) fn new(folder: &Folder) -> io::Result<Self> {
        let kernel = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let wanted = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&kernel, folder.path(), wanted)?;
        #[expect(deprecated, reason = "an `OwnedFd` is what its unsafe successor asks its caller for")]
        let kernel = AsyncFd::with_interest(kernel, Interest::READABLE)?;
        Ok(Self {
            folder: folder.clone(),
            kernel,
            open: HashSet::new(),
            touched: Some(HashSet::new()),
            is_news: false,
            has_doubts: false,
            is_over: false,
        })
    }

    /// Waits until there may be something new. May be dropped while it waits.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        let until = Instant::now() + if self.has_doubts { EMPTY_FOR } else { LOOK_EVERY };
        while !self.is_news {
            let Ok(ready) = timeout_at(until, self.kernel.readable()).await else { return Ok(()) };
            let mut ready = ready?;
            let events = events(ready.get_inner())?;
            if !events.has_more {
                ready.clear_ready();
            }
            self.note(events);
        }
        if self.is_over {
            return Err(io::Error::other("the folder is not watched any more"));
        }
        // What comes meanwhile belongs to it.
        tokio::time::sleep(GATHERED).await;
        Ok(())
    }

    /// Notes who is writing.
    fn note(&mut self, events: Events) {
        for (event, name) in events.told {
            if event.contains(ReadFlags::IGNORED) {
                self.is_over = true;
                self.is_news = true;
            } else if event.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.open.clear();
                self.touched = None;
                self.is_news = true;
            } else if event
                .intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO | ReadFlags::MOVED_FROM | ReadFlags::DELETE)
            {
                self.open.remove(&name);
                self.is_news = true;
            } else if event.contains(ReadFlags::CREATE) && is_complete(&self.folder.path().join(&name)) {
                self.is_news = true;
            } else {
                self.open.insert(name.clone());
            }
            if let Some(touched) = &mut self.touched {
                touched.insert(name);
            }
        }
    }

    /// Notes what the kernel has told until now; whether there is more. What cannot be read is told by whoever waits.
    fn catch_up(&mut self) -> Option<bool> {
        let events = events(self.kernel.get_ref()).ok()?;
        let has_more = events.has_more;
        self.note(events);
        self.is_news |= has_more;
        Some(has_more)
    }
}

impl Writers for Watch {
    fn begin(&mut self) {
        let has_more = self.catch_up();
        // What is new until here is looked at now.
        self.is_news = self.is_over || has_more == Some(true);
        self.has_doubts = false;
        self.touched = (has_more == Some(false)).then(HashSet::new);
    }

    fn is_open(&self, name: &str) -> bool {
        self.open.contains(name)
    }

    fn end(&mut self) {
        if self.catch_up() != Some(false) {
            self.touched = None;
        }
    }

    fn is_touched(&self, name: &str) -> bool {
        self.touched.as_ref().is_none_or(|touched| touched.contains(name))
    }

    fn doubts_emptied(&mut self) -> bool {
        self.has_doubts = true;
        true
    }
}

/// Whether a new name is that of something which was there before: a link.
fn is_complete(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|facts| !facts.is_file() || facts.nlink() > 1)
}

/// What the kernel has told and nobody has read.
fn events(kernel: &OwnedFd) -> io::Result<Events> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(kernel, &mut buffer);
    let mut events = Events::default();
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                events.told.push((event.events(), name));
            }
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => return Ok(events),
            Err(error) => return Err(error.into()),
        }
        if events.told.len() >= EVENTS_MAX && reader.is_buffer_empty() {
            events.has_more = true;
            return Ok(events);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn watched() -> (tempfile::TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["left.yaml", "opened.yaml", "written.yaml", "moved.yaml", "gone.yaml"] {
            std::fs::write(folder.path().join(name), "whole").unwrap();
        }
        let watch = Watch::new(&Folder::open(folder.path().to_owned()).unwrap()).unwrap();
        (folder, watch)
    }

    #[tokio::test]
    async fn a_file_that_is_touched_while_it_is_read_is_not_taken() {
        let (folder, mut watch) = watched();
        let path = |name: &str| folder.path().join(name);
        watch.begin();
        assert!(["left.yaml", "opened.yaml"].iter().all(|name| !watch.is_open(name) && !watch.is_touched(name)));
        // Emptied by whoever goes on writing.
        let mut opened = std::fs::File::create(path("opened.yaml")).unwrap();
        std::fs::write(path("written.yaml"), "anew").unwrap();
        std::fs::rename(path("moved.yaml"), path("elsewhere.yaml")).unwrap();
        std::fs::remove_file(path("gone.yaml")).unwrap();
        watch.end();
        for name in ["opened.yaml", "written.yaml", "moved.yaml", "elsewhere.yaml", "gone.yaml"] {
            assert!(watch.is_touched(name), "{name}");
        }
        assert!(!watch.is_touched("left.yaml"));
        // What is complete is news at once, and what is not stays open for the next look.
        watch.changed().await.unwrap();
        watch.begin();
        assert!(watch.is_open("opened.yaml") && !watch.is_open("written.yaml"));
        opened.write_all(b"anew").unwrap();
        drop(opened);
        watch.changed().await.unwrap();
        watch.begin();
        assert!(!watch.is_open("opened.yaml") && !watch.is_touched("opened.yaml"));
    }
}
