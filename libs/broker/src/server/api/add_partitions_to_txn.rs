//! AddPartitionsToTxn, in the versions of clients; the later ones are of brokers among themselves.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey};

use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, fenced_code};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::txns::transaction::Claim;
use crate::wire::shape::{I16, I32_LIST, I64, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::AddPartitionsToTxn,
    name: "add_partitions_to_txn",
    versions: 0..=3,
    shape: Shape {
        flexible: 3,
        fields: &[all(Kind::Text), all(I64), all(I16), all(Kind::List(&[all(Kind::Text), all(I32_LIST)]))],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: AddPartitionsToTxnRequest = call.decode()?;
    let id = ProducerRun { id: request.v3_and_below_producer_id.0, epoch: request.v3_and_below_producer_epoch };
    let claim = Claim { producer: id, fenced: fenced_code(call.head.version >= 2) };
    let topics = request.v3_and_below_topics;
    let asked = topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index)));
    let asked: Vec<(String, i32)> = asked.collect();
    let transaction = Resource::TransactionalId(&request.v3_and_below_transactional_id);
    let allowed = call.require(Operation::Write, transaction);
    let denied: BTreeMap<String, ResponseError> = topics
        .iter()
        .filter_map(|topic| {
            let write = |()| call.require(Operation::Write, Resource::Topic(&topic.name));
            Some((topic.name.to_string(), allowed.and_then(write).err()?))
        })
        .collect();
    let is_known = |name: &str, index: i32| {
        call.shared.catalog.get(name).is_some_and(|topic| !topic.is_internal() && topic.partition(index).is_some())
    };
    let all_known = denied.is_empty() && asked.iter().all(|(name, index)| is_known(name, *index));
    let added = if all_known {
        let added = call.shared.txns.add(&request.v3_and_below_transactional_id, claim, &asked).await;
        added.map_or_else(|error| error.code(), |_| NONE)
    } else {
        ResponseError::OperationNotAttempted.code()
    };
    let results = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let code = match denied.get(topic.name.as_str()) {
                Some(error) => error.code(),
                None if is_known(&topic.name, *index) => added,
                None => ResponseError::UnknownTopicOrPartition.code(),
            };
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(code)
        });
        let partitions = partitions.collect();
        AddPartitionsToTxnTopicResult::default().with_name(topic.name).with_results_by_partition(partitions)
    });
    let response = AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect());
    call.answer(&response)
}
