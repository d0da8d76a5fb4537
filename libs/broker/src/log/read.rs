//! Reading record batches below the high watermark; every batch is checked before it leaves.
//!
//! Many records are checked where they stand and sent from there: they are never in memory all at once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::batch::{CRC_FROM, HEADER_BYTES, Header};
use crate::log::partition::{Offsets, Partition, State};
use crate::log::transactions::Aborted;
use crate::log::walk::{Step, Walker};
use crate::metrics as names;
use crate::num::usize_of;

/// Bytes checked at a time of what is not to be held in memory.
const CHECK_BYTES: u64 = 128 * 1024;

/// Why nothing can be read at an offset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("offset is outside the log")]
    OutOfRange,
    #[error("batch is damaged")]
    Damaged,
    #[error("partition was deleted")]
    Deleted,
    #[error("storage failed")]
    Storage(#[from] io::Error),
}

/// What a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Everything below the high watermark.
    Everything,
    /// What lies before the first undecided transaction.
    Committed,
}

impl Isolation {
    /// Where it ends.
    pub(crate) fn end(self, offsets: &Offsets) -> i64 {
        match self {
            Self::Everything => offsets.high_watermark,
            Self::Committed => offsets.last_stable,
        }
    }
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) offsets: Offsets,
    pub(crate) records: Records,
    /// For a reader of what is committed: transactions in it that it has to pass over.
    pub(crate) aborted: Vec<Aborted>,
}

/// Whole batches, checked.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    Held(Bytes),
    Stored(Extent),
}

/// Bytes of a segment file.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    pub(crate) file: Arc<File>,
    pub(crate) position: u64,
    pub(crate) length: usize,
}

impl Records {
    pub(crate) const NONE: Self = Self::Held(Bytes::new());

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Held(bytes) => bytes.len(),
            Self::Stored(extent) => extent.length,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them in memory; blocking.
    pub(crate) fn load(self) -> io::Result<Bytes> {
        match self {
            Self::Held(bytes) => Ok(bytes),
            Self::Stored(Extent { file, position, length }) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, position)?;
                Ok(bytes.into())
            }
        }
    }
}

/// What a reader asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) offset: i64,
    pub(crate) bytes_max: usize,
    /// The first batch comes in any case.
    pub(crate) at_least_one: bool,
    pub(crate) isolation: Isolation,
    /// Bytes that may be held in memory; more is left where it stands.
    pub(crate) held_max: usize,
}

/// Where in which file to look.
pub(crate) struct Place {
    pub(crate) base: i64,
    pub(crate) file: Arc<std::fs::File>,
    pub(crate) position: u64,
    /// Offset of the batch at `position`.
    pub(crate) offset: i64,
    /// Bytes of the file below the high watermark.
    pub(crate) limit: u64,
}

impl Partition {
    /// Whole batches from the one that holds the offset on, as far as the demand goes.
    ///
    /// Blocking. Empty at the end of what the reader may see.
    pub(crate) fn read(&self, demand: Demand) -> Result<Read, ReadError> {
        let Demand { offset, isolation, .. } = demand;
        let (offsets, place, mut aborted) = {
            let state = self.state();
            if state.deleted {
                return Err(ReadError::Deleted);
            }
            let offsets = state.offsets();
            if offset < state.log_start || offset > state.visible {
                return Err(ReadError::OutOfRange);
            }
            if offset >= isolation.end(&offsets) {
                return Ok(Read { offsets, records: Records::NONE, aborted: Vec::new() });
            }
            // Together with the place: compaction replaces the files and forgets the transactions in one step.
            let aborted = match isolation {
                Isolation::Committed => state.aborted_between(offset, offsets.last_stable),
                Isolation::Everything => Vec::new(),
            };
            if state.failed && self.place(&state, offset).is_err() {
                return Err(ReadError::Storage(io::Error::other("the partition failed")));
            }
            (offsets, self.place(&state, offset), aborted)
        };
        let place = match place {
            Ok(place) => place,
            // Retention took the segment between the look and the open.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::OutOfRange),
            Err(error) => return Err(error.into()),
        };
        let end = isolation.end(&offsets);
        let (records, next) = match self.find_and_take(&place, demand, end, false) {
            // A damaged header may claim offsets that are not its own: with checksums the walk knows better.
            Err(ReadError::Damaged) => self.find_and_take(&place, demand, end, true)?,
            taken => taken?,
        };
        self.counters.fetched_bytes.increment(records.len() as u64);
        aborted.retain(|aborted| aborted.first_offset < next);
        Ok(Read { offsets, records, aborted })
    }

    /// Where to begin looking for `offset`, which lies in the log.
    pub(crate) fn place(&self, state: &State, offset: i64) -> io::Result<Place> {
        let at = segment_of(state, offset);
        let segment = state.segments.get(at).ok_or(io::ErrorKind::NotFound)?;
        let limit = if at + 1 == state.segments.len() { state.visible_size } else { segment.size };
        let base = segment.base;
        let (position, first) = segment.locate(|| self.index_file(base), offset)?;
        Ok(Place { base, file: self.log_file(base)?, position, offset: first, limit })
    }

    fn find_and_take(
        &self,
        place: &Place,
        demand: Demand,
        end: i64,
        verify: bool,
    ) -> Result<(Records, i64), ReadError> {
        let found = self.find_batch(place, demand.offset, verify)?;
        let (position, header) = found.ok_or(ReadError::Damaged)?;
        self.take_batches(place, position, &header, demand, end)
    }

    /// The batch that holds `offset`, or `None` if that one is damaged.
    fn find_batch(&self, place: &Place, offset: i64, verify: bool) -> Result<Option<(u64, Header)>, ReadError> {
        let mut walker = Walker::new(&place.file, place.position, place.offset, place.limit, verify);
        let mut from_start = place.position == 0;
        loop {
            match walker.step()? {
                Step::Batch { position, header } if header.last_offset() >= offset => {
                    return Ok(Some((position, header)));
                }
                Step::Batch { .. } => {}
                Step::Damaged { position, .. } if !from_start && position == place.position => {
                    // Not the log but the index may be wrong: walk the whole segment before saying so.
                    walker = Walker::new(&place.file, 0, place.base, place.limit, verify);
                    from_start = true;
                }
                Step::Damaged { resumes: Some((_, next)), .. } if next <= offset => self.report_damage(),
                Step::Damaged { .. } | Step::End => {
                    self.report_damage();
                    return Ok(None);
                }
            }
        }
    }

    /// The batches from `position` on below offset `end`, and the offset after them.
    fn take_batches(
        &self,
        place: &Place,
        position: u64,
        first: &Header,
        demand: Demand,
        end: i64,
    ) -> Result<(Records, i64), ReadError> {
        if first.total_bytes() > demand.bytes_max as u64 && !demand.at_least_one {
            return Ok((Records::NONE, first.base_offset));
        }
        let length = (demand.bytes_max as u64).max(first.total_bytes()).min(place.limit - position);
        let window_bytes = if length <= demand.held_max as u64 { length } else { CHECK_BYTES };
        let limit = position + length;
        let mut window = Window { file: &place.file, limit, capacity: window_bytes, at: position, bytes: Vec::new() };
        let (mut at, mut records, mut expected) = (position, 0, first.base_offset);
        while expected < end
            && let Some(header) = window.header(at)?
            && header.base_offset == expected
            && window.checksum_holds(at, &header)?
        {
            at += header.total_bytes();
            records += u64::from(header.count.unsigned_abs());
            expected = header.next_offset();
        }
        if at == position {
            self.report_damage();
            return Err(ReadError::Damaged);
        }
        self.counters.fetched_records.increment(records);
        let length = usize_of(at - position);
        let records = if length <= demand.held_max && window.at == position && window.bytes.len() >= length {
            window.bytes.truncate(length);
            Records::Held(window.bytes.into())
        } else {
            Records::Stored(Extent { file: Arc::clone(&place.file), position, length })
        };
        Ok((records, expected))
    }

    fn report_damage(&self) {
        metrics::counter!(names::DAMAGED_BATCHES).increment(1);
        tracing::debug!(topic = %self.topic, partition = self.index, "damaged batch met while reading");
    }
}

/// Number of the segment that holds `offset`.
fn segment_of(state: &State, offset: i64) -> usize {
    state.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
}

/// A part of a file that is read a piece at a time.
struct Window<'a> {
    file: &'a File,
    /// Where the part ends.
    limit: u64,
    /// Bytes read at a time.
    capacity: u64,
    /// Where `bytes` begins.
    at: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// Bytes from `from` on, at least so many, or those up to the limit.
    fn bytes(&mut self, from: u64, at_least: u64) -> io::Result<&[u8]> {
        let wanted = at_least.min(self.limit - from);
        if from < self.at || from + wanted > self.at + self.bytes.len() as u64 {
            self.bytes.resize(usize_of(self.capacity.max(wanted).min(self.limit - from)), 0);
            self.file.read_exact_at(&mut self.bytes, from)?;
            self.at = from;
        }
        Ok(&self.bytes[usize_of(from - self.at)..])
    }

    /// The header at `at` of a batch that ends below the limit.
    fn header(&mut self, at: u64) -> io::Result<Option<Header>> {
        let limit = self.limit;
        let header = Header::parse(self.bytes(at, HEADER_BYTES as u64)?);
        Ok(header.filter(|header| header.is_plausible() && header.total_bytes() <= limit - at))
    }

    fn checksum_holds(&mut self, at: u64, header: &Header) -> io::Result<bool> {
        let (mut from, end) = (at + CRC_FROM as u64, at + header.total_bytes());
        let mut crc = 0;
        while from < end {
            let bytes = self.bytes(from, 1)?;
            let taken = bytes.len().min(usize_of(end - from));
            crc = crc32c::crc32c_append(crc, &bytes[..taken]);
            from += taken as u64;
        }
        Ok(crc == header.crc)
    }
}
