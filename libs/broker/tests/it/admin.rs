//! Row "admin", and "configs": what operators and their tools ask of a broker.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages;
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, ApiVersionsRequest, BrokerId, CreatePartitionsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest, ElectLeadersRequest, GroupId,
    IncrementalAlterConfigsRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest, OffsetDeleteRequest,
    OffsetForLeaderEpochRequest,
};
use kafka_protocol::protocol::{Message, Request};
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::batch::{Stamp, batch, stamped};
use crate::support::member::{Member, committed};
use crate::support::wire::{Ask, Wire, text, topic_name};
use crate::support::{PATIENCE, Running, assigned, eventually};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn configs(wire: &mut Wire, kind: i8, name: &str) -> Vec<DescribeConfigsResourceResult> {
    let resource = DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(text(name));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource.with_configuration_keys(None)])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let result = wire.call(4, &request).await.results.remove(0);
    assert_eq!(result.error_code, 0);
    result.configs
}

async fn config(wire: &mut Wire, topic: &str, key: &str) -> (String, i8) {
    let all = configs(wire, TOPIC, topic).await;
    let found = all.into_iter().find(|config| config.name.as_str() == key).unwrap();
    (found.value.unwrap().to_string(), found.config_source)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_config_is_described_with_default_source_type_and_synonyms() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[("retention.ms", "5000")]).await;
    let mut wire = broker.wire().await;
    let all = configs(&mut wire, TOPIC, "t").await;
    assert!(all.len() > 20, "defaults too");
    let find = |key: &str| all.iter().find(|config| config.name.as_str() == key).unwrap();
    for config in &all {
        assert!(config.value.is_some() && config.config_type > 0 && config.documentation.is_some(), "{config:?}");
        assert!(!config.read_only && !config.is_sensitive);
    }
    let synonyms = |key: &str| -> Vec<(String, String, i8)> {
        let each = find(key).synonyms.iter();
        each.map(|one| (one.name.to_string(), one.value.as_deref().unwrap().to_owned(), one.source)).collect()
    };
    assert_eq!(find("retention.ms").config_source, 1);
    assert_eq!(
        synonyms("retention.ms"),
        [("retention.ms".to_owned(), "5000".to_owned(), 1), ("log.retention.ms".to_owned(), "604800000".to_owned(), 4)]
    );
    assert_eq!((find("segment.bytes").config_source, find("cleanup.policy").config_source), (4, 5));
    assert_eq!((find("segment.bytes").config_type, find("cleanup.policy").config_type), (3, 7));
    let of_broker = configs(&mut wire, BROKER, "1").await;
    for (name, value) in
        [("log.retention.ms", "604800000"), ("num.partitions", "3"), ("auto.create.topics.enable", "true")]
    {
        let found = of_broker.iter().find(|config| config.name.as_str() == name).unwrap();
        assert_eq!((found.value.as_deref(), found.read_only, found.config_source), (Some(value), true, 4));
    }
    assert!(configs(&mut wire, BROKER, "").await.is_empty());
}

async fn change(wire: &mut Wire, changes: &[(i8, &str, Option<&str>)], validate_only: bool) -> i16 {
    let configs = changes.iter().map(|(operation, name, value)| {
        incremental::AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    let resource = incremental::AlterConfigsResource::default().with_resource_type(TOPIC);
    let resource = resource.with_resource_name(text("t")).with_configs(configs.collect());
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
    wire.call(1, &request).await.responses.remove(0).error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn single_configs_are_set_deleted_appended_and_subtracted() {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    const APPEND: i8 = 2;
    const SUBTRACT: i8 = 3;
    let broker = Running::start().await;
    broker.topic("t", 1, &[("segment.ms", "9000")]).await;
    let mut wire = broker.wire().await;
    assert_eq!(change(&mut wire, &[(SET, "retention.ms", Some("1000"))], true).await, 0);
    assert_eq!(config(&mut wire, "t", "retention.ms").await.1, 4, "validate_only changes nothing");
    assert_eq!(change(&mut wire, &[(SET, "retention.ms", Some("1000"))], false).await, 0);
    assert_eq!(config(&mut wire, "t", "retention.ms").await, ("1000".to_owned(), 1));
    assert_eq!(config(&mut wire, "t", "segment.ms").await, ("9000".to_owned(), 1), "what is not named stays");
    assert_eq!(change(&mut wire, &[(APPEND, "cleanup.policy", Some("compact"))], false).await, 0);
    assert_eq!(config(&mut wire, "t", "cleanup.policy").await.0, "delete,compact");
    assert_eq!(change(&mut wire, &[(SUBTRACT, "cleanup.policy", Some("delete"))], false).await, 0);
    assert_eq!(config(&mut wire, "t", "cleanup.policy").await.0, "compact");
    let both = [(DELETE, "cleanup.policy", None), (DELETE, "retention.ms", None)];
    assert_eq!(change(&mut wire, &both, false).await, 0);
    assert_eq!(config(&mut wire, "t", "cleanup.policy").await, ("delete".to_owned(), 5));

    let (config_error, request_error) = (ResponseError::InvalidConfig.code(), ResponseError::InvalidRequest.code());
    for (refused, code) in [
        ((SET, "no.such.key", Some("1")), config_error),
        ((SET, "retention.ms", Some("soon")), config_error),
        ((APPEND, "retention.ms", Some("1")), config_error),
        ((SUBTRACT, "cleanup.policy", Some("delete")), config_error),
        ((SET, "retention.ms", None), request_error),
        ((9, "retention.ms", Some("1")), request_error),
    ] {
        // The good change beside the refused one is not made either.
        let changes = [(SET, "segment.bytes", Some("4096")), refused];
        assert_eq!(change(&mut wire, &changes, false).await, code, "{refused:?}");
    }
    assert_eq!(config(&mut wire, "t", "segment.bytes").await.1, 4);
    let broker = broker.restart().await;
    assert_eq!(config(&mut broker.wire().await, "t", "segment.ms").await, ("9000".to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn altering_all_configs_resets_what_is_not_named() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[("segment.ms", "9000"), ("retention.ms", "8000")]).await;
    let mut wire = broker.wire().await;
    let request = |kind, name: &str| {
        let config = AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("7000")));
        let resource = AlterConfigsResource::default().with_resource_type(kind).with_resource_name(text(name));
        AlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])])
    };
    for (kind, name, code) in [
        (TOPIC, "t", 0),
        (TOPIC, "absent", ResponseError::UnknownTopicOrPartition.code()),
        (TOPIC, "__consumer_offsets", ResponseError::PolicyViolation.code()),
        (BROKER, "1", ResponseError::InvalidRequest.code()),
    ] {
        assert_eq!(wire.call(2, &request(kind, name)).await.responses.remove(0).error_code, code, "{name}");
    }
    assert_eq!(config(&mut wire, "t", "retention.ms").await, ("7000".to_owned(), 1));
    assert_eq!(config(&mut wire, "t", "segment.ms").await.1, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_added_and_consumers_find_them() {
    let broker = Running::start().await;
    broker.topic("t", 2, &[]).await;
    let consumer = broker.consumer("g", &[("topic.metadata.refresh.interval.ms", "100")]);
    consumer.subscribe(&["t"]).unwrap();
    let polling = async {
        loop {
            let _ = consumer.recv().await;
        }
    };
    let checking = async {
        eventually("two partitions", || async { (assigned(&consumer).len() == 2).then_some(()) }).await;
        let added = broker.admin().create_partitions(&[NewPartitions::new("t", 5)], &AdminOptions::new()).await;
        added.unwrap()[0].as_ref().unwrap();
        eventually("five partitions", || async { (assigned(&consumer).len() == 5).then_some(()) }).await;
    };
    tokio::select! {
        () = polling => {}
        () = checking => {}
    }
    let mut wire = broker.wire().await;
    assert_eq!(wire.produce("t", 4, batch(&["v"])).await.error_code, 0);
    let ask = |count, assigned: Option<&[i32]>| {
        let assignments = assigned.map(|nodes| {
            let on = |node: &i32| CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(*node)]);
            nodes.iter().map(on).collect()
        });
        let topic = CreatePartitionsTopic::default().with_name(topic_name("t")).with_count(count);
        CreatePartitionsRequest::default().with_topics(vec![topic.with_assignments(assignments)])
    };
    let (count, assignment) = (ResponseError::InvalidPartitions.code(), ResponseError::InvalidReplicaAssignment.code());
    for (request, code) in [
        (ask(5, None), count),
        (ask(4, None), count),
        (ask(-1, None), count),
        (ask(1_000_000, None), count),
        (ask(7, Some(&[1])), assignment),
        (ask(7, Some(&[1, 2])), assignment),
        (ask(7, Some(&[1, 1])).with_validate_only(true), 0),
        (ask(7, Some(&[1, 1])), 0),
        (ask(7, None), count),
    ] {
        assert_eq!(wire.call(3, &request).await.results.remove(0).error_code, code, "{request:?}");
    }
    let broker = broker.restart().await;
    assert_eq!(broker.wire().await.watermarks("t", 6).await, (0, 0));
    assert_eq!(broker.wire().await.watermarks("t", 4).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_stay_deleted_and_the_high_watermark_stays() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    broker.topic("table", 1, &[("cleanup.policy", "compact")]).await;
    let mut wire = broker.wire().await;
    for _ in 0..5 {
        wire.produce("t", 0, batch(&["a", "b"])).await;
    }
    assert_eq!(wire.delete_records("t", 0, 3).await, (0, 3));
    assert_eq!(wire.delete_records("t", 0, 1).await, (0, 3), "it never goes back");
    let out = ResponseError::OffsetOutOfRange.code();
    assert_eq!(wire.delete_records("t", 0, 11).await, (out, -1));
    assert_eq!(wire.delete_records("t", 1, 0).await.0, ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(wire.delete_records("table", 0, 0).await.0, ResponseError::PolicyViolation.code());
    assert_eq!(wire.delete_records("__consumer_offsets", 0, 0).await.0, ResponseError::InvalidTopicException.code());
    assert_eq!(wire.watermarks("t", 0).await, (3, 10));

    let mut below = TopicPartitionList::new();
    below.add_partition_offset("t", 0, Offset::Offset(6)).unwrap();
    broker.admin().delete_records(&below, &AdminOptions::new()).await.unwrap();
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.watermarks("t", 0).await, (6, 10));
    assert_eq!(wire.delete_records("t", 0, -1).await, (0, 10), "-1 deletes everything");
    assert_eq!(wire.fetch("t", 0, Ask::at(10)).await.error_code, 0);
    assert_eq!(wire.produce("t", 0, batch(&["c"])).await.base_offset, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_described_with_its_one_broker() {
    let broker = Running::with(|config| config.advertise = Some("events.example:0".to_owned())).await;
    let mut wire = broker.wire().await;
    let port: i32 = broker.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let request = |endpoints| {
        DescribeClusterRequest::default().with_endpoint_type(endpoints).with_include_cluster_authorized_operations(true)
    };
    let cluster = wire.call(1, &request(1)).await;
    assert_eq!((cluster.error_code, cluster.cluster_id.len(), cluster.controller_id), (0, 22, BrokerId(1)));
    let told = &cluster.brokers[0];
    assert_eq!((told.broker_id, &*told.host, told.port), (BrokerId(1), "events.example", port));
    assert!(cluster.cluster_authorized_operations > 0);
    let refused = wire.call(1, &request(2)).await.error_code;
    assert_eq!(refused, ResponseError::MismatchedEndpointType.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn log_dirs_show_the_real_size_of_every_partition() {
    let broker = Running::start().await;
    broker.topic("t", 2, &[]).await;
    let mut wire = broker.wire().await;
    let sent = batch(&[&"x".repeat(5_000)]);
    wire.produce("t", 1, sent.clone()).await;
    let all = wire.call(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    let dir = &all.results[0];
    assert_eq!(dir.log_dir.as_str(), broker.data_dir().to_str().unwrap());
    assert!(dir.usable_bytes > 0 && dir.total_bytes >= dir.usable_bytes);
    let topic = dir.topics.iter().find(|topic| topic.name.as_str() == "t").unwrap();
    let sizes: Vec<i64> = topic.partitions.iter().map(|partition| partition.partition_size).collect();
    assert_eq!(sizes, [0, i64::try_from(sent.len()).unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_and_assignments_are_what_they_can_be_on_one_node() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let asked = TopicPartitions::default().with_topic(topic_name("t")).with_partitions(vec![0, 1]);
    let elected = wire.call(2, &ElectLeadersRequest::default().with_topic_partitions(Some(vec![asked]))).await;
    let codes: Vec<i16> =
        elected.replica_election_results[0].partition_result.iter().map(|result| result.error_code).collect();
    assert_eq!((elected.error_code, codes), (0, vec![ResponseError::ElectionNotNeeded.code(), unknown]));

    let reassign = |index, replicas: Option<&[i32]>| {
        let replicas = replicas.map(|nodes| nodes.iter().map(|node| BrokerId(*node)).collect());
        let partition = ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
        let topic = ReassignableTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        AlterPartitionReassignmentsRequest::default().with_topics(vec![topic])
    };
    for (request, code) in [
        (reassign(0, Some(&[1])), 0),
        (reassign(0, Some(&[1, 2])), ResponseError::InvalidReplicaAssignment.code()),
        (reassign(0, None), ResponseError::NoReassignmentInProgress.code()),
        (reassign(3, Some(&[1])), unknown),
    ] {
        let answer = wire.call(0, &request).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, code, "{request:?}");
    }
    let listed = wire.call(0, &ListPartitionReassignmentsRequest::default().with_topics(None)).await;
    assert_eq!((listed.error_code, listed.topics.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_leader_epoch_ends_at_the_high_watermark() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, batch(&["a", "b"])).await;
    for (current, epoch, expected) in [
        (-1, 0, (0, 0, 2)),
        (0, 0, (0, 0, 2)),
        (0, 1, (0, -1, -1)),
        (1, 0, (ResponseError::UnknownLeaderEpoch.code(), -1, -1)),
    ] {
        let asked = OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(topic_name("t")).with_partitions(vec![asked]);
        let answer = wire.call(4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
        let end = &answer.topics[0].partitions[0];
        assert_eq!((end.error_code, end.leader_epoch, end.end_offset), expected, "{current} {epoch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_deleted_by_topic_unless_a_member_reads_it() {
    let broker = Running::start().await;
    for topic in ["read", "unread"] {
        broker.topic(topic, 1, &[]).await;
    }
    let mut wire = broker.wire().await;
    let request = |group: &str, topic: &str| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let topic = OffsetDeleteRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        OffsetDeleteRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic])
    };
    let mut outside = Member::new(&broker, "g", None).await;
    for topic in ["read", "unread"] {
        outside.commit(topic, 3, "").await;
    }
    let consumer = broker.consumer("g", &[]);
    consumer.subscribe(&["read"]).unwrap();
    eventually("the consumer is in", || async {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(20), consumer.recv()).await;
        (assigned(&consumer).len() == 1).then_some(())
    })
    .await;
    let kept = wire.call(0, &request("g", "read")).await;
    assert_eq!(kept.topics[0].partitions[0].error_code, ResponseError::GroupSubscribedToTopic.code());
    let gone = wire.call(0, &request("g", "unread")).await;
    assert_eq!((gone.error_code, gone.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!(wire.call(0, &request("absent", "read")).await.error_code, ResponseError::GroupIdNotFound.code());
    assert_eq!(committed(&mut wire, "g", "read").await.0, 3);
    assert_eq!(committed(&mut wire, "g", "unread").await.0, -1);
    let mut read = TopicPartitionList::new();
    read.add_partition("read", 0);
    assert_eq!(consumer.committed_offsets(read, PATIENCE).unwrap().elements()[0].offset(), Offset::Offset(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_are_told_the_versions_in_version_0() {
    let broker = Running::start().await;
    let mut wire = broker.wire().await;
    let newest = wire.call(4, &ApiVersionsRequest::default()).await;
    assert_eq!(newest.error_code, 0);
    // A frame of a version that nobody knows: key 18, version 99, correlation 7, no client id.
    wire.send_bytes(b"\0\0\0\x0a\0\x12\0\x63\0\0\0\x07\xff\xff").await.unwrap();
    let mut answer = wire.receive_frame().await.unwrap();
    assert_eq!(&answer[..6], b"\0\0\0\x07\0\x23", "correlation id and UNSUPPORTED_VERSION");
    let told: kafka_protocol::messages::ApiVersionsResponse =
        kafka_protocol::protocol::Decodable::decode(&mut answer.split_off(4), 0).unwrap();
    assert_eq!(told.api_keys.len(), newest.api_keys.len());
    assert_eq!(told.api_keys[0].min_version, 0, "librdkafka compresses only for brokers that say so");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_many_topics_and_partitions_are_listed_in_one_request() {
    let broker = Running::start().await;
    let mut wire = broker.wire().await;
    for (topic, partitions) in [("a", 3), ("b", 1)] {
        broker.topic(topic, partitions, &[]).await;
    }
    let stamp = |timestamp| Stamp { timestamp, ..Stamp::default() };
    wire.produce("a", 1, stamped(stamp(1_000), &["1000", "1001"])).await;
    wire.produce("b", 0, stamped(stamp(2_000), &["2000"])).await;
    let asked = |name: &str, partitions: &[(i32, i64)]| {
        let asked = partitions.iter().map(|(partition, time)| {
            let asked = ListOffsetsPartition::default().with_partition_index(*partition).with_timestamp(*time);
            asked.with_current_leader_epoch(-1)
        });
        ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(asked.collect())
    };
    // -1 is the end, -2 the beginning, -3 the record with the newest time.
    let topics = vec![
        asked("a", &[(0, -1), (1, 1_001), (1, -3), (2, -2), (3, -1)]),
        asked("b", &[(0, -1), (0, 2_001)]),
        asked("nowhere", &[(0, -1)]),
    ];
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
    let answer = wire.call(7, &request).await;
    let shown: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| {
            let shown = |told: &ListOffsetsPartitionResponse| (told.partition_index, told.error_code, told.offset);
            (topic.name.as_str(), topic.partitions.iter().map(shown).collect::<Vec<_>>())
        })
        .collect();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let expected = [
        ("a", vec![(0, 0, 0), (1, 0, 1), (1, 0, 1), (2, 0, 0), (3, unknown, -1)]),
        ("b", vec![(0, 0, 1), (0, 0, -1)]),
        ("nowhere", vec![(0, unknown, -1)]),
    ];
    assert_eq!(shown, expected);
}

/// Sends a request that says nothing in each version that the broker offers and the library can write; every one of
/// them is answered. Returns the key and the versions.
macro_rules! ask_in_every_version {
    ($broker:expr, $advertised:expr, $($request:ident),+ $(,)?) => {{
        let mut asked = BTreeMap::new();
        $(
            let key = <messages::$request as Request>::KEY;
            if let Some((least, most)) = $advertised.get(&key) {
                let known = <messages::$request as Message>::VERSIONS;
                for version in known.min.max(*least)..=known.max.min(*most) {
                    let mut wire = $broker.wire().await;
                    wire.call(version, &messages::$request::default()).await;
                }
                asked.insert(key, (*least.max(&known.min), *most.min(&known.max)));
            }
        )+
        asked
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_advertised_is_answered_in_every_version_and_nothing_else_is() {
    let broker = Running::start().await;
    let told = broker.wire().await.call(3, &ApiVersionsRequest::default()).await.api_keys;
    let advertised: BTreeMap<i16, (i16, i16)> =
        told.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
    let mut asked = ask_in_every_version!(
        broker,
        advertised,
        FetchRequest,
        ListOffsetsRequest,
        MetadataRequest,
        OffsetCommitRequest,
        OffsetFetchRequest,
        FindCoordinatorRequest,
        JoinGroupRequest,
        HeartbeatRequest,
        LeaveGroupRequest,
        SyncGroupRequest,
        DescribeGroupsRequest,
        ListGroupsRequest,
        SaslHandshakeRequest,
        ApiVersionsRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        DeleteRecordsRequest,
        InitProducerIdRequest,
        OffsetForLeaderEpochRequest,
        AddPartitionsToTxnRequest,
        AddOffsetsToTxnRequest,
        EndTxnRequest,
        WriteTxnMarkersRequest,
        TxnOffsetCommitRequest,
        DescribeAclsRequest,
        CreateAclsRequest,
        DeleteAclsRequest,
        DescribeConfigsRequest,
        AlterConfigsRequest,
        DescribeLogDirsRequest,
        SaslAuthenticateRequest,
        CreatePartitionsRequest,
        DeleteGroupsRequest,
        ElectLeadersRequest,
        IncrementalAlterConfigsRequest,
        AlterPartitionReassignmentsRequest,
        ListPartitionReassignmentsRequest,
        OffsetDeleteRequest,
        DescribeClientQuotasRequest,
        AlterClientQuotasRequest,
        DescribeUserScramCredentialsRequest,
        AlterUserScramCredentialsRequest,
        DescribeClusterRequest,
        DescribeProducersRequest,
        DescribeTransactionsRequest,
        ListTransactionsRequest,
        ConsumerGroupHeartbeatRequest,
        ConsumerGroupDescribeRequest,
    );
    // Without acknowledgement Produce has no answer; 0 to 2 are advertised for librdkafka's sake, as Apache Kafka does.
    for version in 3..=advertised[&0].1 {
        broker.wire().await.call(version, &messages::ProduceRequest::default().with_acks(-1)).await;
    }
    asked.insert(0, (0, advertised[&0].1));
    assert_eq!(asked, advertised);
    whatever_else_ends_its_connection(&broker, &advertised).await;
}

/// Versions beside those that are advertised, and every version of what is not.
async fn whatever_else_ends_its_connection(broker: &Running, advertised: &BTreeMap<i16, (i16, i16)>) {
    const KEYS: i16 = 100;
    for key in 0..KEYS {
        let (least, most) = advertised.get(&key).copied().unwrap_or((0, -1));
        for version in [least - 1, most + 1].into_iter().filter(|version| *version >= 0 && key != 18) {
            let mut wire = broker.wire().await;
            let frame = [&key.to_be_bytes()[..], &version.to_be_bytes(), b"\0\0\0\x07\xff\xff\0"].concat();
            let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
            wire.send_bytes(&[&length[..], &frame].concat()).await.unwrap();
            assert!(wire.is_closed().await, "key {key}, version {version}");
        }
    }
}
