//! The records inside an uncompressed batch: reading them, and building the broker's own small batches.

use bytes::Bytes;

use crate::log::batch::{CONTROL, HEADER_BYTES, Header, PREFIX_BYTES, TRANSACTIONAL};
use crate::num::i32_of;
use crate::state_log::ProducerRun;

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// The records of an uncompressed batch, or `None` where the bytes do not hold what the header announces.
pub(crate) fn parse<'a>(batch: &'a [u8], header: &Header) -> Option<Vec<Record<'a>>> {
    let mut rest = batch.get(HEADER_BYTES..)?;
    let mut records = Vec::new();
    for _ in 0..header.count {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let mut body = take(&mut rest, length)?;
        take(&mut body, 1)?;
        let timestamp = header.base_timestamp.wrapping_add(varint(&mut body)?);
        let offset = header.base_offset.wrapping_add(varint(&mut body)?);
        let key = bytes(&mut body)?;
        let value = bytes(&mut body)?;
        let timestamp = if header.is_log_append_time() { header.max_timestamp } else { timestamp };
        records.push(Record { offset, timestamp, key, value });
    }
    Some(records)
}

/// A record's key and value.
pub(crate) type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// What a batch says of its origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    /// Whose transaction it belongs to.
    pub(crate) producer: Option<ProducerRun>,
    pub(crate) control: bool,
}

/// An uncompressed batch of these keys and values, all of one time, at base offset 0.
pub(crate) fn build(records: &[KeyValue<'_>], timestamp: i64) -> Vec<u8> {
    build_stamped(Stamp { producer: None, control: false }, records, timestamp)
}

/// The same with a stamp, and without sequence numbers.
pub(crate) fn build_stamped(stamp: Stamp, records: &[KeyValue<'_>], timestamp: i64) -> Vec<u8> {
    let mut batch = vec![0; HEADER_BYTES];
    for (delta, (key, value)) in records.iter().enumerate() {
        let mut body = vec![0];
        put_varint(&mut body, 0);
        put_varint(&mut body, i64::from(i32_of(delta)));
        put_bytes(&mut body, *key);
        put_bytes(&mut body, *value);
        put_varint(&mut body, 0);
        put_varint(&mut batch, i64::from(i32_of(body.len())));
        batch.extend_from_slice(&body);
    }
    let length = i32_of(batch.len() - PREFIX_BYTES);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let transactional = if stamp.producer.is_some() { TRANSACTIONAL } else { 0 };
    let attributes = transactional | if stamp.control { CONTROL } else { 0 };
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[23..27].copy_from_slice(&i32_of(records.len().saturating_sub(1)).to_be_bytes());
    batch[27..35].copy_from_slice(&timestamp.to_be_bytes());
    batch[35..43].copy_from_slice(&timestamp.to_be_bytes());
    let producer = stamp.producer.unwrap_or(ProducerRun { id: -1, epoch: -1 });
    batch[43..51].copy_from_slice(&producer.id.to_be_bytes());
    batch[51..53].copy_from_slice(&producer.epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&(-1_i32).to_be_bytes());
    batch[57..61].copy_from_slice(&i32_of(records.len()).to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// The batches in a run of bytes that holds whole batches.
pub(crate) fn split_batches(mut run: Bytes) -> Vec<(Header, Bytes)> {
    let mut batches = Vec::new();
    while let Some(header) = Header::parse(&run) {
        let total = crate::num::usize_of(header.total_bytes());
        if total > run.len() {
            break;
        }
        batches.push((header, run.split_to(total)));
    }
    batches
}

pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(count)?;
    *bytes = tail;
    Some(head)
}

fn bytes<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match varint(from)? {
        -1 => Some(None),
        length => Some(Some(take(from, usize::try_from(length).ok()?)?)),
    }
}

pub(crate) fn varint(from: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(from, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    None
}

pub(crate) fn put_varint(to: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        to.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    to.push((rest & 0x7f) as u8);
}

fn put_bytes(to: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(to, -1),
        Some(bytes) => {
            put_varint(to, i64::from(i32_of(bytes.len())));
            to.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn what_is_built_is_read_back_and_kafkas_own_decoder_agrees() {
        let records = [
            (Some(b"a".as_slice()), Some(b"1".as_slice())),
            (None, Some([9_u8; 300].as_slice())),
            (Some(b"c".as_slice()), None),
        ];
        let batch = build(&records, 1_700_000_000_123);
        let header = Header::parse(&batch).unwrap();
        let read = parse(&batch, &header).unwrap();
        assert_eq!(read.iter().map(|r| (r.key, r.value)).collect::<Vec<_>>(), records);
        assert_eq!(read[2].offset, 2);
        let decoded = kafka_protocol::records::RecordBatchDecoder::decode(&mut Bytes::from(batch)).unwrap();
        assert_eq!(decoded.records.len(), 3);
        assert_eq!(decoded.records[1].value.as_deref(), records[1].1);
        assert_eq!(decoded.records[1].timestamp, 1_700_000_000_123);
    }

    #[test]
    fn truncated_records_are_refused() {
        let batch = build(&[(Some(b"a".as_slice()), Some(b"1".as_slice()))], 5);
        let header = Header::parse(&batch).unwrap();
        for length in 0..batch.len() {
            assert_eq!(parse(&batch[..length], &header), None, "length {length}");
        }
    }
}
