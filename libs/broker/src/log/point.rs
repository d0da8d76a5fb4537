//! Recovery points: a partition's state at an offset, so that a restart scans from there and not from the beginning.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use crate::log::disk::{Disk, replace_file};
use crate::log::producers::Producers;
use crate::log::transactions::{self, Aborted};

const MAGIC: u32 = 0x544c_5032;
/// Points kept, so that one torn in writing leaves an older one.
const POINTS_KEPT: usize = 2;
/// Ending of a point's file name.
const SUFFIX: &str = ".point";

/// Everything below `offset` is on stable storage and accounted for here.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) offset: i64,
    /// Base offset of the segment being written.
    pub(crate) segment: i64,
    /// Where `offset` stands in that segment's file.
    pub(crate) position: u64,
    pub(crate) index_entries: u64,
    pub(crate) max_timestamp: i64,
    pub(crate) max_timestamp_offset: i64,
    pub(crate) producers: Producers,
    /// Aborted transactions whose markers are in the segment, below `offset`.
    pub(crate) aborted: Vec<Aborted>,
}

impl Point {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u32(MAGIC);
        bytes.put_i64(self.offset);
        bytes.put_i64(self.segment);
        bytes.put_u64(self.position);
        bytes.put_u64(self.index_entries);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(self.max_timestamp_offset);
        self.producers.encode(&mut bytes);
        bytes.extend(transactions::encode(&self.aborted));
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc32c::crc32c(body).to_be_bytes() != crc {
            return None;
        }
        let mut from = body;
        if from.try_get_u32().ok()? != MAGIC {
            return None;
        }
        Some(Self {
            offset: from.try_get_i64().ok()?,
            segment: from.try_get_i64().ok()?,
            position: from.try_get_u64().ok()?,
            index_entries: from.try_get_u64().ok()?,
            max_timestamp: from.try_get_i64().ok()?,
            max_timestamp_offset: from.try_get_i64().ok()?,
            producers: Producers::decode(&mut from)?,
            aborted: transactions::decode(from).ok()?,
        })
    }

    /// Writes the point durably and removes all but the newest.
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        replace_file(disk, &dir.join(format!("{:020}{SUFFIX}", self.offset)), &self.encode())?;
        for old in list(dir)?.into_iter().rev().skip(POINTS_KEPT) {
            disk.remove(&old)?;
        }
        Ok(())
    }

    /// The newest whole point that `usable` accepts.
    pub(crate) fn load(dir: &Path, usable: impl Fn(&Self) -> bool) -> io::Result<Option<Self>> {
        for path in list(dir)?.into_iter().rev() {
            match Self::decode(&fs::read(&path)?) {
                Some(point) if usable(&point) => return Ok(Some(point)),
                _ => tracing::warn!(path = %path.display(), "recovery point not usable, taking an older one"),
            }
        }
        Ok(None)
    }
}

/// Removes the points of segments below `base`.
pub(crate) fn remove_below(disk: &dyn Disk, dir: &Path, base: i64) -> io::Result<()> {
    for path in list(dir)? {
        let offset = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<i64>().ok());
        if offset.is_none_or(|offset| offset < base) {
            disk.remove(&path)?;
        }
    }
    disk.sync_dir(dir)
}

/// Point files, oldest first.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "point") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::disk::SystemDisk;

    fn point(offset: i64) -> Point {
        Point {
            offset,
            segment: 0,
            position: 7,
            index_entries: 1,
            max_timestamp: 3,
            max_timestamp_offset: 2,
            producers: Producers::default(),
            aborted: Vec::new(),
        }
    }

    #[test]
    fn the_newest_whole_point_wins_and_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for offset in [5, 90, 100] {
            point(offset).save(&SystemDisk, dir.path()).unwrap();
        }
        assert_eq!(list(dir.path()).unwrap().len(), 2);
        assert_eq!(Point::load(dir.path(), |_| true).unwrap().unwrap().offset, 100);
        let newest = list(dir.path()).unwrap().pop().unwrap();
        let mut bytes = fs::read(&newest).unwrap();
        bytes[9] ^= 1;
        fs::write(&newest, bytes).unwrap();
        assert_eq!(Point::load(dir.path(), |_| true).unwrap().unwrap().offset, 90);
        assert!(Point::load(dir.path(), |point| point.offset < 50).unwrap().is_none());
    }
}
