//! What is wrong with a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::topics::required_topics;
use eventkit::Clock;
use eventkit::transport::TopicPartition;
use eventkit::transport::kafka::admin::NewTopicSpec;
use jiff::Timestamp;
use ops::health::{Finding, Status, check_groups};

use crate::support::{Fixture, record};

async fn wrong(fixture: &Fixture) -> Vec<String> {
    let cluster = fixture.kafka.cluster().await.unwrap();
    let findings = fixture.kafka.check_topics(&cluster).await.unwrap();
    let told = |finding: &Finding| format!("{}: {}", finding.check, finding.message);
    findings.iter().filter(|finding| finding.status == Status::Wrong).map(told).collect()
}

#[tokio::test]
async fn missing_topics_and_wrong_partitions_and_retention_are_found() {
    let fixture = Fixture::start().await;
    assert_eq!(wrong(&fixture).await.len(), required_topics().len());
    for spec in required_topics() {
        let is_first = spec.name == "user-events";
        let mut settings = spec.settings;
        if is_first {
            settings.insert("retention.ms".to_owned(), "1000".to_owned());
        }
        let partitions = Some(if is_first { 1 } else { spec.partitions });
        let spec = NewTopicSpec { name: spec.name, partitions, replicas: None, settings };
        fixture.kafka.create_topic(&spec).await.unwrap();
    }
    let expected =
        ["topic user-events: has 1 partitions, not 3", "topic user-events: keeps records for 1000 ms, not 604800000"];
    assert_eq!(wrong(&fixture).await, expected);
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_and_the_probe_leaves_nothing() {
    let fixture = Fixture::start().await;
    let right = fixture.kafka.check_clock(&Clock::system()).await.unwrap();
    assert_eq!(right.status, Status::Ok, "{right:?}");
    let late = Clock::manual(Clock::system().now() - Duration::from_secs(60));
    let off = fixture.kafka.check_clock(&late).await.unwrap();
    assert_eq!(off.status, Status::Wrong, "{off:?}");
    assert!(fixture.kafka.list_topics(false).await.unwrap().is_empty());
    assert!(late.now() < Timestamp::MAX);
}

#[tokio::test]
async fn a_group_that_lags_without_members_is_wrong() {
    let fixture = Fixture::start().await;
    fixture.create("trials", 1).await;
    fixture.write(&record("trials", "k", "v"), 0).await;
    let place = TopicPartition { topic: "trials".to_owned(), partition: 0 };
    fixture.kafka.admin().commit("readers", &BTreeMap::from([(place, 0)])).await.unwrap();
    let sample = fixture.kafka.sample_groups().await.unwrap();
    assert!(sample.is_any_behind());
    let findings = check_groups(&sample, &sample, Duration::ZERO);
    assert_eq!(findings[0].status, Status::Wrong);
    assert_eq!(findings[0].message, "is behind by 1 and nobody reads for it");
}
