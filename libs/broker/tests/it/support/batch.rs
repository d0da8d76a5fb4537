//! Record batches as a producer makes them, encoded by an implementation that is not the broker's.

use broker::{Clock, SystemClock};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// What a batch says of itself besides its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) transactional: bool,
    /// Of the first record; each further one is a millisecond later.
    pub(crate) timestamp: i64,
}

impl Default for Stamp {
    fn default() -> Self {
        // Of now, so that retention leaves it alone.
        let timestamp = SystemClock.now_ms();
        Self { producer_id: -1, producer_epoch: -1, sequence: -1, transactional: false, timestamp }
    }
}

/// An uncompressed batch of these values.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    stamped(Stamp::default(), values)
}

/// An uncompressed batch of these values with this stamp.
pub(crate) fn stamped(stamp: Stamp, values: &[&str]) -> Bytes {
    let values: Vec<_> = values.iter().map(|value| (None, Some(*value))).collect();
    keyed(stamp, &values)
}

/// An uncompressed batch of these keys and values.
pub(crate) fn keyed(stamp: Stamp, records: &[(Option<&str>, Option<&str>)]) -> Bytes {
    encode(&records_of(stamp, records), Compression::None, |plain| plain.to_vec())
}

/// A batch whose records `pack` has compressed, or says it has.
pub(crate) fn packed(compression: Compression, values: &[&str], pack: impl Fn(&[u8]) -> Vec<u8>) -> Bytes {
    let values: Vec<_> = values.iter().map(|value| (None, Some(*value))).collect();
    encode(&records_of(Stamp::default(), &values), compression, pack)
}

fn records_of(stamp: Stamp, records: &[(Option<&str>, Option<&str>)]) -> Vec<Record> {
    let bytes = |text: &Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let each = records.iter().zip(0..).map(|((key, value), at)| Record {
        transactional: stamp.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: stamp.producer_id,
        producer_epoch: stamp.producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(at),
        // A plain batch has sequence -1 for all of its records; the encoder wants them rising.
        sequence: stamp.sequence.wrapping_add(at),
        timestamp: stamp.timestamp + i64::from(at),
        key: bytes(key),
        value: bytes(value),
        headers: IndexMap::new(),
    });
    each.collect()
}

fn encode(records: &[Record], compression: Compression, pack: impl Fn(&[u8]) -> Vec<u8>) -> Bytes {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    let compress = |plain: &mut BytesMut, to: &mut BytesMut, _: Compression| {
        to.put_slice(&pack(plain));
        Ok(())
    };
    RecordBatchEncoder::encode_with_custom_compression(&mut bytes, records, &options, Some(compress)).unwrap();
    bytes.freeze()
}

/// The records of whole uncompressed batches: offset, timestamp, value.
pub(crate) fn decode(batches: &Bytes) -> Vec<(i64, i64, String)> {
    let text = |value: Option<Bytes>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
    records(batches).into_iter().map(|record| (record.offset, record.timestamp, text(record.value))).collect()
}

/// The values of whole uncompressed batches.
pub(crate) fn values(batches: &Bytes) -> Vec<String> {
    decode(batches).into_iter().map(|(_, _, value)| value).collect()
}

/// The records of whole uncompressed batches.
pub(crate) fn records(batches: &Bytes) -> Vec<Record> {
    let sets = RecordBatchDecoder::decode_all(&mut batches.clone()).unwrap();
    sets.into_iter().flat_map(|set| set.records).collect()
}

/// The base offset that stands at the front of a batch.
pub(crate) fn base_offset(batch: &[u8]) -> i64 {
    i64::from_be_bytes(batch[..8].try_into().unwrap())
}

/// The offset after the last of whole batches.
pub(crate) fn next_offset(mut batches: &[u8]) -> i64 {
    loop {
        let length = u32::from_be_bytes(batches[8..12].try_into().unwrap()) as usize + 12;
        let delta = i32::from_be_bytes(batches[23..27].try_into().unwrap());
        if length == batches.len() {
            return base_offset(batches) + i64::from(delta) + 1;
        }
        batches = &batches[length..];
    }
}
