//! Consumer groups.

use std::collections::BTreeMap;
use std::time::Duration;

use eventkit::testing::eventually;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::{GroupStart, Interest, TopicPartition, Transport};
use ops::Error;
use ops::groups::{Move, Scope, Target};

use crate::operations::support::{Fixture, record};

async fn with_records() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.create("trials", 2).await;
    for (number, partition) in [(0, 0), (1, 0), (2, 0), (3, 1)] {
        let mut record = record("trials", "k", "v");
        record.timestamp_ms = Some(1_700_000_000_000 + number * 1_000);
        fixture.write(&record, partition).await;
    }
    let at = |partition, offset| (TopicPartition { topic: "trials".to_owned(), partition }, offset);
    fixture.kafka.admin().commit("readers", &BTreeMap::from([at(0, 1), at(1, 1)])).await.unwrap();
    fixture
}

fn to(plan: &[Move]) -> Vec<(i32, Option<i64>, i64)> {
    plan.iter().map(|step| (step.partition, step.from, step.to)).collect()
}

#[tokio::test]
async fn a_group_is_told_with_its_lag_in_each_partition() {
    let fixture = with_records().await;
    let groups = fixture.kafka.list_groups().await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].id.as_str(), groups[0].lag, groups[0].members), ("readers", 2, 0));
    let group = fixture.kafka.describe_group("readers").await.unwrap();
    let standing: Vec<_> = group.partitions.iter().map(|at| (at.partition, at.committed, at.end, at.lag)).collect();
    assert_eq!(standing, [(0, Some(1), Some(3), Some(2)), (1, Some(1), Some(1), Some(0))]);
    assert!(matches!(fixture.kafka.describe_group("nobody").await, Err(Error::NoGroup { .. })));
}

#[tokio::test]
async fn a_reset_is_planned_within_what_there_is_and_moves_only_when_asked() {
    let fixture = with_records().await;
    let kafka = &fixture.kafka;
    let first = Scope::Topics(vec![("trials".to_owned(), Some(vec![0]))]);
    let cases = [
        (Target::Earliest, 0),
        (Target::Latest, 3),
        (Target::Current, 1),
        (Target::Offset(99), 3),
        (Target::ShiftBy(-5), 0),
        (Target::ShiftBy(1), 2),
        (Target::Time(1_700_000_000_500), 1),
        (Target::Time(1_800_000_000_000), 3),
    ];
    for (target, goal) in cases {
        let plan = kafka.plan_reset("readers", &first, &target).await.unwrap();
        assert_eq!(to(&plan), [(0, Some(1), goal)], "{target:?}");
    }
    let plan = kafka.plan_reset("readers", &Scope::Committed, &Target::Earliest).await.unwrap();
    assert_eq!(to(&plan), [(0, Some(1), 0), (1, Some(1), 0)]);
    assert_eq!(kafka.describe_group("readers").await.unwrap().partitions[0].committed, Some(1));
    kafka.reset_group("readers", &plan).await.unwrap();
    assert_eq!(kafka.describe_group("readers").await.unwrap().partitions[0].committed, Some(0));
}

#[tokio::test]
async fn a_group_with_members_is_shown_with_them_and_neither_moved_nor_deleted() {
    let fixture = with_records().await;
    let config = KafkaConfig { client_id: "reader-1".to_owned(), ..fixture.config.clone() };
    let interest = Interest {
        group: "readers".to_owned(),
        topics: vec!["trials".to_owned()],
        instance: None,
        drain_max: Duration::from_secs(1),
        start: GroupStart::Earliest,
    };
    let member = KafkaTransport::new(config).unwrap().subscribe(interest).await.unwrap();
    let group = eventually("the member reads", async || {
        let group = fixture.kafka.describe_group("readers").await.ok()?;
        group.members.first().is_some_and(|member| member.partitions == 2).then_some(group)
    })
    .await;
    assert_eq!(group.members[0].client_id, "reader-1");
    assert!(group.partitions.iter().all(|position| position.client_id.as_deref() == Some("reader-1")));
    assert!(group.members[0].host.contains("127.0.0.1"));
    let refused = fixture.kafka.plan_reset("readers", &Scope::Committed, &Target::Earliest).await;
    assert!(matches!(refused, Err(Error::GroupInUse { .. })));
    assert!(matches!(fixture.kafka.delete_group("readers").await, Err(Error::GroupInUse { .. })));
    member.close().await;
    eventually("the member has left", async || fixture.kafka.delete_group("readers").await.ok()).await;
    assert!(matches!(fixture.kafka.delete_group("readers").await, Err(Error::NoGroup { .. })));
}
