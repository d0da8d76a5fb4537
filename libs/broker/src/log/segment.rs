//! One segment of a partition: its files, and what is known of its content without reading them.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::log::batch::Header;
use crate::log::index::{Entry, Index, Summary};
use crate::log::transactions::Aborted;

/// A run of consecutive offsets in one file.
#[derive(Debug)]
pub(crate) struct Segment {
    /// First offset, which names the files.
    pub(crate) base: i64,
    /// Bytes of whole batches in the file.
    pub(crate) size: u64,
    pub(crate) max_timestamp: i64,
    pub(crate) max_timestamp_offset: i64,
    /// When its first batch came (or, after a restart, what that batch says), -1 while empty.
    pub(crate) first_append_ms: i64,
    pub(crate) index: SegmentIndex,
    /// Aborted transactions whose markers are in it, by marker.
    pub(crate) aborted: Vec<Aborted>,
}

/// Where a segment's index is.
#[derive(Debug)]
pub(crate) enum SegmentIndex {
    /// In memory: the segment is being written. `persisted` entries are on disk too.
    Active { index: Index, persisted: usize },
    /// In its file, with this many entries.
    Closed { entries: u32 },
}

impl Segment {
    pub(crate) fn empty(base: i64) -> Self {
        Self {
            base,
            size: 0,
            max_timestamp: -1,
            max_timestamp_offset: -1,
            first_append_ms: -1,
            index: SegmentIndex::Active { index: Index::default(), persisted: 0 },
            aborted: Vec::new(),
        }
    }

    pub(crate) fn closed(base: i64, summary: Summary, aborted: Vec<Aborted>) -> Self {
        Self {
            base,
            size: summary.log_bytes,
            max_timestamp: summary.max_timestamp,
            max_timestamp_offset: summary.max_timestamp_offset,
            first_append_ms: -1,
            index: SegmentIndex::Closed { entries: summary.entries },
            aborted,
        }
    }

    /// Accounts for a batch that stands at the end of the file.
    pub(crate) fn note(&mut self, header: &Header, now_ms: i64) {
        if let SegmentIndex::Active { index, .. } = &mut self.index {
            let entry = Entry { offset: header.base_offset, position: self.size, timestamp_before: self.max_timestamp };
            index.note(entry, header.total_bytes());
        }
        if self.first_append_ms < 0 {
            self.first_append_ms = now_ms;
        }
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.base_offset;
        }
        self.size += header.total_bytes();
    }

    /// Where to start looking for `offset`: a batch start at or before it.
    pub(crate) fn locate(
        &self,
        index_file: impl FnOnce() -> io::Result<std::sync::Arc<File>>,
        offset: i64,
    ) -> io::Result<(u64, i64)> {
        let entry = match &self.index {
            SegmentIndex::Active { index, .. } => index.by_offset(offset),
            SegmentIndex::Closed { entries: 0 } => None,
            SegmentIndex::Closed { entries } => {
                crate::log::index::search(&*index_file()?, self.base, *entries, |entry| entry.offset <= offset)?
            }
        };
        Ok(entry.map_or((0, self.base), |entry| (entry.position, entry.offset)))
    }

    /// What the trailer of the index file says once the segment is closed.
    pub(crate) fn summary(&self) -> Summary {
        let entries = match &self.index {
            SegmentIndex::Active { index, .. } => crate::num::u32_of(index.len() as u64),
            SegmentIndex::Closed { entries } => *entries,
        };
        Summary {
            entries,
            aborted: crate::num::u32_of(self.aborted.len() as u64),
            log_bytes: self.size,
            max_timestamp: self.max_timestamp,
            max_timestamp_offset: self.max_timestamp_offset,
        }
    }
}

/// Path of a segment's log file.
pub(crate) fn log_path(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

/// Path of a segment's index file.
pub(crate) fn index_path(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}.index"))
}

/// Makes both files of a new segment, empty, and their names durable.
pub(crate) fn create_files(dir: &Path, base: i64) -> io::Result<()> {
    for path in [log_path(dir, base), index_path(dir, base)] {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    }
    crate::log::disk::sync_dir(dir)
}

/// Base offsets of the segments in a directory, rising.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(bases),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        if let Some(base) = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|base| base.parse().ok())
        {
            bases.push(base);
        }
    }
    bases.sort_unstable();
    Ok(bases)
}
