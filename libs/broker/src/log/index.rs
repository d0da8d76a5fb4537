//! Sparse index of a segment, by offset and by time: one entry per few kilobytes of log.
//!
//! On disk an entry is 16 bytes (offset minus base, position, largest timestamp before it); a closed segment's index
//! ends in its aborted transactions, if there are any, and a trailer that also tells what the segment holds, so that a
//! restart reads 40 bytes instead of the segment.
//! A reader never trusts an entry: it checks that the batch it points at has the entry's offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Buf, BufMut};

use crate::log::transactions::{self, Aborted};
use crate::num::{i64_of, u32_of, u64_of};

/// Log bytes between two entries.
const INTERVAL_BYTES: u64 = 4096;
/// Bytes of an entry on disk.
pub(crate) const ENTRY_BYTES: u64 = 16;
/// The same, as a length in memory.
const ENTRY_LENGTH: usize = 16;
const TRAILER_BYTES: usize = 40;
const TRAILER_MAGIC: u32 = 0x544c_4958;

/// A batch's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) position: u64,
    /// Largest timestamp in the segment before this batch, -1 if none.
    pub(crate) timestamp_before: i64,
}

impl Entry {
    fn encode(&self, base: i64, to: &mut Vec<u8>) {
        to.put_u32(u32_of(u64_of(self.offset - base)));
        to.put_u32(u32_of(self.position));
        to.put_i64(self.timestamp_before);
    }

    fn decode(base: i64, mut from: &[u8]) -> Self {
        let offset = base + i64::from(from.get_u32());
        Self { offset, position: u64::from(from.get_u32()), timestamp_before: from.get_i64() }
    }
}

/// The index of the segment being written, in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    bytes_since: u64,
}

impl Index {
    /// Notes a batch if enough bytes have gone by since the last entry.
    pub(crate) fn note(&mut self, entry: Entry, batch_bytes: u64) {
        if entry.position > 0 && self.bytes_since >= INTERVAL_BYTES {
            self.entries.push(entry);
            self.bytes_since = 0;
        }
        self.bytes_since += batch_bytes;
    }

    /// The last entry at or before `offset`.
    pub(crate) fn by_offset(&self, offset: i64) -> Option<Entry> {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).map(|at| self.entries[at])
    }

    /// The last entry before which every timestamp is smaller than `timestamp`.
    pub(crate) fn by_time(&self, timestamp: i64) -> Option<Entry> {
        let after = self.entries.partition_point(|entry| entry.timestamp_before < timestamp);
        after.checked_sub(1).map(|at| self.entries[at])
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries from `from` on, as they stand on disk.
    pub(crate) fn encode_from(&self, from: usize, base: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in self.entries.iter().skip(from) {
            entry.encode(base, &mut bytes);
        }
        bytes
    }

    /// Reads `count` entries, as many of them as rise and stay below `position_limit`.
    pub(crate) fn load(file: &File, base: i64, count: u64, position_limit: u64) -> io::Result<Self> {
        let mut bytes = vec![0; crate::num::usize_of(count * ENTRY_BYTES)];
        file.read_exact_at(&mut bytes, 0)?;
        let mut entries: Vec<Entry> = Vec::new();
        for chunk in bytes.chunks_exact(ENTRY_LENGTH) {
            let entry = Entry::decode(base, chunk);
            let rises = entries.last().is_none_or(|last| last.position < entry.position && last.offset < entry.offset);
            if !rises || entry.position >= position_limit {
                break;
            }
            entries.push(entry);
        }
        Ok(Self { entries, bytes_since: 0 })
    }
}

/// What a closed segment's index says of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) entries: u32,
    /// Aborted transactions between entries and trailer.
    pub(crate) aborted: u32,
    pub(crate) log_bytes: u64,
    pub(crate) max_timestamp: i64,
    pub(crate) max_timestamp_offset: i64,
}

impl Summary {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TRAILER_BYTES);
        bytes.put_u32(TRAILER_MAGIC);
        bytes.put_u32(self.entries);
        bytes.put_u64(self.log_bytes);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(self.max_timestamp_offset);
        bytes.put_u32(self.aborted);
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes
    }

    /// Reads the trailer of an index file; `None` if it is not whole.
    pub(crate) fn load(file: &File) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let Some(at) = length.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let mut bytes = [0; TRAILER_BYTES];
        file.read_exact_at(&mut bytes, at)?;
        let crc = crc32c::crc32c(&bytes[..TRAILER_BYTES - 4]);
        let mut from = bytes.as_slice();
        if from.get_u32() != TRAILER_MAGIC {
            return Ok(None);
        }
        let mut summary = Self {
            entries: from.get_u32(),
            aborted: 0,
            log_bytes: from.get_u64(),
            max_timestamp: from.get_i64(),
            max_timestamp_offset: from.get_i64(),
        };
        summary.aborted = from.get_u32();
        let whole = from.get_u32() == crc && summary.aborted_at() + summary.aborted_bytes() == at;
        Ok(whole.then_some(summary))
    }

    /// The aborted transactions; `None` if they are not whole.
    pub(crate) fn load_aborted(&self, file: &File) -> io::Result<Option<Vec<Aborted>>> {
        let mut bytes = vec![0; crate::num::usize_of(self.aborted_bytes())];
        file.read_exact_at(&mut bytes, self.aborted_at())?;
        Ok(transactions::decode(&bytes).ok())
    }

    fn aborted_at(&self) -> u64 {
        u64::from(self.entries) * ENTRY_BYTES
    }

    fn aborted_bytes(&self) -> u64 {
        transactions::bytes_of(self.aborted as usize) as u64
    }
}

/// Looks into a closed segment's index file without loading it: the last of `entries` entries for which `before` holds.
pub(crate) fn search(
    file: &File,
    base: i64,
    entries: u32,
    before: impl Fn(&Entry) -> bool,
) -> io::Result<Option<Entry>> {
    let (mut low, mut high) = (0_u64, u64::from(entries));
    let mut found = None;
    while low < high {
        let middle = u64::midpoint(low, high);
        let mut bytes = [0; ENTRY_LENGTH];
        file.read_exact_at(&mut bytes, middle * ENTRY_BYTES)?;
        let entry = Entry::decode(base, &bytes);
        if before(&entry) {
            found = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// Offsets of a segment must fit the 32 bits an entry has for them.
pub(crate) fn offset_fits(base: i64, offset: i64) -> bool {
    offset - base <= i64_of(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn filled() -> Index {
        let mut index = Index::default();
        for at in 0..100_u64 {
            let entry =
                Entry { offset: 1000 + i64_of(at * 3), position: at * 2000, timestamp_before: i64_of(at) * 10 - 1 };
            index.note(entry, 2000);
        }
        index
    }

    #[test]
    fn memory_and_file_find_the_same_entries() {
        let index = filled();
        let file = tempfile::tempfile().unwrap();
        let mut bytes = index.encode_from(0, 1000);
        let summary = Summary {
            entries: u32_of(index.len() as u64),
            aborted: 1,
            log_bytes: 200_000,
            max_timestamp: 5,
            max_timestamp_offset: 6,
        };
        let aborted = [Aborted { producer_id: 1, first_offset: 2, last_offset: 3 }];
        bytes.extend(transactions::encode(&aborted));
        bytes.extend(summary.encode());
        file.write_all_at(&bytes, 0).unwrap();
        assert_eq!(Summary::load(&file).unwrap(), Some(summary));
        assert_eq!(summary.load_aborted(&file).unwrap().unwrap(), aborted);
        for offset in 990..1310 {
            let found = search(&file, 1000, summary.entries, |entry| entry.offset <= offset).unwrap();
            assert_eq!(found, index.by_offset(offset), "offset {offset}");
            let found = search(&file, 1000, summary.entries, |entry| entry.timestamp_before < offset).unwrap();
            assert_eq!(found, index.by_time(offset), "time {offset}");
        }
        let loaded = Index::load(&file, 1000, u64::from(summary.entries), 100_000).unwrap();
        assert!(loaded.entries.iter().all(|entry| entry.position < 100_000));
        assert_eq!(loaded.by_offset(1060), index.by_offset(1060));
    }

    #[test]
    fn a_torn_trailer_is_no_trailer() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = filled().encode_from(0, 1000);
        let summary = Summary { entries: 3, aborted: 0, log_bytes: 1, max_timestamp: 1, max_timestamp_offset: 1 };
        bytes.extend(summary.encode());
        file.write_all_at(&bytes, 0).unwrap();
        assert_eq!(Summary::load(&file).unwrap(), None, "entry count does not match the length");
    }
}
