//! Control batches: the markers that end a producer's transaction in a partition.

use bytes::{Buf, BufMut};

use crate::log::batch::Header;
use crate::log::records::{self, Stamp};
use crate::state_log::ProducerRun;

/// The epoch of the only coordinator there is.
pub(crate) const COORDINATOR_EPOCH: i32 = 0;
const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Abort,
    Commit,
}

/// The batch that ends a producer's transaction, at base offset 0.
pub(crate) fn build(producer: ProducerRun, marker: Marker, timestamp: i64) -> Vec<u8> {
    let mut key = Vec::with_capacity(4);
    key.put_i16(VERSION);
    key.put_i16(if marker == Marker::Commit { COMMIT } else { ABORT });
    let mut value = Vec::with_capacity(6);
    value.put_i16(VERSION);
    value.put_i32(COORDINATOR_EPOCH);
    let stamp = Stamp { producer: Some(producer), control: true };
    records::build_stamped(stamp, &[(Some(&key), Some(&value))], timestamp)
}

/// The marker in a control batch; `None` for control records of other kinds.
pub(crate) fn marker_of(batch: &[u8], header: &Header) -> Option<Marker> {
    let records = records::parse(batch, header)?;
    let mut key = records.first()?.key?;
    let _version = key.try_get_i16().ok()?;
    match key.try_get_i16().ok()? {
        ABORT => Some(Marker::Abort),
        COMMIT => Some(Marker::Commit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::records::RecordBatchDecoder;

    #[test]
    fn markers_are_read_back_and_kafkas_own_decoder_agrees() {
        for marker in [Marker::Abort, Marker::Commit] {
            let batch = build(ProducerRun { id: 7, epoch: 3 }, marker, 99);
            let header = Header::parse(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!(marker_of(&batch, &header), Some(marker));
            let decoded = RecordBatchDecoder::decode(&mut Bytes::from(batch)).unwrap().records.remove(0);
            assert_eq!((decoded.control, decoded.transactional), (true, true));
            assert_eq!((decoded.producer_id, decoded.producer_epoch, decoded.timestamp), (7, 3, 99));
        }
    }
}
