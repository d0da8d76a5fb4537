//! What a partition remembers of idempotent producers: enough to tell a repeated batch from a new one and from a gap.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, BufMut};

use crate::log::batch::{Header, advance_sequence};

/// Batches remembered per producer: as many as a client may have in flight.
const BATCHES_KEPT: usize = 5;

/// Producers of one partition by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
}

#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    last_append_ms: i64,
    batches: VecDeque<Seen>,
}

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) base_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) timestamp: i64,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It was appended before: answer as then.
    Duplicate(Seen),
    OutOfOrder,
    /// A newer run of the same producer has written.
    StaleEpoch,
}

impl Producers {
    /// Judges a batch by its producer id, epoch and sequence.
    pub(crate) fn judge(&self, header: &Header) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::Append;
        }
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // Nothing known, because it is new or was forgotten: its first batch tells where it stands.
            return Verdict::Append;
        };
        if header.producer_epoch < producer.epoch {
            return Verdict::StaleEpoch;
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Verdict::Append } else { Verdict::OutOfOrder };
        }
        let last_sequence = header.last_sequence();
        let known = producer
            .batches
            .iter()
            .find(|seen| seen.base_sequence == header.base_sequence && seen.last_sequence == last_sequence);
        if let Some(seen) = known {
            return Verdict::Duplicate(*seen);
        }
        match producer.batches.back() {
            Some(last) if advance_sequence(last.last_sequence, 1) != header.base_sequence => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Notes an appended batch; `header` has its final offset.
    pub(crate) fn note(&mut self, header: &Header, now_ms: i64, producers_max: usize) {
        if header.producer_id < 0 {
            return;
        }
        if !self.by_id.contains_key(&header.producer_id) && self.by_id.len() >= producers_max {
            self.forget_longest_idle();
        }
        let producer = self.by_id.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            last_append_ms: now_ms,
            batches: VecDeque::new(),
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.last_append_ms = now_ms;
        if producer.batches.len() == BATCHES_KEPT {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Seen {
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
    }

    fn forget_longest_idle(&mut self) {
        let oldest = self.by_id.iter().min_by_key(|(_, producer)| producer.last_append_ms).map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.by_id.remove(&id);
        }
    }

    /// Writes all producers down.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.put_u32(crate::num::u32_of(self.by_id.len() as u64));
        for (id, producer) in &self.by_id {
            to.put_i64(*id);
            to.put_i16(producer.epoch);
            to.put_i64(producer.last_append_ms);
            to.put_u32(crate::num::u32_of(producer.batches.len() as u64));
            for seen in &producer.batches {
                to.put_i32(seen.base_sequence);
                to.put_i32(seen.last_sequence);
                to.put_i64(seen.base_offset);
                to.put_i64(seen.last_offset);
                to.put_i64(seen.timestamp);
            }
        }
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is not that.
    pub(crate) fn decode(from: &mut &[u8]) -> Option<Self> {
        let mut by_id = HashMap::new();
        for _ in 0..from.try_get_u32().ok()? {
            let id = from.try_get_i64().ok()?;
            let epoch = from.try_get_i16().ok()?;
            let last_append_ms = from.try_get_i64().ok()?;
            let mut batches = VecDeque::new();
            for _ in 0..from.try_get_u32().ok()? {
                batches.push_back(Seen {
                    base_sequence: from.try_get_i32().ok()?,
                    last_sequence: from.try_get_i32().ok()?,
                    base_offset: from.try_get_i64().ok()?,
                    last_offset: from.try_get_i64().ok()?,
                    timestamp: from.try_get_i64().ok()?,
                });
            }
            by_id.insert(id, Producer { epoch, last_append_ms, batches });
        }
        Some(Self { by_id })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn batch(epoch: i16, sequence: i32, count: i32, offset: i64) -> Header {
        Header {
            base_offset: offset,
            length: 100,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 9,
            producer_epoch: epoch,
            base_sequence: sequence,
            count,
        }
    }

    #[test]
    fn a_repeated_batch_is_a_duplicate_and_a_gap_is_out_of_order() {
        let mut producers = Producers::default();
        for at in 0..7 {
            let next = batch(0, at * 2, 2, i64::from(at) * 2);
            assert_eq!(producers.judge(&next), Verdict::Append);
            producers.note(&next, 1, 10);
        }
        assert!(matches!(producers.judge(&batch(0, 12, 2, -1)), Verdict::Duplicate(seen) if seen.base_offset == 12));
        assert!(matches!(producers.judge(&batch(0, 4, 2, -1)), Verdict::Duplicate(seen) if seen.base_offset == 4));
        assert_eq!(producers.judge(&batch(0, 2, 2, -1)), Verdict::OutOfOrder, "older than the five kept");
        assert_eq!(producers.judge(&batch(0, 15, 1, -1)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&batch(1, 3, 1, -1)), Verdict::OutOfOrder, "a new epoch starts at zero");
        producers.note(&batch(1, 0, 1, 14), 1, 10);
        assert_eq!(producers.judge(&batch(0, 14, 1, -1)), Verdict::StaleEpoch);
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let mut producers = Producers::default();
        producers.note(&batch(3, i32::MAX - 1, 4, 70), 5, 10);
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        let read = Producers::decode(&mut bytes.as_slice()).unwrap();
        assert!(
            matches!(read.judge(&batch(3, i32::MAX - 1, 4, -1)), Verdict::Duplicate(seen) if seen.last_offset == 73)
        );
        assert_eq!(read.judge(&batch(3, 2, 1, -1)), Verdict::Append, "sequences wrapped");
        assert!(Producers::decode(&mut &bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn producers_are_bounded_and_the_longest_idle_goes_first() {
        let mut producers = Producers::default();
        for id in 0..5 {
            let mut header = batch(0, 0, 1, id);
            header.producer_id = id;
            producers.note(&header, id, 3);
        }
        let mut kept: Vec<_> = producers.by_id.keys().copied().collect();
        kept.sort_unstable();
        assert_eq!(kept, [2, 3, 4]);
    }
}
