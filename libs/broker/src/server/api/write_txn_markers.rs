//! WriteTxnMarkers: an operator ends what is open in a partition by hand, as `kafka-transactions abort` does. The
//! coordinator writes its own markers without it.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{ApiKey, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::log::control::Marker;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, append_code};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::wire::shape::{BOOL, I16, I32, I32_LIST, I64, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::WriteTxnMarkers,
    name: "write_txn_markers",
    versions: 1..=1,
    shape: Shape {
        flexible: 1,
        fields: &[all(Kind::List(&[
            all(I64),
            all(I16),
            all(BOOL),
            all(Kind::List(&[all(Kind::Text), all(I32_LIST)])),
            all(I32),
        ]))],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: WriteTxnMarkersRequest = call.decode()?;
    let may = call.sees(Operation::Alter, Resource::Cluster);
    let refused = if may { None } else { call.require(Operation::ClusterAction, Resource::Cluster).err() };
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in &marker.topics {
            let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
            for index in &topic.partition_indexes {
                let code = match refused {
                    Some(error) => error.code(),
                    None => end(&call, &marker, &topic.name, *index).await,
                };
                let result = WritableTxnMarkerPartitionResult::default().with_partition_index(*index);
                partitions.push(result.with_error_code(code));
            }
            let result = WritableTxnMarkerTopicResult::default().with_name(topic.name.clone());
            topics.push(result.with_partitions(partitions));
        }
        markers.push(WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(topics));
    }
    call.answer(&WriteTxnMarkersResponse::default().with_markers(markers))
}

/// Ends a producer's transaction in one partition; what is not open there needs no end.
async fn end(call: &Call, marker: &WritableTxnMarker, topic: &TopicName, index: i32) -> i16 {
    let found = call.shared.catalog.get(topic).filter(|topic| !topic.is_internal());
    let Some(partition) = found.and_then(|topic| topic.partition(index).cloned()) else {
        return ResponseError::UnknownTopicOrPartition.code();
    };
    let run = ProducerRun { id: marker.producer_id.0, epoch: marker.producer_epoch };
    let says = if marker.transaction_result { Marker::Commit } else { Marker::Abort };
    let writing = Arc::clone(&partition);
    let appended = tokio::task::spawn_blocking(move || writing.end_open(run, says)).await;
    let synced = match appended {
        Ok(Ok(Some(appended))) => partition.wait_synced(appended.end).await,
        Ok(Ok(None)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => return ResponseError::UnknownServerError.code(),
    };
    synced.map_or_else(|error| append_code(&error), |()| NONE)
}
