//! A disk whose syncs wait until they are let through, so that tests see what a broker does before one is over; of one
//! file a sync can be made to fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use broker::{Disk, SystemDisk};

use super::eventually;

/// EIO.
const IO_ERROR: i32 = 5;

/// The disk. While it is shut every sync waits, or every one of one file.
#[derive(Debug, Default)]
pub(crate) struct Gated {
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Gate {
    shut: bool,
    /// Inode of the only file that it is shut for, if not for all.
    only: Option<u64>,
    /// Inode of the file whose next sync fails.
    failing: Option<u64>,
    waiting: usize,
    syncs: usize,
    writes: usize,
}

/// Opens the gate at the latest when it is dropped: a sync that waits for ever would keep a failed test from ending.
#[derive(Debug)]
pub(crate) struct Shut(Arc<Gated>);

impl Gated {
    /// Lets no sync through from now on.
    pub(crate) fn shut(self: &Arc<Self>) -> Shut {
        let mut gate = self.gate.lock().unwrap();
        *gate = Gate { shut: true, waiting: gate.waiting, ..Gate::default() };
        Shut(Arc::clone(self))
    }

    /// Lets no sync of this file through from now on.
    pub(crate) fn shut_for(self: &Arc<Self>, file: &Path) -> Shut {
        let shut = self.shut();
        self.gate.lock().unwrap().only = Some(inode(file));
        shut
    }

    /// Has the next sync of this file fail, and those after it say that all is well: as a system does that has told of an
    /// error once.
    pub(crate) fn fail_once(&self, file: &Path) {
        self.gate.lock().unwrap().failing = Some(inode(file));
    }

    fn now(&self) -> Gate {
        *self.gate.lock().unwrap()
    }
}

impl Shut {
    /// Returns when so many syncs wait.
    pub(crate) async fn waiting(&self, syncs: usize) {
        eventually("syncs wait", || async { (self.0.now().waiting == syncs).then_some(()) }).await;
    }

    /// Returns when there were so many writes since it was shut.
    pub(crate) async fn written(&self, writes: usize) {
        eventually("it is written", || async { (self.0.now().writes >= writes).then_some(()) }).await;
    }

    /// Syncs that were begun since it was shut.
    pub(crate) fn syncs(&self) -> usize {
        self.0.now().syncs
    }

    /// Lets all through, those that wait and those that come.
    pub(crate) fn open(&self) {
        self.0.gate.lock().unwrap().shut = false;
        self.0.opened.notify_all();
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.open();
    }
}

fn inode(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().ino()
}

impl Disk for Gated {
    fn create(&self, path: &Path) -> io::Result<File> {
        SystemDisk.create(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        self.gate.lock().unwrap().writes += 1;
        SystemDisk.write_at(file, bytes, position)
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        SystemDisk.set_len(file, length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let file = file.metadata()?.ino();
        let mut gate = self.gate.lock().unwrap();
        if gate.failing == Some(file) {
            gate.failing = None;
            return Err(io::Error::from_raw_os_error(IO_ERROR));
        }
        if gate.only.is_some_and(|only| only != file) {
            return Ok(());
        }
        gate.syncs += 1;
        gate.waiting += 1;
        let mut gate = self.opened.wait_while(gate, |gate| gate.shut).unwrap();
        gate.waiting -= 1;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dirs(path)
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_dirs(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
