//! DeleteRecords: makes everything below an offset unreadable; answered when that would survive a crash.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{ApiKey, DeleteRecordsRequest, DeleteRecordsResponse};

use crate::catalog::Topic;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, read_code};
use crate::server::connection::{Call, Outcome};
use crate::server::keeper;
use crate::wire::header::Refusal;
use crate::wire::shape::{I32, I64, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DeleteRecords,
    name: "delete_records",
    versions: 0..=2,
    shape: Shape {
        flexible: 2,
        fields: &[all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32), all(I64)]))])), all(I32)],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// What stands for no low watermark.
const INVALID_LOW_WATERMARK: i64 = -1;

async fn run(call: Call) -> Outcome {
    // In a thread that may wait for whoever holds a partition.
    let deleting = tokio::task::spawn_blocking(move || delete_all(&call).map(|topics| (call, topics)));
    let (call, mut topics) = deleting.await.map_err(|_| Refusal::Panicked)??;
    if !keeper::save_checkpoint(&call.shared.catalog, false).await {
        // What could not be written down may be readable again after a restart.
        let deleted = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in deleted.filter(|partition| partition.error_code == NONE) {
            partition.error_code = ResponseError::KafkaStorageError.code();
            partition.low_watermark = INVALID_LOW_WATERMARK;
        }
    }
    call.answer(&DeleteRecordsResponse::default().with_topics(topics))
}

fn delete_all(call: &Call) -> Result<Vec<DeleteRecordsTopicResult>, Refusal> {
    let request: DeleteRecordsRequest = call.decode()?;
    let mut topics = Vec::new();
    for asked in request.topics {
        let refused = call.require(Operation::Delete, Resource::Topic(&asked.name)).err();
        let topic = call.shared.catalog.get(&asked.name);
        let partitions = asked.partitions.iter().map(|partition| match refused {
            Some(error) => nothing(partition).with_error_code(error.code()),
            None => delete(topic.as_ref(), partition),
        });
        let partitions = partitions.collect();
        topics.push(DeleteRecordsTopicResult::default().with_name(asked.name).with_partitions(partitions));
    }
    Ok(topics)
}

/// The answer for a partition of which nothing was deleted.
fn nothing(asked: &DeleteRecordsPartition) -> DeleteRecordsPartitionResult {
    DeleteRecordsPartitionResult::default()
        .with_partition_index(asked.partition_index)
        .with_low_watermark(INVALID_LOW_WATERMARK)
}

fn delete(topic: Option<&Arc<Topic>>, asked: &DeleteRecordsPartition) -> DeleteRecordsPartitionResult {
    let result = nothing(asked);
    let refused = |code: ResponseError| result.clone().with_error_code(code.code());
    let Some(topic) = topic else { return refused(ResponseError::UnknownTopicOrPartition) };
    let Some(partition) = topic.partition(asked.partition_index) else {
        return refused(ResponseError::UnknownTopicOrPartition);
    };
    if topic.is_internal() {
        return refused(ResponseError::InvalidTopicException);
    }
    // A compacted topic is a table: its beginning is not the past of anything.
    if !partition.config().deletes {
        return refused(ResponseError::PolicyViolation);
    }
    match partition.delete_before(asked.offset) {
        Ok(offsets) => result.with_low_watermark(offsets.log_start),
        Err(error) => result.with_error_code(read_code(&error)),
    }
}
