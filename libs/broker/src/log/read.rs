//! Reading record batches below the high watermark; every batch is checked before it leaves.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::batch::{Header, checksum_holds};
use crate::log::partition::{Offsets, Partition, State};
use crate::log::transactions::Aborted;
use crate::log::walk::{Step, Walker};
use crate::metrics as names;
use crate::num::usize_of;

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
    pub(crate) records: Bytes,
    /// For a reader of what is committed: transactions in it that it has to pass over.
    pub(crate) aborted: Vec<Aborted>,
}

/// How much is to be read, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    offset: i64,
    bytes_max: usize,
    at_least_one: bool,
    end: i64,
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
    /// Whole batches from the one that holds `offset` on: at most `bytes_max`, but if `at_least_one` the first in any case.
    ///
    /// Blocking. Empty at the end of what the reader may see.
    pub(crate) fn read(
        &self,
        offset: i64,
        bytes_max: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<Read, ReadError> {
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
                return Ok(Read { offsets, records: Bytes::new(), aborted: Vec::new() });
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
        let wanted = Wanted { offset, bytes_max, at_least_one, end: isolation.end(&offsets) };
        let (records, next) = match self.find_and_take(&place, wanted, false) {
            // A damaged header may claim offsets that are not its own: with checksums the walk knows better.
            Err(ReadError::Damaged) => self.find_and_take(&place, wanted, true)?,
            taken => taken?,
        };
        self.counters.fetched_bytes.increment(records.len() as u64);
        aborted.retain(|aborted| aborted.first_offset < next);
        Ok(Read { offsets, records, aborted })
    }

    /// More than what a reader at `offset` could get now, without touching a file.
    pub(crate) fn readable_bytes_at_most(&self, offset: i64, isolation: Isolation) -> u64 {
        let state = self.state();
        if offset >= isolation.end(&state.offsets()) {
            return 0;
        }
        let from = segment_of(&state, offset);
        let closed: u64 = state.segments.iter().skip(from).rev().skip(1).map(|segment| segment.size).sum();
        closed + state.visible_size
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

    fn find_and_take(&self, place: &Place, wanted: Wanted, verify: bool) -> Result<(Bytes, i64), ReadError> {
        let found = self.find_batch(place, wanted.offset, verify)?;
        let (position, header) = found.ok_or(ReadError::Damaged)?;
        self.take_batches(place, position, &header, wanted)
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

    /// The batches from `position` on, and the offset after them.
    fn take_batches(
        &self,
        place: &Place,
        position: u64,
        first: &Header,
        wanted: Wanted,
    ) -> Result<(Bytes, i64), ReadError> {
        let first_bytes = usize_of(first.total_bytes());
        if first_bytes > wanted.bytes_max && !wanted.at_least_one {
            return Ok((Bytes::new(), first.base_offset));
        }
        let length = wanted.bytes_max.max(first_bytes).min(usize_of(place.limit - position));
        let mut bytes = vec![0; length];
        place.file.read_exact_at(&mut bytes, position)?;
        let mut taken = 0;
        let mut records = 0;
        let mut expected = first.base_offset;
        while expected < wanted.end
            && let Some(header) = Header::parse(&bytes[taken..])
        {
            let total = usize_of(header.total_bytes());
            let fits = header.is_plausible() && header.base_offset == expected && total <= bytes.len() - taken;
            if !fits || !checksum_holds(&bytes[taken..taken + total], &header) {
                break;
            }
            taken += total;
            records += u64::from(header.count.unsigned_abs());
            expected = header.next_offset();
        }
        if taken == 0 {
            self.report_damage();
            return Err(ReadError::Damaged);
        }
        bytes.truncate(taken);
        self.counters.fetched_records.increment(records);
        Ok((bytes.into(), expected))
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
