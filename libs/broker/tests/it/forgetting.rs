//! Row "groups, classic": what is removed stays removed, also what was under way when it was.

use std::path::Path;
use std::sync::Arc;

use broker::{Broker, Config, Disk};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, GroupId, ListGroupsRequest, OffsetDeleteRequest,
};

use crate::support::Running;
use crate::support::gated::Gated;
use crate::support::member::{Member, committed};
use crate::support::story::{offsets_log, start_when_free};
use crate::support::txn::Txn;
use crate::support::wire::{Wire, text, topic_name};

const DELETE_GROUPS: i16 = 2;
const DELETE_TOPICS: i16 = 5;

/// What takes a committed offset away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    Group,
    Offset,
    Topic,
}

impl Removal {
    async fn send(self, wire: &mut Wire) {
        match self {
            Self::Group => wire.send(DELETE_GROUPS, &delete_group()).await,
            Self::Offset => wire.send(0, &delete_offset()).await,
            Self::Topic => wire.send(DELETE_TOPICS, &delete_topic()).await,
        }
    }

    async fn receive(self, wire: &mut Wire) -> i16 {
        match self {
            Self::Group => {
                wire.receive::<DeleteGroupsRequest>(DELETE_GROUPS).await.unwrap().results.remove(0).error_code
            }
            Self::Offset => wire.receive::<OffsetDeleteRequest>(0).await.unwrap().error_code,
            Self::Topic => {
                wire.receive::<DeleteTopicsRequest>(DELETE_TOPICS).await.unwrap().responses.remove(0).error_code
            }
        }
    }
}

fn delete_group() -> DeleteGroupsRequest {
    DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("g"))])
}

fn delete_topic() -> DeleteTopicsRequest {
    DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]).with_timeout_ms(10_000)
}

fn delete_offset() -> OffsetDeleteRequest {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let topic = OffsetDeleteRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    OffsetDeleteRequest::default().with_group_id(GroupId(text("g"))).with_topics(vec![topic])
}

async fn groups(wire: &mut Wire) -> Vec<String> {
    let listed = wire.call(4, &ListGroupsRequest::default()).await;
    listed.groups.iter().map(|group| group.group_id.to_string()).collect()
}

/// A broker that writes nothing by itself.
async fn start(data_dir: &Path, disk: Arc<dyn Disk>) -> Running {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        checkpoint_interval_ms: 3_600_000,
        disk,
        ..Config::default()
    };
    Running::of(Broker::start(config.clone()).await.unwrap(), config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_under_way_does_not_outlive_its_group_its_topic_or_its_removal() {
    for removal in [Removal::Group, Removal::Offset, Removal::Topic] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Gated::default()));
        let broker = start(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).await;
        broker.topic("t", 1, &[]).await;
        // So that the log of groups has a file.
        assert_eq!(Member::new(&broker, "another", None).await.commit("t", 1, "").await, 0);
        let shut = disk.shut_for(&offsets_log(dir.path()));
        let mut committing = Member::new(&broker, "g", None).await;
        committing.send_commit("t", 7, "").await;
        shut.waiting(1).await;
        let mut removing = broker.wire().await;
        removal.send(&mut removing).await;
        assert!(!removing.has_bytes().await, "{removal:?}: an answer before the sync");
        shut.open();
        assert_eq!(committing.receive_commit().await, 0, "{removal:?}");
        assert_eq!(removal.receive(&mut removing).await, 0, "{removal:?}");
        if removal == Removal::Topic {
            broker.topic("t", 1, &[]).await;
        }
        assert_eq!(committed(&mut removing, "g", "t").await.0, -1, "{removal:?}");
        drop((committing, removing, broker));
        let broker = start_when_free(dir.path()).await;
        let mut wire = broker.wire().await;
        assert_eq!(committed(&mut wire, "g", "t").await.0, -1, "{removal:?}, after a restart");
        assert!(removal != Removal::Group || !groups(&mut wire).await.contains(&"g".to_owned()));
        let others = if removal == Removal::Topic { -1 } else { 1 };
        assert_eq!(committed(&mut wire, "another", "t").await.0, others, "{removal:?}: another group's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_a_transaction_does_not_outlive_its_topic() {
    let broker = Running::start().await;
    for topic in ["t", "stays"] {
        broker.topic(topic, 1, &[]).await;
    }
    let mut txn = Txn::begin(&broker, "tx").await;
    assert_eq!(txn.add_offsets("g").await, 0);
    for topic in ["t", "stays"] {
        assert_eq!(txn.commit_offset(3, "g", topic, 5).await, 0);
    }
    let mut wire = broker.wire().await;
    wire.delete_topic("t").await;
    broker.topic("t", 1, &[]).await;
    assert_eq!(txn.end(true).await, 0);
    assert_eq!(committed(&mut wire, "g", "stays").await.0, 5);
    assert_eq!(committed(&mut wire, "g", "t").await.0, -1, "it was committed for the topic that is gone");
    drop((wire, txn));
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    assert_eq!(committed(&mut wire, "g", "stays").await.0, 5);
    assert_eq!(committed(&mut wire, "g", "t").await.0, -1, "after a restart");
}
