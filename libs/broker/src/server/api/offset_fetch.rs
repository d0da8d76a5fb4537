//! OffsetFetch: what groups have committed, for named partitions or for all.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{ApiKey, GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use crate::groups::records::Committed;
use crate::server::api::{Api, Handle, text};
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
/// What is committed for a topic's partitions; `None` is nothing.
type Found = Vec<(TopicName, Vec<(i32, Option<Committed>)>)>;

async fn run(call: Call) -> Outcome {
    let request: OffsetFetchRequest = call.decode()?;
    if call.head.version >= 8 {
        let groups = request.groups.into_iter().map(|group| {
            let asked = group
                .topics
                .map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
            let topics = find(&call, &group.group_id, asked).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, committed)| {
                    let (offset, epoch, metadata) = parts(committed);
                    let partition = OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_committed_offset(offset);
                    partition.with_committed_leader_epoch(epoch).with_metadata(Some(text(metadata)))
                });
                OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
            });
            let topics = topics.collect();
            OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics)
        });
        return call.answer(&OffsetFetchResponse::default().with_groups(groups.collect()));
    }
    let asked =
        request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect());
    let topics = find(&call, &request.group_id, asked).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, committed)| {
            let (offset, epoch, metadata) = parts(committed);
            let partition =
                OffsetFetchResponsePartition::default().with_partition_index(index).with_committed_offset(offset);
            let partition = partition.with_metadata(Some(text(metadata)));
            if call.head.version >= 5 { partition.with_committed_leader_epoch(epoch) } else { partition }
        });
        OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    call.answer(&OffsetFetchResponse::default().with_topics(topics.collect()))
}

fn find(call: &Call, group: &GroupId, asked: Asked) -> Found {
    let group = call.shared.groups.get(group);
    let committed = group.map(|group| lock(&group).offsets.clone()).unwrap_or_default();
    if let Some(asked) = asked {
        let of = |topic: &TopicName, index: i32| committed.get(&(topic.to_string(), index)).cloned();
        let topics = asked.into_iter().map(|(topic, indexes)| {
            let partitions = indexes.into_iter().map(|index| (index, of(&topic, index))).collect();
            (topic, partitions)
        });
        return topics.collect();
    }
    let mut topics: BTreeMap<String, Vec<(i32, Option<Committed>)>> = BTreeMap::new();
    for ((topic, index), committed) in committed {
        topics.entry(topic).or_default().push((index, Some(committed)));
    }
    topics.into_iter().map(|(topic, partitions)| (TopicName(text(topic)), partitions)).collect()
}

/// Offset, leader epoch and metadata; -1 stands for nothing.
fn parts(committed: Option<Committed>) -> (i64, i32, String) {
    committed
        .map_or((-1, -1, String::new()), |committed| (committed.offset, committed.leader_epoch, committed.metadata))
}
