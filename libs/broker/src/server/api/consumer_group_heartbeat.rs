//! ConsumerGroupHeartbeat: a member of a group whose partitions the broker shares (KIP-848).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ApiKey, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use uuid::Uuid;

use crate::groups::assignors::Parts;
use crate::groups::consumers::Beat;
use crate::groups::coordinator;
use crate::num::u64_of;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, I32_LIST, Kind, Shape, UUID, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::ConsumerGroupHeartbeat,
    name: "consumer_group_heartbeat",
    versions: 0..=1,
    shape: Shape {
        flexible: 0,
        fields: &[
            all(Kind::Text),
            all(Kind::Text),
            all(I32),
            all(Kind::Text),
            all(Kind::Text),
            all(I32),
            all(Kind::TextList),
            since(1, Kind::Text),
            all(Kind::Text),
            all(Kind::List(&[all(UUID), all(I32_LIST)])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: ConsumerGroupHeartbeatRequest = call.decode()?;
    let group_id = request.group_id.to_string();
    if let Err(error) = require(&call, &request) {
        return call.answer(&ConsumerGroupHeartbeatResponse::default().with_error_code(error.code()));
    }
    let world = coordinator::world(&call.shared.catalog);
    let beaten = call.shared.groups.consumer_heartbeat(&group_id, beat(&call, request), world).await;
    let response = match beaten {
        Ok(beaten) => ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(beaten.member_id)))
            .with_member_epoch(beaten.epoch)
            .with_heartbeat_interval_ms(call.shared.config.consumer_group_heartbeat_interval_ms)
            .with_assignment(beaten.assignment.map(assignment)),
        Err(refused) => ConsumerGroupHeartbeatResponse::default()
            .with_error_code(refused.error.code())
            .with_error_message(Some(text(refused.message))),
    };
    call.answer(&response)
}

/// Who reads with a group may do so, and may know of the topics that it names.
fn require(call: &Call, request: &ConsumerGroupHeartbeatRequest) -> Result<(), ResponseError> {
    call.require(Operation::Read, Resource::Group(&request.group_id))?;
    let mut names = request.subscribed_topic_names.iter().flatten();
    names.try_for_each(|name| call.require(Operation::Describe, Resource::Topic(name)))
}

fn beat(call: &Call, request: ConsumerGroupHeartbeatRequest) -> Beat {
    let owned = request.topic_partitions.map(|topics| {
        let parts = |topic: &kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions| {
            let id = topic.topic_id;
            topic.partitions.iter().map(move |index| (id, *index)).collect::<Vec<_>>()
        };
        topics.iter().flat_map(parts).collect::<Parts>()
    });
    let names = request.subscribed_topic_names;
    let timeout = request.rebalance_timeout_ms;
    Beat {
        member_id: request.member_id.to_string(),
        epoch: request.member_epoch,
        instance: request.instance_id.map(|id| id.to_string()),
        rack: request.rack_id.map(|rack| rack.to_string()),
        client_id: call.head.client_id.to_string(),
        client_host: format!("/{}", call.peer.ip()),
        rebalance_timeout: (timeout >= 0).then(|| Duration::from_millis(u64_of(i64::from(timeout)))),
        names: names.map(|names| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>()),
        pattern: request.subscribed_topic_regex.map(|pattern| pattern.to_string()),
        assignor: request.server_assignor.map(|name| name.to_string()),
        owned,
    }
}

fn assignment(parts: Parts) -> Assignment {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, index) in parts {
        topics.entry(topic).or_default().push(index);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| TopicPartitions::default().with_topic_id(topic).with_partitions(partitions));
    Assignment::default().with_topic_partitions(topics.collect())
}
