//! Topics.

use ops::Error;

use crate::support::{Fixture, record};

#[tokio::test]
async fn a_topic_is_listed_with_its_records_and_described_with_its_offsets() {
    let fixture = Fixture::start().await;
    fixture.create("trials", 2).await;
    fixture.write(&record("trials", "a", "1"), 0).await;
    fixture.write(&record("trials", "b", "2"), 1).await;
    fixture.write(&record("trials", "c", "3"), 1).await;
    let topics = fixture.kafka.list_topics(false).await.unwrap();
    let found = topics.iter().find(|topic| topic.name == "trials").unwrap();
    assert_eq!((found.partitions, found.records, found.retention_ms), (2, 3, Some(-1)));
    let described = fixture.kafka.describe_topic("trials").await.unwrap();
    let ends: Vec<_> = described.partitions.iter().map(|partition| (partition.low, partition.high)).collect();
    assert_eq!(ends, [(0, 1), (0, 2)]);
    let retention = described.settings.iter().find(|setting| setting.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.set_by), (Some("-1"), "topic"));
}

#[tokio::test]
async fn a_deletion_is_planned_before_it_is_done() {
    let fixture = Fixture::start().await;
    fixture.create("trials", 1).await;
    fixture.write(&record("trials", "a", "1"), 0).await;
    let plan = fixture.kafka.plan_deletion("trials").await.unwrap();
    assert_eq!((plan.partitions, plan.records), (1, 1));
    fixture.kafka.describe_topic("trials").await.expect("planning deletes nothing");
    fixture.kafka.delete_topic("trials").await.unwrap();
    assert!(matches!(fixture.kafka.describe_topic("trials").await, Err(Error::NoTopic { .. })));
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_told_by_its_address() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let brokers = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let config = eventkit::transport::kafka::KafkaConfig { brokers: brokers.clone(), ..Default::default() };
    let refused = ops::Kafka::connect(config).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("no broker answers on {brokers}"));
}
