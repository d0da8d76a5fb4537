//! OffsetFetch: what groups have committed, for named partitions or for all.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{ApiKey, GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use crate::groups::records::Committed;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, once, text};
use crate::server::connection::{Call, Outcome};
use crate::sync::lock;
use crate::wire::shape::{BOOL, I32, I32_LIST, Kind, Shape, all, since, until};

pub(crate) static API: Api = Api {
    key: ApiKey::OffsetFetch,
    name: "offset_fetch",
    versions: 1..=9,
    shape: Shape {
        flexible: 6,
        fields: &[
            until(7, Kind::Text),
            until(7, Kind::List(&[all(Kind::Text), all(I32_LIST)])),
            since(
                8,
                Kind::List(&[
                    all(Kind::Text),
                    since(9, Kind::Text),
                    since(9, I32),
                    all(Kind::List(&[all(Kind::Text), all(I32_LIST)])),
                ]),
            ),
            since(7, BOOL),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// Topics and partitions; `None` asks for all.
type Asked = Option<Vec<(TopicName, Vec<i32>)>>;
/// What is committed for a topic's partitions.
type Found = Vec<(TopicName, Vec<(i32, Position)>)>;

/// What is told of a partition.
struct Position {
    code: i16,
    /// -1 stands for nothing, as in the epoch.
    offset: i64,
    leader_epoch: i32,
    metadata: String,
}

impl Position {
    fn of(committed: Option<&Committed>) -> Self {
        match committed {
            Some(Committed { offset, leader_epoch, metadata, .. }) => {
                Self { code: NONE, offset: *offset, leader_epoch: *leader_epoch, metadata: metadata.clone() }
            }
            None => Self::refused(NONE),
        }
    }

    fn refused(code: i16) -> Self {
        Self { code, offset: -1, leader_epoch: -1, metadata: String::new() }
    }
}

async fn run(call: Call) -> Outcome {
    let request: OffsetFetchRequest = call.decode()?;
    let stable = request.require_stable;
    if call.head.version >= 8 {
        let groups = once(request.groups, |group| group.group_id.clone()).map(|group| {
            let allowed = call.require(Operation::Describe, Resource::Group(&group.group_id));
            if let Err(error) = allowed.and_then(|()| check_reader(&call, &group)) {
                let refused = OffsetFetchResponseGroup::default().with_group_id(group.group_id);
                return refused.with_error_code(error.code());
            }
            let asked = group
                .topics
                .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
            let topics = find(&call, &group.group_id, asked, stable).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, position)| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_error_code(position.code)
                        .with_committed_offset(position.offset)
                        .with_committed_leader_epoch(position.leader_epoch)
                        .with_metadata(Some(text(position.metadata)))
                });
                OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
            });
            let topics = topics.collect();
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
        });
        return call.answer(&OffsetFetchResponse::default().with_groups(groups.collect()));
    }
    if let Err(error) = call.require(Operation::Describe, Resource::Group(&request.group_id)) {
        return refused(&call, request, error);
    }
    let asked =
        request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
    let topics = find(&call, &request.group_id, asked, stable).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, position)| {
            let partition = OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(position.code)
                .with_committed_offset(position.offset)
                .with_metadata(Some(text(position.metadata)));
            if call.head.version >= 5 {
                partition.with_committed_leader_epoch(position.leader_epoch)
            } else {
                partition
            }
        });
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    call.answer(&OffsetFetchResponse::default().with_topics(topics.collect()))
}

/// A member of KIP-848 that says who it is must be one, at its present epoch.
fn check_reader(call: &Call, asked: &OffsetFetchRequestGroup) -> Result<(), ResponseError> {
    let Some(member_id) = asked.member_id.as_ref().filter(|_| asked.member_epoch >= 0) else { return Ok(()) };
    let Some(group) = call.shared.groups.get(&asked.group_id) else { return Ok(()) };
    let group = lock(&group);
    group.consumers.as_ref().map_or(Ok(()), |consumers| consumers.check_committer(member_id, asked.member_epoch))
}

/// The answer of the versions that ask about one group, to somebody who may not ask about it.
fn refused(call: &Call, request: OffsetFetchRequest, error: ResponseError) -> Outcome {
    if call.head.version >= 2 {
        return call.answer(&OffsetFetchResponse::default().with_error_code(error.code()));
    }
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
        let partition = |index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(-1)
                .with_error_code(error.code())
        };
        let partitions = topic.partition_indexes.into_iter().map(partition).collect();
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    call.answer(&OffsetFetchResponse::default().with_topics(topics.collect()))
}

/// With `stable` a partition has no position while a transaction over it is undecided.
fn find(call: &Call, group: &GroupId, asked: Asked, stable: bool) -> Found {
    let refused = |topic: &str| call.require(Operation::Describe, Resource::Topic(topic)).err();
    let (asked, mut denied) = match asked {
        None => (None, Vec::new()),
        Some(topics) => {
            let mut denied = Vec::new();
            let mut allowed = Vec::new();
            for (topic, indexes) in topics {
                match refused(&topic) {
                    None => allowed.push((topic, indexes)),
                    Some(error) => {
                        let of = |index| (index, Position::refused(error.code()));
                        denied.push((topic, indexes.into_iter().map(of).collect()));
                    }
                }
            }
            (Some(allowed), denied)
        }
    };
    let mut found = find_allowed(call, group, asked, stable);
    found.append(&mut denied);
    found
}

fn find_allowed(call: &Call, group: &GroupId, asked: Asked, stable: bool) -> Found {
    let Some(group) = call.shared.groups.get(group) else {
        return nothing(asked);
    };
    let group = lock(&group);
    let position = |key: &(String, i32)| {
        if stable && group.undecided.values().any(|offsets| offsets.contains_key(key)) {
            return Position::refused(ResponseError::UnstableOffsetCommit.code());
        }
        Position::of(group.offsets.get(key))
    };
    if let Some(asked) = asked {
        let topics = asked.into_iter().map(|(topic, indexes)| {
            let of = |index| (index, position(&(topic.to_string(), index)));
            let partitions = indexes.into_iter().map(of).collect();
            (topic, partitions)
        });
        return topics.collect();
    }
    let keys: BTreeSet<&(String, i32)> =
        group.offsets.keys().chain(group.undecided.values().flat_map(|offsets| offsets.keys())).collect();
    let mut topics: BTreeMap<&str, Vec<(i32, Position)>> = BTreeMap::new();
    for key in keys {
        if !call.sees(Operation::Describe, Resource::Topic(&key.0)) {
            continue;
        }
        // What is undecided and not committed before is told only to those who wait for decisions.
        if stable || group.offsets.contains_key(key) {
            topics.entry(&key.0).or_default().push((key.1, position(key)));
        }
    }
    topics.into_iter().map(|(topic, partitions)| (TopicName(text(topic)), partitions)).collect()
}

/// The answer for a group that is not there.
fn nothing(asked: Asked) -> Found {
    let topics = asked.unwrap_or_default().into_iter().map(|(topic, indexes)| {
        let partitions = indexes.into_iter().map(|index| (index, Position::refused(NONE))).collect();
        (topic, partitions)
    });
    topics.collect()
}
