//! Row "groups, classic": every assignor, static members, fencing, sessions, offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, LeaveGroupRequest, ListGroupsRequest,
};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::JoinHandle;

use crate::support::batch::batch;
use crate::support::member::{Member, committed};
use crate::support::wire::{Wire, text};
use crate::support::{PATIENCE, Running, SetClock, assigned, eventually, receive, send};

/// A consumer that is polled in the background until it is stopped.
struct Polled {
    consumer: Arc<StreamConsumer>,
    polling: JoinHandle<()>,
}

impl Polled {
    fn subscribe(broker: &Running, group: &str, topic: &str, settings: &[(&str, &str)]) -> Self {
        let consumer = Arc::new(broker.consumer(group, settings));
        consumer.subscribe(&[topic]).unwrap();
        let polled = Arc::clone(&consumer);
        let polling = tokio::spawn(async move {
            loop {
                let _ = polled.recv().await;
            }
        });
        Self { consumer, polling }
    }

    fn assigned(&self) -> Vec<(String, i32)> {
        assigned(&self.consumer)
    }

    async fn stop(self) {
        self.polling.abort();
        let _ = self.polling.await;
        self.consumer.unsubscribe();
        // Closing waits for the group, which would block the runtime's thread.
        tokio::task::spawn_blocking(move || drop(self.consumer)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_assignor_shares_the_partitions_and_hands_them_over() {
    let broker = Running::start().await;
    broker.topic("t", 5, &[]).await;
    let everything: BTreeSet<i32> = (0..5).collect();
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        let settings = [("partition.assignment.strategy", assignor)];
        let first = Polled::subscribe(&broker, assignor, "t", &settings);
        eventually("one member has all", || async { (first.assigned().len() == 5).then_some(()) }).await;
        let second = Polled::subscribe(&broker, assignor, "t", &settings);
        eventually("two members share", || async {
            let (first, second) = (first.assigned(), second.assigned());
            let both: BTreeSet<i32> = first.iter().chain(&second).map(|(_, partition)| *partition).collect();
            (first.len().abs_diff(second.len()) == 1 && first.len() + second.len() == 5 && both == everything)
                .then_some(())
        })
        .await;
        first.stop().await;
        eventually("the one that stays has all", || async { (second.assigned().len() == 5).then_some(()) }).await;
        second.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_that_comes_back_has_its_work_without_a_rebalance() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut first = Member::alone(&broker, "g", Some("machine-1")).await;
    assert_eq!(first.commit("t", 5, "").await, 0);
    let mut back = Member::new(&broker, "g", Some("machine-1")).await;
    // A leader of this version would assign anew, so it is told that its old self leads.
    let joined = back.join().await;
    assert_ne!(back.id, first.id);
    assert_eq!((joined.generation_id, &*joined.leader, joined.members.len()), (first.generation, &*first.id, 0));
    let fenced = ResponseError::FencedInstanceId.code();
    assert_eq!(first.heartbeat().await, fenced);
    assert_eq!(first.commit("t", 6, "").await, fenced);
    assert_eq!(first.sync().await, Err(fenced));
    assert_eq!(back.sync().await, Ok(Bytes::from(format!("work of {}", first.id))));
    assert_eq!(back.heartbeat().await, 0);
    assert_eq!(committed(&mut back.wire, "g", "t").await.0, 5);

    // A follower comes back into the same generation.
    let mut follower = Member::new(&broker, "g", Some("machine-2")).await;
    follower.send_join().await;
    eventually_rebalances(&mut back).await;
    back.join().await;
    follower.receive_join().await;
    back.sync().await.unwrap();
    let work = follower.sync().await.unwrap();
    let mut again = Member::new(&broker, "g", Some("machine-2")).await;
    again.join().await;
    assert_eq!(again.generation, follower.generation);
    assert_eq!(again.sync().await.unwrap(), work);
    assert_eq!(back.heartbeat().await, 0, "the others did not notice");
}

/// Heartbeats until the member is told to join again.
async fn eventually_rebalances(member: &mut Member) {
    let member = tokio::sync::Mutex::new(member);
    eventually("a rebalance", || async {
        let code = member.lock().await.heartbeat().await;
        (code == ResponseError::RebalanceInProgress.code()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_keeps_the_partitions_of_a_static_member_over_its_restart() {
    let broker = Running::start().await;
    broker.topic("t", 4, &[]).await;
    let start = |name: &str| Polled::subscribe(&broker, "g", "t", &[("group.instance.id", name)]);
    let (one, two) = (start("one"), start("two"));
    eventually("both share", || async { (one.assigned().len() == 2 && two.assigned().len() == 2).then_some(()) }).await;
    let before = (one.assigned(), two.assigned());
    one.polling.abort();
    // Without leaving, as a process that restarts within its session timeout.
    tokio::task::spawn_blocking(move || drop(one.consumer)).await.unwrap();
    let one = start("one");
    eventually("it is back", || async { (one.assigned() == before.0).then_some(()) }).await;
    assert_eq!(two.assigned(), before.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_generations_that_are_not_the_groups_are_fenced_on_heartbeat_and_commit() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut member = Member::alone(&broker, "g", None).await;
    assert_eq!((member.heartbeat().await, member.commit("t", 1, "").await), (0, 0));
    let (id, generation) = (member.id.clone(), member.generation);
    let illegal = ResponseError::IllegalGeneration.code();
    for wrong in [generation - 1, generation + 1] {
        member.generation = wrong;
        assert_eq!((member.heartbeat().await, member.commit("t", 2, "").await), (illegal, illegal));
    }
    member.generation = generation;
    member.id = "a stranger".to_owned();
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!((member.heartbeat().await, member.commit("t", 2, "").await), (unknown, unknown));
    // A committer outside the group, while the group has members.
    (member.id, member.generation) = (String::new(), -1);
    assert_eq!(member.commit("t", 2, "").await, unknown);
    assert_eq!(committed(&mut member.wire, "g", "t").await.0, 1);
    (member.id, member.generation) = (id, generation);
    assert_eq!(member.heartbeat().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_not_heard_of_is_out_after_its_session_timeout() {
    let broker = Running::with(|config| config.group_session_timeout_min_ms = 100).await;
    let mut silent = Member::new(&broker, "g", None).await;
    silent.session_timeout_ms = 200;
    silent.join().await;
    silent.sync().await.unwrap();
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    eventually("the group is empty", || async {
        let state = state(&mut *wire.lock().await, "g").await;
        (state == "Empty").then_some(())
    })
    .await;
    assert_eq!(silent.heartbeat().await, ResponseError::UnknownMemberId.code());
    let mut impatient = Member::new(&broker, "g", None).await;
    impatient.session_timeout_ms = 99;
    assert_eq!(impatient.join().await.error_code, ResponseError::InvalidSessionTimeout.code());
}

async fn state(wire: &mut Wire, group: &str) -> String {
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    wire.call(5, &request).await.groups.remove(0).group_state.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_a_commit_is_kept_up_to_its_limit() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut outside = Member::new(&broker, "g", None).await;
    assert_eq!(committed(&mut outside.wire, "g", "t").await, (-1, String::new()));
    assert_eq!(outside.commit("t", 3, "where I was: größe").await, 0);
    let refused = outside.commit("t", 4, &"x".repeat(5_000)).await;
    assert_eq!(refused, ResponseError::OffsetMetadataTooLarge.code());
    assert_eq!(outside.commit("absent", 4, "").await, ResponseError::UnknownTopicOrPartition.code());
    let expected = (3, "where I was: größe".to_owned());
    assert_eq!(committed(&mut outside.wire, "g", "t").await, expected);
    let broker = broker.restart().await;
    assert_eq!(committed(&mut broker.wire().await, "g", "t").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_after_its_committed_offset_also_after_a_restart() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let producer = broker.producer(&[]);
    for value in ["a", "b", "c"] {
        send(&producer, "t", 0, value).await;
    }
    let consumer = broker.consumer("g", &[]);
    consumer.subscribe(&["t"]).unwrap();
    for (offset, value) in [(0, "a"), (1, "b")] {
        assert_eq!(receive(&consumer).await, (0, offset, value.to_owned()));
    }
    let mut positions = TopicPartitionList::new();
    positions.add_partition_offset("t", 0, Offset::Offset(2)).unwrap();
    consumer.commit(&positions, CommitMode::Sync).unwrap();
    tokio::task::spawn_blocking(move || drop(consumer)).await.unwrap();
    drop(producer);

    let broker = broker.restart().await;
    let consumer = broker.consumer("g", &[]);
    consumer.subscribe(&["t"]).unwrap();
    assert_eq!(receive(&consumer).await, (0, 2, "c".to_owned()));
    let found = consumer.committed_offsets(positions, PATIENCE).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_members_outlives_a_restart_of_the_broker() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let member = Member::alone(&broker, "g", None).await;
    let broker = broker.restart().await;
    let mut member = Member { wire: broker.wire().await, ..member };
    assert_eq!(member.heartbeat().await, 0, "same id, same generation");
    assert_eq!(member.commit("t", 7, "").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_by_state_and_described_with_host_and_client() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut member = Member::alone(&broker, "busy", None).await;
    Member::new(&broker, "idle", None).await.commit("t", 1, "").await;
    let list = |states: &[&str]| {
        ListGroupsRequest::default().with_states_filter(states.iter().map(|state| text(state)).collect())
    };
    for (states, expected) in [
        (&[][..], &["busy", "idle"][..]),
        (&["Stable"], &["busy"]),
        (&["empty"], &["idle"]),
        (&["Stable", "Empty"], &["busy", "idle"]),
        (&["Dead"], &[]),
    ] {
        let mut found: Vec<String> =
            member.wire.call(4, &list(states)).await.groups.iter().map(|group| group.group_id.to_string()).collect();
        found.sort();
        assert_eq!(found, expected, "{states:?}");
    }
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text("busy")), GroupId(text("absent"))]);
    let described = member.wire.call(5, &request).await.groups;
    let busy = &described[0];
    assert_eq!((&*busy.group_state, &*busy.protocol_type, &*busy.protocol_data), ("Stable", "consumer", "range"));
    assert_eq!((&*busy.members[0].client_id, &*busy.members[0].client_host), ("raw", "/127.0.0.1"));
    assert_eq!(busy.members[0].member_assignment, format!("work of {}", member.id));
    assert_eq!((described[1].error_code, &*described[1].group_state), (0, "Dead"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_deleted_when_nobody_is_in_it_and_not_before() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut member = Member::alone(&broker, "g", None).await;
    member.commit("t", 9, "").await;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("g"))]);
    let refused = member.wire.call(2, &delete).await.results.remove(0);
    assert_eq!(refused.error_code, ResponseError::NonEmptyGroup.code());
    let leave = LeaveGroupRequest::default().with_group_id(GroupId(text("g"))).with_member_id(text(&member.id));
    assert_eq!(member.wire.call(2, &leave).await.error_code, 0);
    assert_eq!(member.wire.call(2, &delete).await.results.remove(0).error_code, 0);
    assert_eq!(committed(&mut member.wire, "g", "t").await.0, -1);
    let again = member.wire.call(2, &delete).await.results.remove(0);
    assert_eq!(again.error_code, ResponseError::GroupIdNotFound.code());
    let broker = broker.restart().await;
    assert_eq!(committed(&mut broker.wire().await, "g", "t").await.0, -1, "it stays deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_deleted_topic_are_forgotten() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut outside = Member::new(&broker, "g", None).await;
    outside.commit("t", 9, "").await;
    broker.admin().delete_topics(&["t"], &rdkafka::admin::AdminOptions::new()).await.unwrap();
    broker.topic("t", 1, &[]).await;
    assert_eq!(committed(&mut outside.wire, "g", "t").await.0, -1);
    outside.wire.produce("t", 0, batch(&["v"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_group_that_nobody_uses_expire() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        config.offsets_retention_ms = 60_000;
        config.offsets_retention_check_interval_ms = 20;
    })
    .await;
    broker.topic("t", 1, &[]).await;
    let mut old = Member::new(&broker, "old", None).await;
    old.commit("t", 1, "").await;
    let mut busy = Member::alone(&broker, "busy", None).await;
    busy.commit("t", 1, "").await;
    clock.set(1_030_000);
    let mut young = Member::new(&broker, "young", None).await;
    young.commit("t", 1, "").await;
    clock.set(1_070_000);
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    eventually("the old offset is gone", || async {
        (committed(&mut *wire.lock().await, "old", "t").await.0 == -1).then_some(())
    })
    .await;
    let mut wire = wire.into_inner();
    assert_eq!(committed(&mut wire, "young", "t").await.0, 1);
    assert_eq!(committed(&mut wire, "busy", "t").await.0, 1, "a group with members keeps its offsets");
}
