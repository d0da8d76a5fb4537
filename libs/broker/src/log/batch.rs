//! Record batches (magic 2): reading and checking the header, patching what a broker may patch.
//!
//! Layout: base offset 0..8, length 8..12, leader epoch 12..16, magic 16, CRC 17..21, and under the CRC attributes
//! 21..23, last offset delta 23..27, base timestamp 27..35, max timestamp 35..43, producer id 43..51, producer epoch
//! 51..53, base sequence 53..57, count 57..61, records.

use bytes::Buf;

use crate::num::{i32_of, u64_of, usize_of_i32};

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes that the length field does not count: the base offset and itself.
pub(crate) const PREFIX_BYTES: usize = 12;
/// Where the checksummed part begins.
pub(crate) const CRC_FROM: usize = 21;
/// The smallest encoding of a record, for refusing counts that cannot be.
const RECORD_BYTES_MIN: usize = 7;

pub(crate) const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
pub(crate) const TRANSACTIONAL: i16 = 0x10;
pub(crate) const CONTROL: i16 = 0x20;
/// The base timestamp is when the batch's tombstones may go.
pub(crate) const DELETE_HORIZON: i16 = 0x40;
const ZSTD: i16 = 4;

/// A batch header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    pub(crate) length: i32,
    pub(crate) magic: i8,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

impl Header {
    /// Reads a header; `None` if there are too few bytes.
    pub(crate) fn parse(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let base_offset = bytes.get_i64();
        let length = bytes.get_i32();
        let _leader_epoch = bytes.get_i32();
        Some(Self {
            base_offset,
            length,
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            count: bytes.get_i32(),
        })
    }

    /// Whether the fields can be those of a batch at all.
    pub(crate) fn is_plausible(&self) -> bool {
        self.magic == 2
            && usize_of_i32(self.length) >= HEADER_BYTES - PREFIX_BYTES
            && self.base_offset >= 0
            && self.last_offset_delta >= 0
            && self.count >= 0
    }

    /// Bytes of the whole batch.
    pub(crate) fn total_bytes(&self) -> u64 {
        u64_of(i64::from(self.length)) + PREFIX_BYTES as u64
    }

    /// Offset of the last record.
    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Sequence number of the last record; sequences wrap from `i32::MAX` to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.codec() != 0
    }

    /// How the records are compressed.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    pub(crate) fn is_zstd(&self) -> bool {
        self.codec() == ZSTD
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Whether it stands for offsets that compaction left nothing of.
    pub(crate) fn is_placeholder(&self) -> bool {
        self.is_control() && self.producer_id < 0
    }

    /// When its tombstones may go, if compaction has said so.
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    pub(crate) fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }
}

/// `sequence + by`, wrapping from `i32::MAX` to 0 as producers do.
pub(crate) fn advance_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

/// Whether the checksum holds; `batch` is the whole batch.
pub(crate) fn checksum_holds(batch: &[u8], header: &Header) -> bool {
    batch.len() > CRC_FROM && crc32c::crc32c(&batch[CRC_FROM..]) == header.crc
}

/// Records in one batch at most. Those of a compressed batch are not counted, so this bounds what it can announce.
const RECORDS_MAX: i32 = 1_000_000;

/// Why a produced batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Not one whole batch, or its checksum does not hold.
    Corrupt,
    /// Written in the message format of Kafka before 0.11.
    OldFormat,
    /// Whole, but with fields that no producer may send.
    Record(&'static str),
}

/// Checks what a producer sent: exactly one whole batch, checksum, counts, flags.
pub(crate) fn check_produced(bytes: &[u8]) -> Result<Header, Invalid> {
    if bytes.len() > 16 && matches!(bytes[16], 0 | 1) {
        return Err(Invalid::OldFormat);
    }
    let header = Header::parse(bytes).ok_or(Invalid::Corrupt)?;
    if !header.is_plausible() || header.total_bytes() > bytes.len() as u64 {
        return Err(Invalid::Corrupt);
    }
    if header.total_bytes() < bytes.len() as u64 {
        return Err(Invalid::Record("a partition of a produce request holds exactly one batch"));
    }
    if !checksum_holds(bytes, &header) {
        return Err(Invalid::Corrupt);
    }
    if header.count < 1 || header.last_offset_delta != header.count - 1 {
        return Err(Invalid::Record("record count and last offset delta disagree"));
    }
    if header.count > RECORDS_MAX {
        return Err(Invalid::Record("more records than a batch may have"));
    }
    if header.attributes & COMPRESSION_MASK > ZSTD {
        return Err(Invalid::Record("unknown compression"));
    }
    if !header.is_compressed() && usize_of_i32(header.count) > (bytes.len() - HEADER_BYTES) / RECORD_BYTES_MIN {
        return Err(Invalid::Record("more records announced than fit"));
    }
    if header.delete_horizon().is_some() {
        return Err(Invalid::Record("only compaction sets a delete horizon"));
    }
    if header.is_control() {
        return Err(Invalid::Record("control batches are the broker's own"));
    }
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(Invalid::Record("an idempotent batch needs an epoch and a sequence"));
    }
    Ok(header)
}

/// Writes what the broker decides into a batch: where it stands and, under LogAppendTime, when it came.
#[cfg(test)]
pub(crate) fn patch(batch: &mut [u8], base_offset: i64, leader_epoch: i32, append_time: Option<i64>) {
    if let Some((head, records)) = batch.split_first_chunk_mut::<HEADER_BYTES>() {
        patch_head(head, records, base_offset, leader_epoch, append_time);
    }
}

/// Writes what the broker decides into the header of a batch, whose records stand apart: base offset and leader epoch, which
/// the checksum does not cover, and under LogAppendTime the time and its attribute, which it does.
pub(crate) fn patch_head(
    head: &mut [u8; HEADER_BYTES],
    records: &[u8],
    base_offset: i64,
    leader_epoch: i32,
    append_time: Option<i64>,
) {
    head[0..8].copy_from_slice(&base_offset.to_be_bytes());
    head[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    if let Some(time) = append_time {
        let attributes = i16::from_be_bytes([head[21], head[22]]) | LOG_APPEND_TIME;
        head[21..23].copy_from_slice(&attributes.to_be_bytes());
        head[35..43].copy_from_slice(&time.to_be_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[CRC_FROM..]), records);
        head[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

/// The batch with other records in it, which are compressed by `codec`: the same records, packed anew.
pub(crate) fn repack(batch: &[u8], codec: i16, records: &[u8]) -> Vec<u8> {
    let mut packed = [&batch[..HEADER_BYTES], records].concat();
    let length = i32_of(packed.len() - PREFIX_BYTES);
    packed[8..12].copy_from_slice(&length.to_be_bytes());
    let attributes = i16::from_be_bytes([packed[21], packed[22]]) & !COMPRESSION_MASK | codec;
    packed[21..23].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c::crc32c(&packed[CRC_FROM..]);
    packed[17..21].copy_from_slice(&crc.to_be_bytes());
    packed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::records::build;

    #[test]
    fn a_built_batch_passes_the_check_and_any_flipped_bit_under_the_checksum_fails_it() {
        let batch = build(&[(Some(b"k".as_slice()), Some(b"value".as_slice()))], 7);
        let header = check_produced(&batch).unwrap();
        assert_eq!((header.count, header.max_timestamp, header.producer_id), (1, 7, -1));
        for at in CRC_FROM..batch.len() {
            let mut damaged = batch.clone();
            damaged[at] ^= 0x10;
            assert!(check_produced(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn patching_keeps_the_checksum_valid() {
        let mut batch = build(&[(None, Some(b"value".as_slice()))], 7);
        patch(&mut batch, 41, 3, None);
        let header = Header::parse(&batch).unwrap();
        assert!(checksum_holds(&batch, &header));
        assert_eq!((header.base_offset, header.max_timestamp), (41, 7));
        patch(&mut batch, 42, 3, Some(99));
        let header = Header::parse(&batch).unwrap();
        assert!(checksum_holds(&batch, &header) && header.is_log_append_time());
        assert_eq!((header.base_offset, header.max_timestamp), (42, 99));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(advance_sequence(i32::MAX, 1), 0);
        assert_eq!(advance_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(advance_sequence(5, 0), 5);
    }
}
