//! ListOffsets: earliest, latest, the largest timestamp, and by time.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ApiKey, ListOffsetsRequest, ListOffsetsResponse};

use crate::catalog::Topic;
use crate::log::lookup::Found;
use crate::log::partition::{LEADER_EPOCH, Partition};
use crate::log::read::{Isolation, ReadError};
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, epoch_code, isolation_of, read_code};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, I32, I64, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::ListOffsets,
    name: "list_offsets",
    versions: 1..=10,
    shape: Shape {
        flexible: 6,
        fields: &[
            all(I32),
            since(2, I8),
            all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32), since(4, I32), all(I64)]))])),
            since(10, I32),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// What stands for "no such record".
const NOTHING: Found = Found { offset: -1, timestamp: -1 };

async fn run(call: Call) -> Outcome {
    let request: ListOffsetsRequest = call.decode()?;
    let isolation = isolation_of(request.isolation_level);
    let mut topics = Vec::new();
    for asked in request.topics {
        let refused = call.require(Operation::Describe, Resource::Topic(&asked.name)).err();
        let topic = call.shared.catalog.get(&asked.name);
        let mut partitions = Vec::new();
        for partition in &asked.partitions {
            partitions.push(match refused {
                Some(error) => nothing(partition.partition_index).with_error_code(error.code()),
                None => list(&call, topic.as_deref(), partition, isolation).await,
            });
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(asked.name).with_partitions(partitions));
    }
    call.answer(&ListOffsetsResponse::default().with_topics(topics))
}

/// The answer for a partition of which nothing is told.
fn nothing(index: i32) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse::default().with_partition_index(index).with_offset(-1).with_timestamp(-1)
}

async fn list(
    call: &Call,
    topic: Option<&Topic>,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let answer = nothing(asked.partition_index);
    let Some(partition) = topic.and_then(|topic| topic.partition(asked.partition_index)) else {
        return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
    };
    let code = epoch_code(asked.current_leader_epoch);
    if code != NONE {
        return answer.with_error_code(code);
    }
    match find(partition, asked.timestamp, isolation).await {
        Ok(found) => {
            let answer = answer.with_offset(found.offset).with_timestamp(found.timestamp);
            if call.head.version >= 4 && found.offset >= 0 { answer.with_leader_epoch(LEADER_EPOCH) } else { answer }
        }
        Err(error) => answer.with_error_code(read_code(&error)),
    }
}

async fn find(partition: &Arc<Partition>, timestamp: i64, isolation: Isolation) -> Result<Found, ReadError> {
    let offsets = partition.offsets();
    let end = isolation.end(&offsets);
    match timestamp {
        LATEST => Ok(Found { offset: end, timestamp: -1 }),
        EARLIEST | EARLIEST_LOCAL => Ok(Found { offset: offsets.log_start, timestamp: -1 }),
        LATEST_TIERED => Ok(NOTHING),
        _ => {
            let partition = Arc::clone(partition);
            let looked = tokio::task::spawn_blocking(move || {
                if timestamp == MAX_TIMESTAMP {
                    partition.find_max_timestamp()
                } else {
                    partition.find_by_time(timestamp)
                }
            });
            let found = looked.await.map_err(|_| ReadError::Storage(std::io::Error::other("worker was lost")))??;
            Ok(found.filter(|found| found.offset < end).unwrap_or(NOTHING))
        }
    }
}
