//! ElectLeaders: there is one broker, and it leads every partition already.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ApiKey, ElectLeadersRequest, ElectLeadersResponse};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I8, I32, I32_LIST, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::ElectLeaders,
    name: "elect_leaders",
    versions: 0..=2,
    shape: Shape { flexible: 2, fields: &[since(1, I8), all(Kind::List(&[all(Kind::Text), all(I32_LIST)])), all(I32)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: ElectLeadersRequest = call.decode()?;
    let allowed = call.require(Operation::Alter, Resource::Cluster);
    // Whoever asks for all partitions is told of those for which there was something to do: none.
    let results = request.topic_partitions.unwrap_or_default().into_iter().map(|asked| {
        let topic = call.shared.catalog.get(&asked.topic);
        let partitions = asked.partitions.into_iter().map(|index| {
            let known = topic.as_ref().is_some_and(|topic| topic.partition(index).is_some());
            let (error, message) = if let Err(error) = allowed {
                (error, "access rules do not allow it")
            } else if known {
                (ResponseError::ElectionNotNeeded, "the partition has its leader")
            } else {
                (ResponseError::UnknownTopicOrPartition, "there is no such partition")
            };
            PartitionResult::default()
                .with_partition_id(index)
                .with_error_code(error.code())
                .with_error_message(Some(text(message)))
        });
        let partitions = partitions.collect();
        ReplicaElectionResult::default().with_topic(asked.topic).with_partition_result(partitions)
    });
    let results = results.collect();
    let code = allowed.err().filter(|_| call.head.version >= 1).map_or(NONE, |error| error.code());
    call.answer(&ElectLeadersResponse::default().with_error_code(code).with_replica_election_results(results))
}
