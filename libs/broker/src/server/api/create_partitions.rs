//! CreatePartitions: more partitions for a topic; never fewer.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{ApiKey, CreatePartitionsRequest, CreatePartitionsResponse};

use crate::num::usize_of_i32;
use crate::security::acl::{Operation, Resource};
use crate::server::api::config_change::{Refused, refused};
use crate::server::api::{Api, Handle, NONE, chain, topic_code};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{BOOL, I32, I32_LIST, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::CreatePartitions,
    name: "create_partitions",
    versions: 0..=3,
    shape: Shape {
        flexible: 2,
        fields: &[
            all(Kind::List(&[all(Kind::Text), all(I32), all(Kind::List(&[all(I32_LIST)]))])),
            all(I32),
            all(BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: CreatePartitionsRequest = call.decode()?;
    let mut seen = HashSet::new();
    let twice: HashSet<_> =
        request.topics.iter().map(|topic| &topic.name).filter(|name| !seen.insert(*name)).cloned().collect();
    let mut results = Vec::new();
    for topic in request.topics {
        let grown = if twice.contains(&topic.name) {
            Err(refused(ResponseError::InvalidRequest, "the request names the topic more than once"))
        } else if let Err(error) = call.require(Operation::Alter, Resource::Topic(&topic.name)) {
            Err(refused(error, "access rules do not allow it"))
        } else {
            grow(&call, &topic, request.validate_only).await
        };
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        results.push(match grown {
            Ok(()) => result.with_error_code(NONE).with_error_message(None),
            Err(refused) => result.with_error_code(refused.code).with_error_message(Some(refused.message)),
        });
    }
    call.answer(&CreatePartitionsResponse::default().with_results(results))
}

async fn grow(call: &Call, asked: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refused> {
    let catalog = &call.shared.catalog;
    if let Some(topic) = catalog.get(&asked.name) {
        if topic.is_internal() {
            return Err(refused(ResponseError::InvalidTopicException, "this topic is the broker's own"));
        }
        let added = usize_of_i32(asked.count).saturating_sub(topic.partitions.len());
        if let Some(assignments) = asked.assignments.as_ref().filter(|_| added > 0) {
            let node = call.shared.config.node_id;
            let here = assignments.iter().all(|assignment| assignment.broker_ids.iter().map(|id| id.0).eq([node]));
            if !here || assignments.len() != added {
                return Err(refused(
                    ResponseError::InvalidReplicaAssignment,
                    "each new partition is assigned to this broker alone",
                ));
            }
        }
    }
    let grown = catalog.add_partitions(&asked.name, asked.count, validate_only).await;
    grown.map_err(|error| Refused { code: topic_code(&error), message: chain(&error) })
}
