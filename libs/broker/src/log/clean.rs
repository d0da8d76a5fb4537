//! What compaction leaves of one batch: its records that nothing later replaces, at the offsets they have.

use crate::log::batch::{COMPRESSION_MASK, CONTROL, DELETE_HORIZON, HEADER_BYTES, Header, PREFIX_BYTES, TRANSACTIONAL};
use crate::log::codec;
use crate::log::control::{self, Marker};
use crate::log::records::{put_varint, take, varint};
use crate::num::i32_of;
use crate::state_log::ProducerRun;

/// A record with what compaction needs of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) offset: i64,
    pub(crate) key: Option<&'a [u8]>,
    /// It has no value: it deletes its key.
    pub(crate) is_tombstone: bool,
    timestamp: i64,
    attributes: u8,
    /// Everything behind the timestamp.
    rest: &'a [u8],
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Keep,
    Drop,
}

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It stays as it is.
    Whole,
    /// These bytes take its place.
    Part(Vec<u8>),
    Nothing,
}

/// The records of a batch, opened if they are compressed; `None` if they cannot be read.
pub(crate) fn body(batch: &[u8], header: &Header) -> Option<Vec<u8>> {
    codec::open(header, batch.get(HEADER_BYTES..)?)
}

/// Takes a batch's opened records apart; `None` where they do not hold what the header announces.
pub(crate) fn split<'a>(body: &'a [u8], header: &Header) -> Option<Vec<Raw<'a>>> {
    let mut from = body;
    let mut records = Vec::new();
    for _ in 0..header.count {
        let length = usize::try_from(varint(&mut from)?).ok()?;
        let mut record = take(&mut from, length)?;
        let attributes = take(&mut record, 1)?[0];
        let timestamp = header.base_timestamp.wrapping_add(varint(&mut record)?);
        let rest = record;
        let offset = header.base_offset.wrapping_add(varint(&mut record)?);
        let key = bytes(&mut record)?;
        let is_tombstone = bytes(&mut record)?.is_none();
        records.push(Raw { offset, key, is_tombstone, timestamp, attributes, rest });
    }
    Some(records)
}

/// Whether every record of a produced batch has a key, as a compacted topic demands; `false` too if it is unreadable.
pub(crate) fn has_keys(batch: &[u8], header: &Header) -> bool {
    let keyed = |body: Vec<u8>| split(&body, header).is_some_and(|records| records.iter().all(|raw| raw.key.is_some()));
    body(batch, header).is_some_and(keyed)
}

/// The times of a produced batch's records; `None` if it is unreadable.
pub(crate) fn times(batch: &[u8], header: &Header) -> Option<Vec<i64>> {
    let body = body(batch, header)?;
    Some(split(&body, header)?.iter().map(|record| record.timestamp).collect())
}

/// What is left of a batch when each record has the fate that `decide` gives it; `horizon` is when tombstones that are
/// kept for the first time may go, if that can be said already. A batch of a committed transaction becomes an ordinary one.
pub(crate) fn filter(
    batch: &[u8],
    header: &Header,
    records: &[Raw<'_>],
    horizon: Option<i64>,
    decide: impl Fn(&Raw<'_>) -> Fate,
) -> Left {
    let kept: Vec<&Raw<'_>> = records.iter().filter(|record| decide(record) == Fate::Keep).collect();
    if kept.is_empty() {
        return Left::Nothing;
    }
    let has_tombstone = header.delete_horizon().is_none() && kept.iter().any(|record| record.is_tombstone);
    let horizon = horizon.filter(|_| has_tombstone);
    let whole = kept.len() == records.len() && horizon.is_none();
    if whole && !header.is_transactional() {
        return Left::Whole;
    }
    let mut next = batch[..HEADER_BYTES].to_vec();
    let mut attributes = header.attributes & !TRANSACTIONAL;
    if whole {
        next.extend_from_slice(&batch[HEADER_BYTES..]);
    } else {
        attributes &= !COMPRESSION_MASK;
        let mut base_timestamp = header.base_timestamp;
        if let Some(horizon) = horizon {
            attributes |= DELETE_HORIZON;
            base_timestamp = horizon;
        }
        next[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
        if !header.is_log_append_time() {
            let newest = kept.iter().map(|record| record.timestamp).max().unwrap_or(-1);
            next[35..43].copy_from_slice(&newest.to_be_bytes());
        }
        next[57..61].copy_from_slice(&i32_of(kept.len()).to_be_bytes());
        for record in kept {
            put_record(&mut next, record, base_timestamp);
        }
    }
    next[21..23].copy_from_slice(&attributes.to_be_bytes());
    seal(&mut next);
    Left::Part(next)
}

fn put_record(to: &mut Vec<u8>, record: &Raw<'_>, base_timestamp: i64) {
    let mut head = vec![record.attributes];
    put_varint(&mut head, record.timestamp.wrapping_sub(base_timestamp));
    put_varint(to, i64::from(i32_of(head.len() + record.rest.len())));
    to.extend_from_slice(&head);
    to.extend_from_slice(record.rest);
}

/// A batch in the place of offsets of which nothing is left, so that offsets follow each other in the file.
///
/// It is a control batch of no producer: every client passes over one and goes on behind it, while an answer of nothing
/// but empty batches makes librdkafka ask for more and more bytes.
pub(crate) fn placeholder(first_offset: i64, last_offset: i64) -> Vec<u8> {
    let mut batch = control::build(ProducerRun { id: -1, epoch: -1 }, Marker::Commit, -1);
    batch[0..8].copy_from_slice(&first_offset.to_be_bytes());
    let delta = i32::try_from(last_offset - first_offset).unwrap_or(i32::MAX);
    batch[21..23].copy_from_slice(&CONTROL.to_be_bytes());
    batch[23..27].copy_from_slice(&delta.to_be_bytes());
    seal(&mut batch);
    batch
}

/// Sets length and checksum.
fn seal(batch: &mut [u8]) {
    let length = i32_of(batch.len() - PREFIX_BYTES);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn bytes<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint(from)? {
        -1 => Some(None),
        length => Some(Some(take(from, usize::try_from(length).ok()?)?)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::batch::checksum_holds;
    use crate::log::records;
    use bytes::Bytes;
    use kafka_protocol::records::RecordBatchDecoder;

    fn made() -> (Vec<u8>, Header) {
        let records = [
            (Some(b"a".as_slice()), Some(b"1".as_slice())),
            (Some(b"b".as_slice()), None),
            (Some(b"c".as_slice()), Some(b"3".as_slice())),
        ];
        let batch = records::build(&records, 1_000);
        let header = Header::parse(&batch).unwrap();
        (batch, header)
    }

    fn keep(batch: &[u8], header: &Header, offsets: &[i64]) -> Left {
        let body = body(batch, header).unwrap();
        let records = split(&body, header).unwrap();
        filter(batch, header, &records, Some(9_000), |record| {
            if offsets.contains(&record.offset) { Fate::Keep } else { Fate::Drop }
        })
    }

    #[test]
    fn kept_records_keep_offset_time_and_content() {
        let (batch, header) = made();
        let Left::Part(part) = keep(&batch, &header, &[0, 2]) else { panic!("two records are left") };
        let next = Header::parse(&part).unwrap();
        assert!(checksum_holds(&part, &next));
        assert_eq!((next.count, next.last_offset(), next.delete_horizon()), (2, 2, None));
        let decoded = RecordBatchDecoder::decode(&mut Bytes::from(part)).unwrap().records;
        let seen: Vec<_> = decoded.iter().map(|record| (record.offset, record.timestamp)).collect();
        assert_eq!(seen, [(0, 1_000), (2, 1_000)]);
        assert_eq!(keep(&batch, &header, &[]), Left::Nothing);
    }

    #[test]
    fn a_tombstone_that_is_kept_gets_a_horizon_once() {
        let (batch, header) = made();
        let Left::Part(part) = keep(&batch, &header, &[0, 1, 2]) else { panic!("it gets a horizon") };
        let next = Header::parse(&part).unwrap();
        assert_eq!(next.delete_horizon(), Some(9_000));
        let decoded = RecordBatchDecoder::decode(&mut Bytes::from(part.clone())).unwrap().records;
        assert!(decoded.iter().all(|record| record.timestamp == 1_000), "times stay what they were");
        assert_eq!(keep(&part, &next, &[0, 1, 2]), Left::Whole);
        let Left::Part(later) = keep(&part, &next, &[0, 1]) else { panic!("one record goes") };
        assert_eq!(Header::parse(&later).unwrap().delete_horizon(), Some(9_000), "it is not put off");
        let decoded = RecordBatchDecoder::decode(&mut Bytes::from(later)).unwrap().records;
        assert!(decoded.iter().all(|record| record.timestamp == 1_000));
    }

    #[test]
    fn placeholders_are_batches_of_nobody() {
        let batch = placeholder(40, 49);
        let header = Header::parse(&batch).unwrap();
        assert!(header.is_plausible() && checksum_holds(&batch, &header));
        assert!(header.is_placeholder() && !header.is_transactional());
        assert_eq!((header.base_offset, header.next_offset(), header.max_timestamp), (40, 50, -1));
        let decoded = RecordBatchDecoder::decode(&mut Bytes::from(batch)).unwrap().records;
        assert!(decoded.iter().all(|record| record.control));
    }

    #[test]
    fn batches_without_keys_and_unreadable_ones_are_told() {
        let (batch, header) = made();
        assert!(has_keys(&batch, &header));
        let keyless = records::build(&[(None, Some(b"v".as_slice()))], 1);
        assert!(!has_keys(&keyless, &Header::parse(&keyless).unwrap()));
        assert!(!has_keys(&batch[..batch.len() - 1], &header));
    }
}
