//! Access rules: who may do what, and that nobody learns of what they may not.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use broker::Config;
use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest,
    DescribeClusterRequest, DescribeGroupsRequest, ListGroupsRequest, MetadataRequest, OffsetCommitRequest,
    SaslHandshakeRequest,
};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;

use super::{ADMIN, logged_in, login, message, with_logins};
use crate::support::wire::{Ask, Wire, text, topic_name};
use crate::support::{PATIENCE, Running, batch, receive, send};

const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const CLUSTER: i8 = 4;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
const READ: i8 = 3;
const WRITE: i8 = 4;
const CREATE: i8 = 5;
const DESCRIBE: i8 = 8;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
const ANY: i8 = 1;
const MATCH: i8 = 2;

const AN: (&str, &str) = ("an", "an-secret");
const TOPIC_REFUSED: i16 = 29;

fn with_rules(config: &mut Config) {
    with_logins(&mut config.security);
    config.security.authorize = true;
    config.security.super_users = "User:admin".to_owned();
}

/// A broker with rules, an administrator who may everything, and a user who may nothing yet.
async fn start() -> (Running, Wire) {
    let broker = Running::with(with_rules).await;
    let mut admin = logged_in(&broker, ADMIN).await;
    let mut salted = [0; 32];
    let iterations = NonZeroU32::new(4_096).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, b"salt", AN.1.as_bytes(), &mut salted);
    let upsertion = ScramCredentialUpsertion::default()
        .with_name(text(AN.0))
        .with_mechanism(1)
        .with_iterations(4_096)
        .with_salt(Bytes::from_static(b"salt"))
        .with_salted_password(Bytes::copy_from_slice(&salted));
    let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
    assert_eq!(admin.call(0, &request).await.results[0].error_code, 0);
    (broker, admin)
}

fn rule(kind: i8, name: &str, pattern: i8, operation: i8, permission: i8) -> AclCreation {
    AclCreation::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_resource_pattern_type(pattern)
        .with_principal(text("User:an"))
        .with_host(text("*"))
        .with_operation(operation)
        .with_permission_type(permission)
}

async fn add(admin: &mut Wire, rules: Vec<AclCreation>) {
    let answer = admin.call(3, &CreateAclsRequest::default().with_creations(rules)).await;
    assert!(answer.results.iter().all(|result| result.error_code == 0), "{answer:?}");
}

fn producer(broker: &Running) -> FutureProducer {
    broker.client(&login("SCRAM-SHA-256", AN.0, AN.1)).set("message.timeout.ms", "20000").create().unwrap()
}

/// The error of a record that is not taken.
async fn refusal(producer: &FutureProducer, topic: &str) -> Option<RDKafkaErrorCode> {
    let record = FutureRecord::<(), str>::to(topic).partition(0).payload("refused");
    producer.send(record, PATIENCE).await.unwrap_err().0.rdkafka_error_code()
}

/// The first error that a consumer hears of.
async fn complaint(consumer: &StreamConsumer) -> Option<RDKafkaErrorCode> {
    let received = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("a complaint in time");
    received.expect_err("a complaint").rdkafka_error_code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_may_just_what_the_rules_say_also_after_a_restart() {
    let (broker, mut admin) = start().await;
    broker.topic("events-a", 1, &[]).await;
    broker.topic("secrets", 1, &[]).await;
    let settings = login("SCRAM-SHA-256", AN.0, AN.1);
    assert_eq!(refusal(&producer(&broker), "events-a").await, Some(RDKafkaErrorCode::TopicAuthorizationFailed));
    add(&mut admin, vec![rule(TOPIC, "events-", PREFIXED, WRITE, ALLOW)]).await;
    send(&producer(&broker), "events-a", 0, "allowed").await;
    assert_eq!(refusal(&producer(&broker), "secrets").await, Some(RDKafkaErrorCode::TopicAuthorizationFailed));

    let consumer = broker.consumer("readers", &settings);
    consumer.subscribe(&["events-a"]).unwrap();
    assert_eq!(complaint(&consumer).await, Some(RDKafkaErrorCode::GroupAuthorizationFailed));
    drop(consumer);
    let (group, topic) = (rule(GROUP, "readers", LITERAL, READ, ALLOW), rule(TOPIC, "*", LITERAL, READ, ALLOW));
    add(&mut admin, vec![group, topic, rule(TOPIC, "secrets", LITERAL, READ, DENY)]).await;

    let broker = broker.restart().await;
    let consumer = broker.consumer("readers", &settings);
    consumer.subscribe(&["events-a"]).unwrap();
    assert_eq!(receive(&consumer).await.2, "allowed");
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    let mut an = logged_in(&broker, AN).await;
    assert_eq!(an.fetch("events-a", 0, Ask::at(0)).await.error_code, 0);
    assert_eq!(an.fetch("secrets", 0, Ask::at(0)).await.error_code, TOPIC_REFUSED);
    assert_eq!(an.fetch("nothing", 0, Ask::at(0)).await.error_code, 3, "allowed by *, and not there");
    let refused = an.produce("secrets", 0, batch::batch(&["x"])).await;
    assert_eq!(refused.error_code, TOPIC_REFUSED);
    broker.stop().await;
}

#[tokio::test]
async fn a_topic_comes_into_being_only_for_those_who_may_create_it() {
    let (broker, mut admin) = start().await;
    add(&mut admin, vec![rule(TOPIC, "new", PREFIXED, WRITE, ALLOW)]).await;
    let mut an = logged_in(&broker, AN).await;
    let refused = an.produce("new-1", 0, batch::batch(&["x"])).await;
    assert_eq!(refused.error_code, 3);
    add(&mut admin, vec![rule(TOPIC, "new", PREFIXED, CREATE, ALLOW)]).await;
    assert_eq!(an.produce("new-1", 0, batch::batch(&["x"])).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn lists_leave_out_what_somebody_may_not_know_of_and_bits_say_what_they_may() {
    let (broker, mut admin) = start().await;
    broker.topic("seen", 1, &[]).await;
    broker.topic("hidden", 1, &[]).await;
    add(&mut admin, vec![rule(TOPIC, "seen", LITERAL, READ, ALLOW), rule(GROUP, "g", LITERAL, READ, ALLOW)]).await;
    let mut an = logged_in(&broker, AN).await;

    let all = MetadataRequest::default()
        .with_topics(None)
        .with_include_topic_authorized_operations(true)
        .with_include_cluster_authorized_operations(true);
    let metadata = an.call(9, &all).await;
    let topics: Vec<_> = metadata.topics.iter().map(|topic| topic.name.as_ref().unwrap().to_string()).collect();
    assert_eq!(topics, ["seen"]);
    assert_eq!(metadata.topics[0].topic_authorized_operations, 1 << READ | 1 << DESCRIBE);
    assert_eq!(metadata.cluster_authorized_operations, 0);
    let cluster = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    assert_eq!(an.call(0, &cluster).await.cluster_authorized_operations, 0);
    assert_ne!(admin.call(0, &cluster).await.cluster_authorized_operations, 0);
    let groups = DescribeGroupsRequest::default()
        .with_groups(vec![text("g").into(), text("h").into()])
        .with_include_authorized_operations(true);
    let groups = an.call(5, &groups).await.groups;
    assert_eq!((groups[0].error_code, groups[0].authorized_operations), (0, 1 << READ | 1 << DESCRIBE));
    assert_eq!(groups[1].error_code, 30);

    for group in ["g", "h"] {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(0);
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name("seen")).with_partitions(vec![partition]);
        let commit = OffsetCommitRequest::default()
            .with_group_id(text(group).into())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        assert_eq!(admin.call(8, &commit).await.topics[0].partitions[0].error_code, 0);
    }
    assert_eq!(admin.call(4, &ListGroupsRequest::default()).await.groups.len(), 2);
    let listed = an.call(4, &ListGroupsRequest::default()).await.groups;
    assert_eq!(listed.iter().map(|listed| listed.group_id.as_str()).collect::<Vec<_>>(), ["g"]);
    broker.stop().await;
}

fn filter(name: Option<&str>, pattern: i8, operation: i8) -> DescribeAclsRequest {
    DescribeAclsRequest::default()
        .with_resource_type_filter(ANY)
        .with_resource_name_filter(name.map(text))
        .with_pattern_type_filter(pattern)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(operation)
        .with_permission_type(ANY)
}

#[tokio::test]
async fn rules_are_found_and_removed_by_filters() {
    let (broker, mut admin) = start().await;
    let rules = vec![
        rule(TOPIC, "events", LITERAL, READ, ALLOW),
        rule(TOPIC, "events", LITERAL, READ, ALLOW),
        rule(TOPIC, "eve", PREFIXED, WRITE, ALLOW),
        rule(TOPIC, "*", LITERAL, DESCRIBE, ALLOW),
        rule(GROUP, "events", LITERAL, READ, DENY),
    ];
    add(&mut admin, rules).await;
    let mut count = async |request: DescribeAclsRequest| {
        let answer = admin.call(3, &request).await;
        assert_eq!(answer.error_code, 0);
        answer.resources.iter().map(|resource| resource.acls.len()).sum::<usize>()
    };
    assert_eq!(count(filter(None, ANY, ANY)).await, 4);
    assert_eq!(count(filter(Some("events"), LITERAL, ANY)).await, 2);
    assert_eq!(count(filter(Some("events"), MATCH, ANY)).await, 4);
    assert_eq!(count(filter(Some("events"), MATCH, WRITE)).await, 1);
    assert_eq!(count(filter(None, PREFIXED, ANY)).await, 1);

    let doomed = DeleteAclsFilter::default()
        .with_resource_type_filter(TOPIC)
        .with_resource_name_filter(Some(text("events")))
        .with_pattern_type_filter(MATCH)
        .with_principal_filter(Some(text("User:an")))
        .with_host_filter(None)
        .with_operation(ANY)
        .with_permission_type(ANY);
    let unknown = doomed.clone().with_operation(99);
    let request = DeleteAclsRequest::default().with_filters(vec![doomed, unknown]);
    let results = admin.call(3, &request).await.filter_results;
    assert_eq!((results[0].matching_acls.len(), results[1].error_code), (3, 42));
    let broker = broker.restart().await;
    let mut admin = logged_in(&broker, ADMIN).await;
    let left = admin.call(3, &filter(None, ANY, ANY)).await.resources;
    assert_eq!((left.len(), left[0].resource_type, left[0].acls[0].permission_type), (1, GROUP, DENY));
    broker.stop().await;
}

#[tokio::test]
async fn rules_that_cannot_be_and_rules_where_there_are_none_are_refused() {
    let (broker, mut admin) = start().await;
    let odd = vec![
        rule(TOPIC, "t", ANY, READ, ALLOW),
        rule(ANY, "t", LITERAL, READ, ALLOW),
        rule(GROUP, "g", LITERAL, WRITE, ALLOW),
        rule(CLUSTER, "other", LITERAL, DESCRIBE, ALLOW),
        rule(TOPIC, "t", LITERAL, READ, ALLOW).with_principal(text("an")),
        rule(TOPIC, "", LITERAL, READ, ALLOW),
    ];
    let answer = admin.call(3, &CreateAclsRequest::default().with_creations(odd)).await;
    assert_eq!(answer.results.iter().map(|result| result.error_code).collect::<Vec<_>>(), [42; 6]);
    let mut an = logged_in(&broker, AN).await;
    let own = CreateAclsRequest::default().with_creations(vec![rule(TOPIC, "t", LITERAL, READ, ALLOW)]);
    assert_eq!(an.call(3, &own).await.results[0].error_code, 31, "nobody gives rights to themselves");

    let broker = broker.restart_with(|config| config.security.authorize = false).await;
    let mut anybody = logged_in(&broker, AN).await;
    assert_eq!(anybody.call(3, &own).await.results[0].error_code, 54);
    assert_eq!(anybody.call(3, &filter(None, ANY, ANY)).await.error_code, 54);
    let named = MetadataRequest::default().with_topics(Some(vec![
        kafka_protocol::messages::metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name("t"))),
    ]));
    assert_ne!(anybody.call(9, &named).await.topics[0].error_code, TOPIC_REFUSED);
    broker.stop().await;
}

#[tokio::test]
async fn nobody_becomes_another_by_logging_in_again() {
    let (broker, _admin) = start().await;
    let broker = broker.restart_with(|config| config.security.reauthentication_max_ms = 3_600_000).await;
    let mut an = logged_in(&broker, AN).await;
    let handshake = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    assert_eq!(an.call(1, &handshake).await.error_code, 0);
    let answer = an.call(1, &message(format!("\0{}\0{}", ADMIN.0, ADMIN.1).as_bytes())).await;
    assert_eq!(answer.error_code, 58);
    assert!(an.is_closed().await);
    broker.stop().await;
}
