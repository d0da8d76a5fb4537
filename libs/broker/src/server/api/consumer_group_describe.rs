//! ConsumerGroupDescribe: members of groups of KIP-848 with what they read and what they are to read.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{Assignment, DescribedGroup, Member, TopicPartitions};
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName,
};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::groups::assignors::Parts;
use crate::groups::consumers::{Consumer, Consumers};
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, OPERATIONS_UNKNOWN, once, text};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::wire::shape::{BOOL, Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::ConsumerGroupDescribe,
    name: "consumer_group_describe",
    versions: 0..=1,
    shape: Shape { flexible: 0, fields: &[all(Kind::TextList), all(BOOL)] },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// What version 1 calls a member of this protocol.
const CONSUMER_MEMBER: i8 = 1;

async fn run(call: Call) -> Outcome {
    let request: ConsumerGroupDescribeRequest = call.decode()?;
    let wanted = request.include_authorized_operations;
    let groups = once(request.group_ids, GroupId::clone).map(|id| {
        let resource = Resource::Group(&id);
        if let Err(error) = call.require(Operation::Describe, resource) {
            return DescribedGroup::default().with_error_code(error.code()).with_group_id(id);
        }
        let operations = if wanted { call.operations(resource) } else { OPERATIONS_UNKNOWN };
        let group = call.shared.groups.get(&id);
        let described = group.and_then(|group| {
            let group = lock(&group);
            group.consumers.as_ref().map(|consumers| describe(consumers, &call.shared.catalog, call.head.version))
        });
        let described = described.unwrap_or_else(|| {
            let message = "there is no such group, or it is of the classic protocol";
            DescribedGroup::default()
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(text(message)))
        });
        let described = if sees_topics(&call, &described) {
            described
        } else {
            DescribedGroup::default().with_error_code(ResponseError::TopicAuthorizationFailed.code())
        };
        described.with_group_id(id).with_authorized_operations(operations)
    });
    let groups = groups.collect();
    call.answer(&ConsumerGroupDescribeResponse::default().with_groups(groups))
}

/// Whether the caller may know of every topic that the group reads.
fn sees_topics(call: &Call, group: &DescribedGroup) -> bool {
    let read = group.members.iter().flat_map(|member| [&member.assignment, &member.target_assignment]);
    read.flat_map(|assignment| &assignment.topic_partitions)
        .all(|topic| call.sees(Operation::Describe, Resource::Topic(&topic.topic_name)))
}

fn describe(group: &Consumers, catalog: &Catalog, version: i16) -> DescribedGroup {
    let members = group.members.iter().map(|(id, member)| describe_member(id, member, catalog, version));
    DescribedGroup::default()
        .with_group_state(text(group.state()))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.epoch)
        .with_assignor_name(text(group.assignor.name()))
        .with_members(members.collect())
}

fn describe_member(id: &str, member: &Consumer, catalog: &Catalog, version: i16) -> Member {
    let described = Member::default()
        .with_member_id(text(id))
        .with_instance_id(member.instance.clone().map(text))
        .with_rack_id(member.rack.clone().map(text))
        .with_member_epoch(member.epoch)
        .with_client_id(text(member.client_id.clone()))
        .with_client_host(text(member.client_host.clone()))
        .with_subscribed_topic_names(member.names.iter().map(|name| TopicName(text(name.clone()))).collect())
        .with_subscribed_topic_regex(member.pattern.as_ref().map(|pattern| text(pattern.text.clone())))
        .with_assignment(assignment(&member.assigned, catalog))
        .with_target_assignment(assignment(&member.target, catalog));
    if version >= 1 { described.with_member_type(CONSUMER_MEMBER) } else { described }
}

/// Partitions by topic; those of a topic that is gone are left out.
fn assignment(parts: &Parts, catalog: &Catalog) -> Assignment {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, index) in parts {
        topics.entry(*topic).or_default().push(*index);
    }
    let named = topics.into_iter().filter_map(|(id, partitions)| {
        let name = TopicName(text(catalog.get_by_id(id)?.name.to_string()));
        Some(TopicPartitions::default().with_topic_id(id).with_topic_name(name).with_partitions(partitions))
    });
    Assignment::default().with_topic_partitions(named.collect())
}
