//! OffsetForLeaderEpoch: where the epoch of a leader ended; here there is one epoch, and it goes on.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{ApiKey, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::catalog::Topic;
use crate::log::partition::LEADER_EPOCH;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE, epoch_code};
use crate::server::connection::{Call, Outcome};
use crate::wire::shape::{I32, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::OffsetForLeaderEpoch,
    name: "offset_for_leader_epoch",
    versions: 2..=4,
    shape: Shape {
        flexible: 4,
        fields: &[
            since(3, I32),
            all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32), since(2, I32), all(I32)]))])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

async fn run(call: Call) -> Outcome {
    let request: OffsetForLeaderEpochRequest = call.decode()?;
    let topics = request.topics.into_iter().map(|asked| {
        let refused = call.require(Operation::Describe, Resource::Topic(&asked.topic)).err();
        let topic = call.shared.catalog.get(&asked.topic);
        let partitions = asked.partitions.iter().map(|partition| match refused {
            Some(error) => unknown(partition).with_error_code(error.code()),
            None => end(topic.as_deref(), partition),
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(asked.topic).with_partitions(partitions)
    });
    call.answer(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

/// The answer that tells nothing.
fn unknown(asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    EpochEndOffset::default().with_partition(asked.partition).with_leader_epoch(-1).with_end_offset(-1)
}

fn end(topic: Option<&Topic>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = unknown(asked);
    let Some(partition) = topic.and_then(|topic| topic.partition(asked.partition)) else {
        return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
    };
    let code = epoch_code(asked.current_leader_epoch);
    if code != NONE || asked.leader_epoch != LEADER_EPOCH {
        return answer.with_error_code(code);
    }
    answer.with_leader_epoch(LEADER_EPOCH).with_end_offset(partition.offsets().high_watermark)
}
