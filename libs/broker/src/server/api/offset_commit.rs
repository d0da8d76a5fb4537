//! OffsetCommit: answered when the offsets are on stable storage.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse};

use crate::catalog::Topic;
use crate::groups::offsets::{Committer, NewOffset};
use crate::groups::records::Committed;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, I64, Kind, Shape, all, between, since};

pub(crate) static API: Api = Api {
    key: ApiKey::OffsetCommit,
    name: "offset_commit",
    versions: 2..=9,
    shape: Shape {
        flexible: 8,
        fields: &[
            all(Kind::Text),
            all(I32),
            all(Kind::Text),
            since(7, Kind::Text),
            between(2, 4, I64),
            all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32), all(I64), since(6, I32), all(Kind::Text)]))])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: OffsetCommitRequest = call.decode()?;
    let committer = Committer {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
    };
    let allowed = call.require(Operation::Read, Resource::Group(&request.group_id));
    let mut offsets = Vec::new();
    let mut checked = Vec::new();
    for topic in &request.topics {
        let allowed = allowed.and_then(|()| call.require(Operation::Read, Resource::Topic(&topic.name)));
        let known = call.shared.catalog.get(&topic.name);
        for partition in &topic.partitions {
            match allowed.and_then(|()| check(&call, known.as_deref(), partition)) {
                Ok(committed) => {
                    let (topic, partition) = (topic.name.to_string(), partition.partition_index);
                    offsets.push(NewOffset { topic, partition, committed });
                    checked.push(NONE);
                }
                Err(error) => checked.push(error.code()),
            }
        }
    }
    let committed = match allowed {
        Ok(()) => call.shared.groups.commit(&request.group_id, committer, offsets).await,
        Err(error) => Err(error),
    };
    let code = committed.map_or_else(|error| error.code(), |()| NONE);
    let mut checked = checked.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let own = checked.next().filter(|own| *own != NONE);
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(own.unwrap_or(code))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    call.answer(&OffsetCommitResponse::default().with_topics(topics.collect()))
}

fn check(call: &Call, topic: Option<&Topic>, asked: &OffsetCommitRequestPartition) -> Result<Committed, ResponseError> {
    topic.and_then(|topic| topic.partition(asked.partition_index)).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let metadata = asked.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > call.shared.config.offset_metadata_bytes_max {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    Ok(Committed {
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: metadata.to_owned(),
        committed_ms: call.shared.config.clock.now_ms(),
    })
}
