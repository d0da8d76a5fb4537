//! ListPartitionReassignments: with one broker none is ever under way.

use kafka_protocol::messages::{ApiKey, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, I32_LIST, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::ListPartitionReassignments,
    name: "list_partition_reassignments",
    versions: 0..=0,
    shape: Shape { flexible: 0, fields: &[all(I32), all(Kind::List(&[all(Kind::Text), all(I32_LIST)]))] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let _request: ListPartitionReassignmentsRequest = call.decode()?;
    if let Err(error) = call.require(Operation::Describe, Resource::Cluster) {
        return call.answer(&ListPartitionReassignmentsResponse::default().with_error_code(error.code()));
    }
    call.answer(&ListPartitionReassignmentsResponse::default().with_error_message(None))
}
