//! A disk whose syncs wait until they are let through, so that tests see what a broker does before one is over.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use broker::{Disk, SystemDisk};

use super::eventually;

/// The disk. While it is shut every sync waits.
#[derive(Debug, Default)]
pub(crate) struct Gated {
    gate: Mutex<Gate>,
    opened: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Gate {
    shut: bool,
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
        (gate.shut, gate.syncs, gate.writes) = (true, 0, 0);
        Shut(Arc::clone(self))
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

    fn sync(&self, _: &File) -> io::Result<()> {
        let mut gate = self.gate.lock().unwrap();
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
