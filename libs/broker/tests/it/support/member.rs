//! A member of a classic group, a request at a time.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, OffsetFetchRequest,
    SyncGroupRequest,
};

use super::Running;
use super::wire::{Wire, text, topic_name};

const JOIN: i16 = 7;
const COMMIT: i16 = 8;

/// A member with a connection of its own.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) wire: Wire,
    pub(crate) group: String,
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
    pub(crate) session_timeout_ms: i32,
    /// For the leader: who is in.
    pub(crate) members: Vec<String>,
}

impl Member {
    /// One that has not asked for anything yet.
    pub(crate) async fn new(broker: &Running, group: &str, instance: Option<&str>) -> Self {
        Self {
            wire: broker.wire().await,
            group: group.to_owned(),
            id: String::new(),
            instance: instance.map(str::to_owned),
            generation: -1,
            session_timeout_ms: 10_000,
            members: Vec::new(),
        }
    }

    /// The only member of a stable group.
    pub(crate) async fn alone(broker: &Running, group: &str, instance: Option<&str>) -> Self {
        let mut member = Self::new(broker, group, instance).await;
        member.join().await;
        assert_eq!(member.sync().await, Ok(Bytes::from(format!("work of {}", member.id))));
        member
    }

    /// Joins, with the id that it is first told to join with; returns when the generation begins.
    pub(crate) async fn join(&mut self) -> JoinGroupResponse {
        self.send_join().await;
        let answer = self.receive_join().await;
        if answer.error_code != ResponseError::MemberIdRequired.code() {
            return answer;
        }
        self.send_join().await;
        self.receive_join().await
    }

    pub(crate) async fn send_join(&mut self) {
        self.send_join_with(Bytes::from("m")).await;
    }

    /// The same with this metadata.
    pub(crate) async fn send_join_with(&mut self, metadata: Bytes) {
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(metadata);
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(self.session_timeout_ms)
            .with_rebalance_timeout_ms(10_000)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        self.wire.send(JOIN, &request).await;
    }

    pub(crate) async fn receive_join(&mut self) -> JoinGroupResponse {
        let answer = self.wire.receive::<JoinGroupRequest>(JOIN).await.unwrap();
        self.id = answer.member_id.to_string();
        self.generation = answer.generation_id;
        self.members = answer.members.iter().map(|member| member.member_id.to_string()).collect();
        answer
    }

    /// Syncs, as the leader with work for everybody; returns its own.
    pub(crate) async fn sync(&mut self) -> Result<Bytes, i16> {
        let assignments = self.members.iter().map(|id| {
            let work = Bytes::from(format!("work of {id}"));
            SyncGroupRequestAssignment::default().with_member_id(text(id)).with_assignment(work)
        });
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments.collect());
        let answer = self.wire.call(5, &request).await;
        if answer.error_code == 0 { Ok(answer.assignment) } else { Err(answer.error_code) }
    }

    pub(crate) async fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        self.wire.call(4, &request).await.error_code
    }

    /// Commits an offset with metadata for partition 0.
    pub(crate) async fn commit(&mut self, topic: &str, offset: i64, metadata: &str) -> i16 {
        self.send_commit(topic, offset, metadata).await;
        self.receive_commit().await
    }

    pub(crate) async fn receive_commit(&mut self) -> i16 {
        let mut answer = self.wire.receive::<OffsetCommitRequest>(COMMIT).await.unwrap();
        answer.topics.remove(0).partitions.remove(0).error_code
    }

    pub(crate) async fn send_commit(&mut self, topic: &str, offset: i64, metadata: &str) {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text(metadata)));
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_topics(vec![topic]);
        self.wire.send(COMMIT, &request).await;
    }
}

/// The offset and metadata that a group has committed for partition 0, -1 for none.
pub(crate) async fn committed(wire: &mut Wire, group: &str, topic: &str) -> (i64, String) {
    committed_in(wire, group, topic, 0).await
}

/// As [`committed`], for another partition.
pub(crate) async fn committed_in(wire: &mut Wire, group: &str, topic: &str, partition: i32) -> (i64, String) {
    let topic = OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(vec![partition]);
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![topic]));
    let mut answer = wire.call(7, &request).await;
    assert_eq!(answer.error_code, 0);
    let partition = answer.topics.remove(0).partitions.remove(0);
    assert_eq!(partition.error_code, 0);
    (partition.committed_offset, partition.metadata.unwrap_or_default().to_string())
}
