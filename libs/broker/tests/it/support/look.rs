//! What a broker shows of partition 0 of a topic, read as clients read, for [`super::history`] to judge.

use std::collections::HashSet;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;

use super::batch::{next_offset, records};
use super::history::Shown;
use super::member::committed;
use super::wire::{Ask, Wire};

/// What it shows of the topic, and of a group that reads it.
pub(crate) async fn look(wire: &mut Wire, topic: &str, group: &str) -> Shown {
    let (shown, refused) = look_past_damage(wire, topic, group).await;
    assert_eq!(refused, [] as [i64; 0], "{topic}: refused as damaged");
    shown
}

/// As [`look`], also past batches that are refused as damaged; with the offsets at which that is so.
pub(crate) async fn look_past_damage(wire: &mut Wire, topic: &str, group: &str) -> (Shown, Vec<i64>) {
    let (log_start, high_watermark) = wire.watermarks_or_zero(topic).await;
    let mut shown = Shown { log_start, high_watermark, ..Shown::default() };
    let mut refused = Vec::new();
    let mut at = log_start;
    while at < high_watermark {
        match fetch(wire, topic, at, 0).await {
            Ok(partition) => {
                let bytes = partition.records.unwrap_or_default();
                if bytes.is_empty() {
                    break;
                }
                let from = std::mem::replace(&mut at, next_offset(&bytes));
                for record in records(&bytes).into_iter().filter(|record| record.offset >= from) {
                    shown.offsets.push(record.offset);
                    if !record.control {
                        shown.everything.push((record.offset, text(record.value)));
                    }
                }
            }
            Err(ResponseError::CorruptMessage) => {
                refused.push(at);
                at += 1;
            }
            Err(_) => {
                // Retention went on meanwhile.
                let (log_start, _) = wire.watermarks_or_zero(topic).await;
                assert!(log_start > at, "{topic}: offset {at} is out of range, and not below {log_start}");
                (at, shown) = (log_start, Shown { log_start, high_watermark, ..Shown::default() });
            }
        }
    }
    shown.committed = read_committed(wire, topic, shown.log_start, high_watermark).await;
    shown.position = committed(wire, group, topic).await.0;
    (shown, refused)
}

/// The partition's answer, or one of the two errors that a reader can go on from.
async fn fetch(wire: &mut Wire, topic: &str, at: i64, isolation: i8) -> Result<PartitionData, ResponseError> {
    let partition = wire.fetch(topic, 0, Ask { isolation, ..Ask::at(at) }).await;
    for error in [ResponseError::OffsetOutOfRange, ResponseError::CorruptMessage] {
        if partition.error_code == error.code() {
            return Err(error);
        }
    }
    assert_eq!(partition.error_code, 0, "{topic}, offset {at}");
    Ok(partition)
}

async fn read_committed(wire: &mut Wire, topic: &str, from: i64, end: i64) -> Vec<(i64, String)> {
    let mut at = from;
    let mut seen = Vec::new();
    while at < end {
        match fetch(wire, topic, at, 1).await {
            Ok(partition) => {
                let Some((next, found)) = committed_of(partition, at) else { break };
                at = next;
                seen.extend(found);
            }
            Err(ResponseError::CorruptMessage) => at += 1,
            Err(_) => {
                at = wire.watermarks_or_zero(topic).await.0;
                seen.clear();
            }
        }
    }
    seen
}

/// The committed records of an answer to a fetch from `from`, as a client finds them by passing over what it is told was
/// aborted, and the offset to go on from; `None` if the answer has no records.
pub(crate) fn committed_of(partition: PartitionData, from: i64) -> Option<(i64, Vec<(i64, String)>)> {
    let mut aborted = partition.aborted_transactions.unwrap_or_default();
    aborted.sort_by_key(|one| one.first_offset);
    let bytes = partition.records.filter(|bytes| !bytes.is_empty())?;
    let mut passing_over = HashSet::new();
    let mut seen = Vec::new();
    for record in records(&bytes) {
        while aborted.first().is_some_and(|one| one.first_offset <= record.offset) {
            passing_over.insert(aborted.remove(0).producer_id.0);
        }
        if record.control {
            passing_over.remove(&record.producer_id);
        } else if record.offset >= from && (!record.transactional || !passing_over.contains(&record.producer_id)) {
            seen.push((record.offset, text(record.value)));
        }
    }
    Some((next_offset(&bytes), seen))
}

fn text(value: Option<Bytes>) -> String {
    String::from_utf8(value.unwrap().to_vec()).unwrap()
}
