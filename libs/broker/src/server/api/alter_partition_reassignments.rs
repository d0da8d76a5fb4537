//! AlterPartitionReassignments: every partition is on the one broker there is, and stays there.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I32, I32_LIST, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::AlterPartitionReassignments,
    name: "alter_partition_reassignments",
    versions: 0..=1,
    shape: Shape {
        flexible: 0,
        fields: &[
            all(I32),
            since(1, BOOL),
            all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32), all(I32_LIST)]))])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: AlterPartitionReassignmentsRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Alter, Resource::Cluster) {
        let message = Some(text("access rules do not allow it"));
        let refused = AlterPartitionReassignmentsResponse::default().with_error_code(error.code());
        return call.answer(&refused.with_error_message(message));
    }
    let node = call.shared.config.node_id;
    let responses = request.topics.into_iter().map(|asked| {
        let topic = call.shared.catalog.get(&asked.name);
        let partitions = asked.partitions.into_iter().map(|partition| {
            let known = topic.as_ref().is_some_and(|topic| topic.partition(partition.partition_index).is_some());
            let (code, message) = answer(known, &partition, node);
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
                .with_error_message(message.map(text))
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse::default().with_name(asked.name).with_partitions(partitions)
    });
    let response = AlterPartitionReassignmentsResponse::default().with_error_message(None);
    let response = response.with_responses(responses.collect());
    call.answer(&if call.head.version >= 1 {
        response.with_allow_replication_factor_change(request.allow_replication_factor_change)
    } else {
        response
    })
}

fn answer(known: bool, partition: &ReassignablePartition, node: i32) -> (i16, Option<&'static str>) {
    if !known {
        return (ResponseError::UnknownTopicOrPartition.code(), Some("there is no such partition"));
    }
    match &partition.replicas {
        // Null calls off what is under way.
        None => (ResponseError::NoReassignmentInProgress.code(), Some("nothing is under way")),
        Some(replicas) if replicas.iter().map(|id| id.0).eq([node]) => (NONE, None),
        Some(_) => (ResponseError::InvalidReplicaAssignment.code(), Some("there is one broker to assign to")),
    }
}
