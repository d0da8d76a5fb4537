//! What a partition remembers of idempotent producers: enough to tell a repeated batch from a new one and from a gap.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::{Buf, BufMut};

use crate::log::batch::{Header, advance_sequence};

/// Batches remembered per producer: as many as a client may have in flight.
const BATCHES_KEPT: usize = 5;

/// Producers of one partition by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offset and producer of each open transaction.
    open: BTreeSet<(i64, i64)>,
}

#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    last_append_ms: i64,
    batches: VecDeque<Seen>,
    /// Where its open transaction begins.
    open_since: Option<i64>,
}

/// A producer as DescribeProducers tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Active {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) last_sequence: i32,
    pub(crate) last_append_ms: i64,
    pub(crate) open_since: Option<i64>,
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
    /// It is not of the producer's open transaction.
    OutsideTransaction,
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
        if producer.open_since.is_some() && !header.is_transactional() {
            return Verdict::OutsideTransaction;
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
            // A marker began this epoch.
            None if header.base_sequence != 0 => Verdict::OutOfOrder,
            _ => Verdict::Append,
        }
    }

    /// Where the first open transaction begins.
    pub(crate) fn first_open(&self) -> Option<i64> {
        self.open.first().map(|(offset, _)| *offset)
    }

    /// All that are remembered.
    pub(crate) fn active(&self) -> Vec<Active> {
        let active = self.by_id.iter().map(|(id, producer)| Active {
            id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |seen| seen.last_sequence),
            last_append_ms: producer.last_append_ms,
            open_since: producer.open_since,
        });
        active.collect()
    }

    /// Ends a producer's transaction; returns where it began, `None` if none was open here.
    pub(crate) fn note_marker(&mut self, header: &Header, now_ms: i64, producers_max: usize) -> Option<i64> {
        let producer = self.entry(header, now_ms, producers_max);
        let began = producer.open_since.take()?;
        self.open.remove(&(began, header.producer_id));
        Some(began)
    }

    /// The producer of a batch, in the batch's epoch, and heard of now.
    fn entry(&mut self, header: &Header, now_ms: i64, producers_max: usize) -> &mut Producer {
        if !self.by_id.contains_key(&header.producer_id) && self.by_id.len() >= producers_max {
            self.forget_longest_idle();
        }
        let producer = self.by_id.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            last_append_ms: now_ms,
            batches: VecDeque::new(),
            open_since: None,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.last_append_ms = now_ms;
        producer
    }

    /// Notes an appended batch; `header` has its final offset.
    pub(crate) fn note(&mut self, header: &Header, now_ms: i64, producers_max: usize) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.entry(header, now_ms, producers_max);
        if header.is_transactional() && producer.open_since.is_none() {
            producer.open_since = Some(header.base_offset);
            self.open.insert((header.base_offset, header.producer_id));
        }
        // The broker's own batches have no sequence.
        if header.base_sequence < 0 {
            return;
        }
        let Some(producer) = self.by_id.get_mut(&header.producer_id) else { return };
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
        // Whoever has an open transaction is needed to end it.
        let idle = self.by_id.iter().filter(|(_, producer)| producer.open_since.is_none());
        let oldest = idle.min_by_key(|(_, producer)| producer.last_append_ms).map(|(id, _)| *id);
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
            to.put_i64(producer.open_since.unwrap_or(-1));
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
        let mut open = BTreeSet::new();
        for _ in 0..from.try_get_u32().ok()? {
            let id = from.try_get_i64().ok()?;
            let epoch = from.try_get_i16().ok()?;
            let last_append_ms = from.try_get_i64().ok()?;
            let open_since = Some(from.try_get_i64().ok()?).filter(|offset| *offset >= 0);
            open.extend(open_since.map(|offset| (offset, id)));
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
            by_id.insert(id, Producer { epoch, last_append_ms, batches, open_since });
        }
        Some(Self { by_id, open })
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
    fn a_transaction_is_open_from_its_first_batch_to_its_marker_and_keeps_its_producer() {
        let transactional = |epoch, sequence, offset| Header { attributes: 0x10, ..batch(epoch, sequence, 1, offset) };
        let mut producers = Producers::default();
        producers.note(&transactional(0, 0, 40), 1, 1);
        producers.note(&transactional(0, 1, 41), 2, 1);
        assert_eq!(producers.first_open(), Some(40));
        assert_eq!(producers.judge(&batch(0, 2, 1, -1)), Verdict::OutsideTransaction);
        producers.note(&Header { producer_id: 5, ..batch(0, 0, 1, 42) }, 3, 1);
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        let mut producers = Producers::decode(&mut bytes.as_slice()).unwrap();
        assert_eq!(producers.first_open(), Some(40), "neither a limit nor being written down closes it");
        let marker = Header { attributes: 0x30, base_sequence: -1, ..batch(1, 0, 1, 43) };
        assert_eq!(producers.note_marker(&marker, 4, 10), Some(40));
        assert_eq!(producers.note_marker(&marker, 4, 10), None, "a marker may come twice");
        assert_eq!(producers.first_open(), None);
        assert_eq!(producers.judge(&transactional(0, 2, -1)), Verdict::StaleEpoch, "the marker fences");
        assert_eq!(producers.judge(&transactional(1, 1, -1)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&transactional(1, 0, -1)), Verdict::Append);
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
