//! Producer ids, handed out from blocks that are noted on disk first, so that none is ever handed out twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::log::disk::{Disk, replace_file};
use crate::sealed;
use crate::sync::lock;

const FILE: &str = "producer-ids";
/// Ids reserved by one write; what is left of a block is skipped at a restart.
const BLOCK: i64 = 1000;

/// The source of producer ids.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    inner: Mutex<Block>,
}

#[derive(Debug)]
struct Block {
    next: i64,
    reserved_to: i64,
}

impl ProducerIds {
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let next = match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|reason| Error::Metadata { path: path.clone(), reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::storage("reading", &path)(error)),
        };
        Ok(Self { disk, path, inner: Mutex::new(Block { next, reserved_to: next }) })
    }

    /// The next id; blocking once per block.
    pub(crate) fn next(&self) -> io::Result<i64> {
        let mut block = lock(&self.inner);
        if block.next == block.reserved_to {
            let reserved_to = block.next + BLOCK;
            replace_file(&*self.disk, &self.path, &sealed::seal(reserved_to.to_string()))?;
            block.reserved_to = reserved_to;
        }
        block.next += 1;
        Ok(block.next - 1)
    }
}

fn parse(bytes: &[u8]) -> Result<i64, String> {
    let text = std::str::from_utf8(sealed::open(bytes)?).unwrap_or_default();
    text.trim().parse().map_err(|_| "not a number".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::disk::SystemDisk;

    #[test]
    fn ids_are_unique_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let ids = ProducerIds::open(Arc::new(SystemDisk), dir.path()).unwrap();
            for _ in 0..1500 {
                assert!(seen.insert(ids.next().unwrap()));
            }
        }
    }
}
