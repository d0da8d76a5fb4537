//! Fetch answers, laid out around records that stay where they are: an encoder that holds them would copy them.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::fetch_response::AbortedTransaction;
use kafka_protocol::messages::{FetchResponse, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use uuid::Uuid;

use crate::log::read::Records;
use crate::num::i32_of;
use crate::wire::header::{Head, Refusal};

/// First version with compact lengths and tagged fields.
pub(crate) const FLEXIBLE_SINCE: i16 = 12;
/// First version that names topics by id.
pub(crate) const BY_ID_SINCE: i16 = 13;

/// What is told of a topic.
#[derive(Debug)]
pub(crate) struct TopicPart {
    pub(crate) name: TopicName,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<PartitionPart>,
}

/// What is told of a partition.
#[derive(Debug)]
pub(crate) struct PartitionPart {
    pub(crate) index: i32,
    pub(crate) code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable: i64,
    pub(crate) log_start: i64,
    pub(crate) aborted: Vec<AbortedTransaction>,
    pub(crate) records: Records,
}

/// The answer, length first, as parts that follow each other.
pub(crate) fn encode(head: &Head, session: i32, topics: Vec<TopicPart>) -> Result<Vec<Records>, Refusal> {
    let version = head.version;
    let mut out =
        Out { parts: Vec::new(), open: BytesMut::new(), closed_bytes: 0, flexible: version >= FLEXIBLE_SINCE };
    out.open.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(head.correlation);
    let encoded = header.encode(&mut out.open, FetchResponse::header_version(version));
    encoded.map_err(|error| Refusal::Encode(error.to_string()))?;
    // Nobody is throttled.
    out.open.put_i32(0);
    if version >= 7 {
        out.open.put_i16(0);
        out.open.put_i32(session);
    }
    out.count(topics.len());
    for topic in topics {
        if version >= BY_ID_SINCE {
            out.open.put_slice(topic.id.as_bytes());
        } else {
            out.name(&topic.name);
        }
        out.count(topic.partitions.len());
        for partition in topic.partitions {
            out.partition(version, partition)?;
        }
        out.no_tags();
    }
    out.no_tags();
    Ok(out.finish())
}

struct Out {
    parts: Vec<Records>,
    open: BytesMut,
    closed_bytes: usize,
    flexible: bool,
}

impl Out {
    fn partition(&mut self, version: i16, partition: PartitionPart) -> Result<(), Refusal> {
        self.open.put_i32(partition.index);
        self.open.put_i16(partition.code);
        self.open.put_i64(partition.high_watermark);
        self.open.put_i64(partition.last_stable);
        if version >= 5 {
            self.open.put_i64(partition.log_start);
        }
        self.count(partition.aborted.len());
        for aborted in &partition.aborted {
            aborted.encode(&mut self.open, version).map_err(|error| Refusal::Encode(error.to_string()))?;
        }
        if version >= 11 {
            // No replica is to be preferred.
            self.open.put_i32(-1);
        }
        self.count(partition.records.len());
        match partition.records {
            Records::Held(bytes) => self.open.put_slice(&bytes),
            stored @ Records::Stored(_) => {
                self.close();
                self.closed_bytes += stored.len();
                self.parts.push(stored);
            }
        }
        self.no_tags();
        Ok(())
    }

    /// How many elements, or bytes, follow.
    fn count(&mut self, count: usize) {
        if self.flexible { self.varint(count + 1) } else { self.open.put_i32(i32_of(count)) }
    }

    fn name(&mut self, name: &str) {
        if self.flexible {
            self.varint(name.len() + 1);
        } else {
            self.open.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
        }
        self.open.put_slice(name.as_bytes());
    }

    fn varint(&mut self, value: usize) {
        let mut value = value as u64;
        while value >= 0x80 {
            self.open.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.open.put_u8((value & 0x7f) as u8);
    }

    fn no_tags(&mut self) {
        if self.flexible {
            self.open.put_u8(0);
        }
    }

    fn close(&mut self) {
        self.closed_bytes += self.open.len();
        self.parts.push(Records::Held(self.open.split().freeze()));
    }

    fn finish(mut self) -> Vec<Records> {
        let length = i32_of(self.closed_bytes + self.open.len() - 4).to_be_bytes();
        match self.parts.first_mut() {
            Some(Records::Held(first)) => {
                let mut patched = BytesMut::from(&first[..]);
                patched[..4].copy_from_slice(&length);
                *first = patched.freeze();
            }
            _ => self.open[..4].copy_from_slice(&length),
        }
        self.close();
        self.parts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    use bytes::Bytes;
    use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use kafka_protocol::messages::{BrokerId, ProducerId};
    use kafka_protocol::protocol::StrBytes;

    use crate::log::read::Extent;
    use crate::wire::header::encode_response;

    fn aborted() -> AbortedTransaction {
        AbortedTransaction::default().with_producer_id(ProducerId(7)).with_first_offset(8)
    }

    /// A partition with these records, as the library has it.
    fn expected(version: i16, index: i32, records: &[u8]) -> PartitionData {
        let mut data = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(3)
            .with_high_watermark(300)
            .with_last_stable_offset(200)
            .with_aborted_transactions(Some(vec![aborted(); 2]))
            .with_records(Some(Bytes::copy_from_slice(records)));
        if version >= 5 {
            data.log_start_offset = 100;
        }
        if version >= 11 {
            data.preferred_read_replica = BrokerId(-1);
        }
        data
    }

    fn part(index: i32, records: Records) -> PartitionPart {
        let aborted = vec![aborted(); 2];
        PartitionPart { index, code: 3, high_watermark: 300, last_stable: 200, log_start: 100, aborted, records }
    }

    #[test]
    fn every_version_is_laid_out_as_the_encoder_of_the_library_does_it() {
        let bytes = vec![5_u8; 100_000];
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let stored = Records::Stored(Extent { file: Arc::new(file), position: 10, length: 70_000 });
        let (name, id) = (TopicName(StrBytes::from_string("t".repeat(200))), Uuid::from_u128(9));
        for version in 4..=18 {
            let head = Head { version, correlation: 77, client_id: StrBytes::default() };
            let held = Records::Held(Bytes::copy_from_slice(&bytes[..300]));
            let lists = [vec![], vec![stored.clone()], vec![held.clone()], vec![Records::NONE, stored.clone(), held]];
            for records in lists {
                let session = if version >= 7 { 55 } else { 0 };
                let of_library =
                    records.iter().zip(0..).map(|(one, index)| expected(version, index, &one.clone().load().unwrap()));
                let mut topic = FetchableTopicResponse::default().with_partitions(of_library.collect());
                if version >= BY_ID_SINCE {
                    topic.topic_id = id;
                } else {
                    topic.topic = name.clone();
                }
                let response =
                    FetchResponse::default().with_session_id(session).with_responses(vec![topic.clone(), topic]);
                let wanted = encode_response(77, version, &response).unwrap();
                let made = || {
                    let partitions = records.iter().zip(0..).map(|(one, index)| part(index, one.clone())).collect();
                    TopicPart { name: name.clone(), id, partitions }
                };
                let parts = encode(&head, session, vec![made(), made()]).unwrap();
                let bytes: Vec<u8> = parts.into_iter().flat_map(|part| part.load().unwrap()).collect();
                assert!(bytes == wanted, "version {version}, {} partitions", records.len());
            }
        }
    }
}
