//! TxnOffsetCommit: offsets that count when the producer's transaction is committed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{ApiKey, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::catalog::{OFFSETS_TOPIC, Topic};
use crate::groups::offsets::{Committer, NewOffset};
use crate::groups::records::Committed;
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, NONE};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::txns::transaction::Claim;
use crate::wire::shape::{I16, I32, I64, Kind, Shape, all, since};

pub(crate) static API: Api = Api {
    key: ApiKey::TxnOffsetCommit,
    name: "txn_offset_commit",
    versions: 0..=5,
    shape: Shape {
        flexible: 3,
        fields: &[
            all(Kind::Text),
            all(Kind::Text),
            all(I64),
            all(I16),
            since(3, I32),
            since(3, Kind::Text),
            since(3, Kind::Text),
            all(Kind::List(&[all(Kind::Text), all(Kind::List(&[all(I32), all(I64), since(2, I32), all(Kind::Text)]))])),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// First version whose clients do not add the offsets to their transaction before.
const ADDS_SINCE: i16 = 5;

async fn run(call: Call) -> Outcome {
    let request: TxnOffsetCommitRequest = call.decode()?;
    let id = Resource::TransactionalId(&request.transactional_id);
    let group = |()| call.require(Operation::Read, Resource::Group(&request.group_id));
    let allowed = call.require(Operation::Write, id).and_then(group);
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
        Ok(()) => commit(&call, &request, offsets).await,
        Err(error) => Err(error),
    };
    let code = committed.map_or_else(|error| error.code(), |()| NONE);
    let mut checked = checked.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let own = checked.next().filter(|own| *own != NONE);
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(own.unwrap_or(code))
        });
        let partitions = partitions.collect();
        TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    call.answer(&TxnOffsetCommitResponse::default().with_topics(topics.collect()))
}

async fn commit(call: &Call, request: &TxnOffsetCommitRequest, offsets: Vec<NewOffset>) -> Result<(), ResponseError> {
    let producer = ProducerRun { id: request.producer_id.0, epoch: request.producer_epoch };
    let txns = &call.shared.txns;
    let transaction = if call.head.version >= ADDS_SINCE {
        let claim = Claim { producer, fenced: ResponseError::InvalidProducerEpoch };
        txns.add(&request.transactional_id, claim, &[(OFFSETS_TOPIC.to_owned(), 0)]).await?
    } else {
        txns.get(&request.transactional_id).ok_or(ResponseError::InvalidProducerIdMapping)?
    };
    let committer = Committer {
        member_id: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id,
    };
    call.shared.groups.commit_in_transaction(&request.group_id, committer, offsets, &transaction, producer).await
}

fn check(
    call: &Call,
    topic: Option<&Topic>,
    asked: &TxnOffsetCommitRequestPartition,
) -> Result<Committed, ResponseError> {
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
