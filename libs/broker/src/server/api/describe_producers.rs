//! DescribeProducers: who has written to a partition lately, and whose transactions are open in it.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{ApiKey, DescribeProducersRequest, DescribeProducersResponse};

use crate::catalog::Topic;
use crate::log::control::COORDINATOR_EPOCH;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, once};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::Refusal;
use crate::wire::shape::{I32_LIST, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::DescribeProducers,
    name: "describe_producers",
    versions: 0..=0,
    shape: Shape { flexible: 0, fields: &[all(Kind::List(&[all(Kind::Text), all(I32_LIST)]))] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    // In a thread that may wait for whoever holds a partition.
    tokio::task::spawn_blocking(move || describe_all(&call)).await.map_err(|_| Refusal::Panicked)?
}

fn describe_all(call: &Call) -> Outcome {
    let request: DescribeProducersRequest = call.decode()?;
    let topics = once(request.topics, |asked| asked.name.clone()).map(|mut asked| {
        let refused = call.require(Operation::Read, Resource::Topic(&asked.name)).err();
        let topic = call.shared.catalog.get(&asked.name);
        let indexes = once(std::mem::take(&mut asked.partition_indexes), |index| *index);
        let partitions = indexes.map(|index| match refused {
            Some(error) => PartitionResponse::default().with_partition_index(index).with_error_code(error.code()),
            None => describe(topic.as_deref(), index),
        });
        TopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
    });
    let topics = topics.collect();
    call.answer(&DescribeProducersResponse::default().with_topics(topics))
}

fn describe(topic: Option<&Topic>, index: i32) -> PartitionResponse {
    let answer = PartitionResponse::default().with_partition_index(index).with_error_message(None);
    let Some(partition) = topic.and_then(|topic| topic.partition(index)) else {
        return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
    };
    let producers = partition.producers().into_iter().map(|producer| {
        ProducerState::default()
            .with_producer_id(producer.id.into())
            .with_producer_epoch(i32::from(producer.epoch))
            .with_last_sequence(producer.last_sequence)
            .with_last_timestamp(producer.last_append_ms)
            .with_coordinator_epoch(COORDINATOR_EPOCH)
            .with_current_txn_start_offset(producer.open_since.unwrap_or(-1))
    });
    answer.with_active_producers(producers.collect())
}
