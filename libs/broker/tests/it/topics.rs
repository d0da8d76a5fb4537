//! Rows "create topic" and "auto-create", and deleting by name and id.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest};
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use uuid::Uuid;

use crate::support::batch::batch;
use crate::support::wire::{Wire, text, topic_name};
use crate::support::{PATIENCE, Running, send};

fn new_topic(name: &str) -> CreatableTopic {
    CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(-1).with_replication_factor(-1)
}

async fn create(wire: &mut Wire, version: i16, topic: CreatableTopic) -> CreatableTopicResult {
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    wire.call(version, &request).await.topics.remove(0)
}

async fn describe(wire: &mut Wire, name: &str, create: bool) -> MetadataResponseTopic {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(create);
    wire.call(12, &request).await.topics.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_replication_of_minus_one_mean_the_brokers_default() {
    let broker = Running::with(|config| config.partitions_default = 4).await;
    let mut wire = broker.wire().await;
    for version in 2..=7 {
        let name = format!("t{version}");
        assert_eq!(create(&mut wire, version, new_topic(&name)).await.error_code, 0, "version {version}");
        assert_eq!(describe(&mut wire, &name, false).await.partitions.len(), 4);
    }
    let made = create(&mut wire, 7, new_topic("told")).await;
    assert_eq!((made.num_partitions, made.replication_factor), (4, 1));
    assert_eq!(made.topic_id, describe(&mut wire, "told", false).await.topic_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn configs_given_at_creation_are_kept_over_a_restart() {
    let broker = Running::start().await;
    let config = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("1234567")));
    let made = create(&mut broker.wire().await, 7, new_topic("t").with_configs(vec![config])).await;
    let told = made.configs.unwrap();
    let told = told.iter().find(|config| &*config.name == "retention.ms").unwrap();
    assert_eq!((told.value.as_deref(), told.config_source), (Some("1234567"), 1));

    let broker = broker.restart().await;
    let described =
        broker.admin().describe_configs(&[ResourceSpecifier::Topic("t")], &AdminOptions::new()).await.unwrap();
    let resource = described[0].as_ref().unwrap();
    assert_eq!(resource.get("retention.ms").unwrap().value.as_deref(), Some("1234567"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_exists_is_not_made_again() {
    let broker = Running::start().await;
    let mut wire = broker.wire().await;
    assert_eq!(create(&mut wire, 7, new_topic("t")).await.error_code, 0);
    let again = create(&mut wire, 7, new_topic("t").with_num_partitions(9)).await;
    assert_eq!(again.error_code, ResponseError::TopicAlreadyExists.code());
    assert_eq!(describe(&mut wire, "t", false).await.partitions.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_only_says_what_would_be_and_makes_nothing() {
    let broker = Running::start().await;
    let mut wire = broker.wire().await;
    let request = |topic| CreateTopicsRequest::default().with_topics(vec![topic]).with_validate_only(true);
    let good = wire.call(7, &request(new_topic("t"))).await.topics.remove(0);
    assert_eq!((good.error_code, good.num_partitions), (0, 3));
    let bad = wire.call(7, &request(new_topic("no/slash"))).await.topics.remove(0);
    assert_eq!(bad.error_code, ResponseError::InvalidTopicException.code());
    let absent = describe(&mut wire, "t", false).await;
    assert_eq!(absent.error_code, ResponseError::UnknownTopicOrPartition.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_cannot_be_are_refused_with_a_reason() {
    let broker = Running::with(|config| config.partitions_max = 50).await;
    let mut wire = broker.wire().await;
    let config = |key: &str, value| {
        let config = CreatableTopicConfig::default().with_name(text(key)).with_value(value);
        new_topic("t").with_configs(vec![config])
    };
    let long = "x".repeat(250);
    let cases = [
        (new_topic(""), ResponseError::InvalidTopicException),
        (new_topic("."), ResponseError::InvalidTopicException),
        (new_topic("größe"), ResponseError::InvalidTopicException),
        (new_topic(&long), ResponseError::InvalidTopicException),
        (new_topic("__consumer_offsets"), ResponseError::TopicAlreadyExists),
        (new_topic("t").with_num_partitions(0), ResponseError::InvalidPartitions),
        (new_topic("t").with_num_partitions(-2), ResponseError::InvalidPartitions),
        (new_topic("t").with_num_partitions(51), ResponseError::InvalidPartitions),
        (new_topic("t").with_replication_factor(2), ResponseError::InvalidReplicationFactor),
        (config("no.such.key", Some(text("1"))), ResponseError::InvalidConfig),
        (config("retention.ms", Some(text("soon"))), ResponseError::InvalidConfig),
        (config("retention.ms", None), ResponseError::InvalidConfig),
    ];
    for (topic, expected) in cases {
        let what = format!("{topic:?}");
        let refused = create(&mut wire, 7, topic).await;
        assert_eq!(refused.error_code, expected.code(), "{what}");
        assert!(refused.error_message.is_some_and(|message| !message.is_empty()), "{what}");
    }
    let twice = CreateTopicsRequest::default().with_topics(vec![new_topic("t"), new_topic("t")]);
    for result in wire.call(7, &twice).await.topics {
        assert_eq!(result.error_code, ResponseError::InvalidRequest.code());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_when_a_client_first_names_it() {
    let broker = Running::start().await;
    assert_eq!(send(&broker.producer(&[]), "produced", 2, "v").await, (2, 0));
    let mut wire = broker.wire().await;
    assert_eq!(describe(&mut wire, "produced", false).await.partitions.len(), 3);
    assert_eq!(describe(&mut wire, "asked-for", true).await.partitions.len(), 3);
    assert_eq!(wire.produce("raw", 0, batch(&["v"])).await.error_code, 0, "produce makes it without metadata");
    let unasked = describe(&mut wire, "unasked", false).await;
    assert_eq!(unasked.error_code, ResponseError::UnknownTopicOrPartition.code(), "the client's wish counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_topic_is_made_by_naming_it_where_that_is_switched_off() {
    let broker = Running::with(|config| config.auto_create_topics = false).await;
    let mut wire = broker.wire().await;
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(describe(&mut wire, "t", true).await.error_code, unknown);
    assert_eq!(wire.produce("t", 0, batch(&["v"])).await.error_code, unknown);
    let metadata = broker.consumer("g", &[]).fetch_metadata(None, PATIENCE).unwrap();
    assert!(metadata.topics().iter().all(|topic| topic.name() != "t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_ids_are_stable_over_restarts_and_never_used_again() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let first = describe(&mut broker.wire().await, "t", false).await.topic_id;
    let broker = broker.restart().await;
    assert_eq!(describe(&mut broker.wire().await, "t", false).await.topic_id, first);
    let mut seen = HashSet::from([Uuid::nil(), first]);
    for _ in 0..5 {
        broker.admin().delete_topics(&["t"], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        broker.topic("t", 1, &[]).await;
        assert!(seen.insert(describe(&mut broker.wire().await, "t", false).await.topic_id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_described_by_id_whether_its_name_is_null_or_empty() {
    let broker = Running::start().await;
    broker.topic("t", 2, &[]).await;
    let mut wire = broker.wire().await;
    let id = describe(&mut wire, "t", false).await.topic_id;
    for name in [None, Some(topic_name(""))] {
        let [known, unknown] = [id, Uuid::from_u128(7)]
            .map(|id| MetadataRequestTopic::default().with_topic_id(id).with_name(name.clone()));
        let request = MetadataRequest::default().with_topics(Some(vec![known, unknown]));
        let found = wire.call(12, &request).await.topics;
        assert_eq!((found[0].name.clone(), found[0].partitions.len()), (Some(topic_name("t")), 2));
        assert_eq!(
            (found[1].topic_id, found[1].error_code),
            (Uuid::from_u128(7), ResponseError::UnknownTopicId.code())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_deleted_by_name_or_by_id_with_everything_in_it() {
    let broker = Running::start().await;
    broker.topic("named", 1, &[]).await;
    broker.topic("numbered", 1, &[]).await;
    let mut wire = broker.wire().await;
    for name in ["named", "numbered"] {
        wire.produce(name, 0, batch(&["v"])).await;
    }
    let id = describe(&mut wire, "numbered", false).await.topic_id;
    let by_name = DeleteTopicState::default().with_name(Some(topic_name("named")));
    let by_id = DeleteTopicState::default().with_name(None).with_topic_id(id);
    let unknown = DeleteTopicState::default().with_name(None).with_topic_id(Uuid::from_u128(7));
    let absent = DeleteTopicState::default().with_name(Some(topic_name("absent")));
    let request = DeleteTopicsRequest::default().with_topics(vec![by_name, by_id, unknown, absent]);
    let codes: Vec<i16> = wire.call(6, &request).await.responses.iter().map(|deleted| deleted.error_code).collect();
    let expected = [0, 0, ResponseError::UnknownTopicId.code(), ResponseError::UnknownTopicOrPartition.code()];
    assert_eq!(codes, expected);
    for name in ["named", "numbered"] {
        let gone = describe(&mut wire, name, false).await;
        assert_eq!(gone.error_code, ResponseError::UnknownTopicOrPartition.code());
        broker.topic(name, 1, &[]).await;
        assert_eq!(wire.watermarks(name, 0).await, (0, 0), "a new topic of the same name is empty");
    }
    let internal = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("__consumer_offsets")]);
    let refused = wire.call(5, &internal).await.responses.remove(0);
    assert_eq!(refused.error_code, ResponseError::InvalidTopicException.code());
}
