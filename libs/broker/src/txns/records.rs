//! The records of `__transaction_state` as Kafka writes them (key and value in version 0), so that official tools can
//! read them. A null value removes.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};

use crate::num::i32_of;
use crate::txns::transaction::{Status, Transaction};

const VERSION: i16 = 0;

/// The key of a transactional id.
pub(crate) fn encode_key(transactional_id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_i16(VERSION);
    put_text(&mut bytes, transactional_id);
    bytes
}

/// The transactional id; `None` for keys of other kinds.
pub(crate) fn decode_key(mut from: &[u8]) -> Option<String> {
    if from.try_get_i16().ok()? != VERSION {
        return None;
    }
    text(&mut from)
}

/// What is kept of a transaction.
pub(crate) fn encode_value(transaction: &Transaction) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_i16(VERSION);
    bytes.put_i64(transaction.producer.id);
    bytes.put_i16(transaction.producer.epoch);
    bytes.put_i32(transaction.timeout_ms);
    bytes.put_i8(transaction.status.wire());
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in &transaction.partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    bytes.put_i32(i32_of(topics.len()));
    for (topic, partitions) in topics {
        put_text(&mut bytes, topic);
        bytes.put_i32(i32_of(partitions.len()));
        for partition in partitions {
            bytes.put_i32(partition);
        }
    }
    bytes.put_i64(transaction.updated_ms);
    bytes.put_i64(transaction.started_ms);
    bytes
}

/// Reads what [`encode_value`] wrote; `None` if it is not that.
pub(crate) fn decode_value(mut from: &[u8]) -> Option<Transaction> {
    let from = &mut from;
    if from.try_get_i16().ok()? != VERSION {
        return None;
    }
    let mut transaction = Transaction::new(from.try_get_i64().ok()?, 0, 0);
    transaction.producer.epoch = from.try_get_i16().ok()?;
    transaction.timeout_ms = from.try_get_i32().ok()?;
    transaction.status = Status::of_wire(from.try_get_i8().ok()?)?;
    // Null is no partitions.
    for _ in 0..from.try_get_i32().ok()? {
        let topic = text(from)?;
        for _ in 0..from.try_get_i32().ok()? {
            transaction.partitions.insert((topic.clone(), from.try_get_i32().ok()?));
        }
    }
    transaction.updated_ms = from.try_get_i64().ok()?;
    transaction.started_ms = from.try_get_i64().ok()?;
    Some(transaction)
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    // Everything written here came in a string of the wire, or is a topic's name.
    let length = text.len().min(i16::MAX as usize);
    to.put_i16(i16::try_from(length).unwrap_or(i16::MAX));
    to.extend_from_slice(&text.as_bytes()[..length]);
}

fn text(from: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(from.try_get_i16().ok()?).ok()?;
    let (head, tail) = from.split_at_checked(length)?;
    *from = tail;
    String::from_utf8(head.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_read_back_and_the_bytes_are_kafkas() {
        assert_eq!(encode_key("tx"), b"\0\0\0\x02tx");
        assert_eq!(decode_key(b"\0\0\0\x02tx").as_deref(), Some("tx"));
        assert_eq!(decode_key(b"\0\x01\0\x02tx"), None);
        let mut transaction = Transaction::new(5, 60_000, 7);
        transaction.producer.epoch = 2;
        transaction.status = Status::Ongoing;
        transaction.started_ms = 6;
        transaction.partitions.extend([("t".to_owned(), 1), ("t".to_owned(), 3), ("u".to_owned(), 0)]);
        let bytes = encode_value(&transaction);
        assert_eq!(
            bytes,
            b"\0\0\
            \0\0\0\0\0\0\0\x05\0\x02\0\0\xea\x60\x01\
            \0\0\0\x02\0\x01t\0\0\0\x02\0\0\0\x01\0\0\0\x03\0\x01u\0\0\0\x01\0\0\0\0\
            \0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x06"
        );
        assert_eq!(decode_value(&bytes), Some(transaction));
        for length in 0..bytes.len() {
            assert_eq!(decode_value(&bytes[..length]), None, "length {length}");
        }
    }
}
