//! OffsetDelete: forgets what a group committed for partitions of topics that no member reads.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{ApiKey, OffsetDeleteRequest, OffsetDeleteResponse};

use crate::groups::offsets::Subscribed;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::wire::shape::{I32, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::OffsetDelete,
    name: "offset_delete",
    versions: 0..=0,
    shape: Shape {
        flexible: i16::MAX,
        fields: &[all(Kind::Text), all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32)]))]))],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: OffsetDeleteRequest = call.decode()?;
    let refused = |error: ResponseError| call.answer(&OffsetDeleteResponse::default().with_error_code(error.code()));
    if let Err(error) = call.require(Operation::Delete, Resource::Group(&request.group_id)) {
        return refused(error);
    }
    let denied: BTreeMap<String, ResponseError> = request
        .topics
        .iter()
        .filter_map(|asked| {
            let error = call.require(Operation::Read, Resource::Topic(&asked.name)).err()?;
            Some((asked.name.to_string(), error))
        })
        .collect();
    let Some(group) = call.shared.groups.get(&request.group_id) else {
        return refused(ResponseError::GroupIdNotFound);
    };
    let subscribed = lock(&group).subscribed();
    let free = |topic: &str| match &subscribed {
        Subscribed::Nothing => true,
        Subscribed::Topics(topics) => !topics.contains(topic),
        Subscribed::Unknown => false,
    };
    if matches!(subscribed, Subscribed::Unknown) {
        return refused(ResponseError::NonEmptyGroup);
    }
    let doomed = |topic: &str, partition: i32| {
        let named = request.topics.iter().any(|asked| {
            asked.name.as_str() == topic && asked.partitions.iter().any(|asked| asked.partition_index == partition)
        });
        named && free(topic) && !denied.contains_key(topic)
    };
    if let Err(error) = call.shared.groups.remove_offsets(&group, |group| group.committed_keys(doomed)).await {
        return refused(error);
    }
    let topics = request.topics.iter().map(|asked| {
        let topic = call.shared.catalog.get(&asked.name);
        let partitions = asked.partitions.iter().map(|partition| {
            let known = topic.as_ref().is_some_and(|topic| topic.partition(partition.partition_index).is_some());
            let code = if let Some(error) = denied.get(asked.name.as_str()) {
                error.code()
            } else if !free(&asked.name) {
                ResponseError::GroupSubscribedToTopic.code()
            } else if known {
                NONE
            } else {
                ResponseError::UnknownTopicOrPartition.code()
            };
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
        });
        OffsetDeleteResponseTopic::default().with_name(asked.name.clone()).with_partitions(partitions.collect())
    });
    call.answer(&OffsetDeleteResponse::default().with_topics(topics.collect()))
}
