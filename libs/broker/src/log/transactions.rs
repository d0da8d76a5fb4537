//! Transactions in a partition: the last stable offset, and which were aborted, so that readers can pass over them.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut};

use crate::log::batch::Header;
use crate::log::control::{self, Marker};
use crate::log::partition::{AppendError, Appended, Partition, State};
use crate::log::producers::Active;
use crate::state_log::ProducerRun;

/// Bytes of an aborted transaction on disk.
const ABORTED_BYTES: usize = 24;
/// Bytes of the checksum after them.
const CRC_BYTES: usize = 4;

/// A transaction that was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// Offset of its marker.
    pub(crate) last_offset: i64,
}

/// A transaction whose marker is appended, until the marker is on stable storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) first_offset: i64,
    pub(crate) marker_offset: i64,
}

impl State {
    /// Below this no transaction is undecided.
    pub(crate) fn last_stable(&self) -> i64 {
        let ending = self.ending.iter().map(|ending| ending.first_offset).min();
        let undecided = self.producers.first_open().into_iter().chain(ending).min();
        undecided.map_or(self.visible, |offset| offset.clamp(self.log_start, self.visible))
    }

    /// Notes a batch that was appended, or found, with the last segment as the one it is in.
    pub(crate) fn note_producer(&mut self, header: &Header, marker: Option<Marker>, now: i64, producers_max: usize) {
        let Some(marker) = marker else {
            if !header.is_control() {
                self.producers.note(header, now, producers_max);
            }
            return;
        };
        let Some(first_offset) = self.producers.note_marker(header, now, producers_max) else { return };
        let last_offset = header.last_offset();
        self.ending.push(Ending { first_offset, marker_offset: last_offset });
        if marker == Marker::Abort
            && let Some(active) = self.segments.last_mut()
        {
            active.aborted.push(Aborted { producer_id: header.producer_id, first_offset, last_offset });
        }
    }

    /// The aborted transactions that have records between two offsets, the second excluded.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        let segments = self.segments.iter().rev().take_while(|segment| {
            // A segment that ends before `from` has markers only of transactions that end before it.
            segment.aborted.last().is_none_or(|aborted| aborted.last_offset >= from) || segment.base > from
        });
        let mut found: Vec<Aborted> = segments
            .flat_map(|segment| &segment.aborted)
            .filter(|aborted| aborted.last_offset >= from && aborted.first_offset < to)
            .copied()
            .collect();
        found.sort_unstable_by_key(|aborted| aborted.first_offset);
        found
    }
}

impl Partition {
    /// Ends a producer's transaction here; blocking. The marker is durable when the partition is synced to its end.
    pub(crate) fn append_marker(
        self: &Arc<Self>,
        producer: ProducerRun,
        marker: Marker,
    ) -> Result<Appended, AppendError> {
        let batch = control::build(producer, marker, self.env.clock.now_ms());
        let header = Header::parse(&batch).ok_or(AppendError::TooLarge)?;
        self.append_own(&header, &batch)
    }

    /// As [`Self::append_marker`], if the producer has a transaction open here; `None` if it has none.
    pub(crate) fn end_open(
        self: &Arc<Self>,
        producer: ProducerRun,
        marker: Marker,
    ) -> Result<Option<Appended>, AppendError> {
        let batch = control::build(producer, marker, self.env.clock.now_ms());
        let header = Header::parse(&batch).ok_or(AppendError::TooLarge)?;
        let config = self.config();
        let mut state = self.state();
        state.check_writable()?;
        match state.producers.active().into_iter().find(|active| active.id == producer.id) {
            Some(active) if active.epoch > producer.epoch => Err(AppendError::StaleEpoch),
            Some(active) if active.open_since.is_some() => self.put(&mut state, &header, &batch, &config).map(Some),
            _ => Ok(None),
        }
    }

    /// Producers that are remembered here; blocking.
    pub(crate) fn producers(&self) -> Vec<Active> {
        self.state().producers.active()
    }
}

/// Aborted transactions as they stand on disk: nothing for none, else with a checksum at the end.
pub(crate) fn encode(aborted: &[Aborted]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bytes_of(aborted.len()));
    for one in aborted {
        bytes.put_i64(one.producer_id);
        bytes.put_i64(one.first_offset);
        bytes.put_i64(one.last_offset);
    }
    if !aborted.is_empty() {
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
    }
    bytes
}

/// Bytes of so many on disk.
pub(crate) fn bytes_of(count: usize) -> usize {
    if count == 0 { 0 } else { count * ABORTED_BYTES + CRC_BYTES }
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// If it is not that.
pub(crate) fn decode(bytes: &[u8]) -> io::Result<Vec<Aborted>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (mut body, crc) = bytes.split_at_checked(bytes.len().saturating_sub(CRC_BYTES)).ok_or_else(damaged)?;
    if crc32c::crc32c(body).to_be_bytes() != crc || !body.len().is_multiple_of(ABORTED_BYTES) {
        return Err(damaged());
    }
    let mut aborted = Vec::with_capacity(body.len() / ABORTED_BYTES);
    while body.len() >= ABORTED_BYTES {
        aborted.push(Aborted {
            producer_id: body.get_i64(),
            first_offset: body.get_i64(),
            last_offset: body.get_i64(),
        });
    }
    Ok(aborted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::segment::Segment;

    fn aborted(first_offset: i64, last_offset: i64) -> Aborted {
        Aborted { producer_id: 1, first_offset, last_offset }
    }

    #[test]
    fn aborted_transactions_are_read_back_and_a_flipped_bit_is_noticed() {
        let written = [aborted(3, 9), aborted(4, 12)];
        let bytes = encode(&written);
        assert_eq!((bytes.len(), decode(&bytes).unwrap()), (bytes_of(2), written.to_vec()));
        assert_eq!(decode(&encode(&[])).unwrap(), []);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_transaction_is_found_from_every_segment_that_has_its_records() {
        let mut state = State::empty(0);
        for (base, markers) in [(0, vec![aborted(2, 5)]), (10, vec![]), (20, vec![aborted(7, 22), aborted(21, 25)])] {
            let mut segment = Segment::empty(base);
            segment.aborted = markers;
            state.segments.push(segment);
        }
        let firsts = |from, to| -> Vec<i64> {
            state.aborted_between(from, to).iter().map(|aborted| aborted.first_offset).collect()
        };
        assert_eq!(firsts(0, 30), [2, 7, 21]);
        assert_eq!(firsts(0, 7), [2]);
        assert_eq!(firsts(6, 21), [7]);
        assert_eq!(firsts(12, 15), [7], "its records are before and after, its marker is in another segment");
        assert_eq!(firsts(23, 24), [21]);
        assert_eq!(firsts(26, 30), [] as [i64; 0]);
    }
}
