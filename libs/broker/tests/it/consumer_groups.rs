//! Row "groups, KIP-848": the broker shares the partitions; members are librdkafka's and raw ones.

use std::collections::BTreeSet;

use broker::Config;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, DeleteGroupsRequest,
    DescribeGroupsRequest, GroupId, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest,
};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use tokio_util::sync::CancellationToken;

use crate::support::batch::batch;
use crate::support::child::Served;
use crate::support::member::{Member, committed_in};
use crate::support::wire::{Wire, text, topic_name};
use crate::support::{PATIENCE, Running, assigned, eventually, kafka_tools_folder, receive, send};

async fn start() -> Running {
    Running::with(quick).await
}

/// Heartbeats so often that tests do not wait for them.
fn quick(config: &mut Config) {
    config.consumer_group_heartbeat_interval_ms = 50;
}

fn consumer(broker: &Running, group: &str, settings: &[(&str, &str)]) -> StreamConsumer {
    let common = [
        ("group.id", group),
        ("group.protocol", "consumer"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("fetch.wait.max.ms", "50"),
    ];
    broker.client(&[&common[..], settings].concat()).create().unwrap()
}

fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}

/// A member that speaks frames.
struct Raw {
    wire: Wire,
    group: String,
    id: String,
    epoch: i32,
    assigned: Vec<TopicPartitions>,
}

impl Raw {
    async fn new(broker: &Running, group: &str, id: &str) -> Self {
        Self::at(&broker.address(), group, id).await
    }

    async fn at(address: &str, group: &str, id: &str) -> Self {
        let wire = Wire::connect(address).await;
        Self { wire, group: group.to_owned(), id: id.to_owned(), epoch: 0, assigned: Vec::new() }
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group_id(&self.group))
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None)
    }

    async fn send(&mut self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let answer = self.wire.call(1, &request).await;
        if answer.error_code == 0 {
            self.epoch = answer.member_epoch;
            if let Some(assignment) = &answer.assignment {
                let part = |topic: &kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
                    TopicPartitions::default().with_topic_id(topic.topic_id).with_partitions(topic.partitions.clone())
                };
                self.assigned = assignment.topic_partitions.iter().map(part).collect();
            }
        }
        answer
    }

    async fn join(&mut self, topic: &str, assignor: Option<&str>) -> i16 {
        let request = self
            .request()
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(Some(vec![topic_name(topic)]))
            .with_server_assignor(assignor.map(text))
            .with_topic_partitions(Some(Vec::new()));
        self.send(request).await.error_code
    }

    /// Says what it has.
    async fn beat(&mut self) -> i16 {
        let owned = self.assigned.clone();
        let request = self.request().with_topic_partitions(Some(owned));
        self.send(request).await.error_code
    }

    fn partitions(&self) -> Vec<i32> {
        self.assigned.iter().flat_map(|topic| topic.partitions.clone()).collect()
    }

    async fn commit(&mut self, topic: &str, epoch: i32) -> i16 {
        let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(1);
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(&self.group))
            .with_member_id(text(&self.id))
            .with_generation_id_or_member_epoch(epoch)
            .with_topics(vec![topic]);
        self.wire.call(9, &request).await.topics[0].partitions[0].error_code
    }
}

async fn describe(wire: &mut Wire, group: &str) -> DescribedGroup {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group_id(group)]);
    wire.call(1, &request).await.groups.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_members_share_the_partitions_and_hand_them_over() {
    for assignor in ["uniform", "range"] {
        let broker = start().await;
        broker.topic("t", 6, &[]).await;
        let producer = broker.producer(&[]);
        let settings = [("group.remote.assignor", assignor)];
        let first = consumer(&broker, "g", &settings);
        first.subscribe(&["t"]).unwrap();
        let second = consumer(&broker, "g", &settings);
        let has = |consumer: &StreamConsumer, count| (assigned(consumer).len() == count).then_some(());
        tokio::select! {
            record = first.recv() => panic!("there is none: {record:?}"),
            () = eventually("the first has all", || async { has(&first, 6) }) => {}
        }
        second.subscribe(&["t"]).unwrap();
        tokio::select! {
            record = first.recv() => panic!("there is none: {record:?}"),
            record = second.recv() => panic!("there is none: {record:?}"),
            () = eventually("each has half", || async { has(&first, 3).and(has(&second, 3)) }) => {}
        }
        let all: BTreeSet<_> = assigned(&first).into_iter().chain(assigned(&second)).collect();
        assert_eq!(all.len(), 6, "none twice");
        for partition in 0..6 {
            send(&producer, "t", partition, "v").await;
        }
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            seen.insert(receive(&first).await.0);
            seen.insert(receive(&second).await.0);
        }
        assert_eq!(seen.len(), 6);
        assert_eq!(describe(&mut broker.wire().await, "g").await.assignor_name.as_str(), assignor);
        drop(second);
        tokio::select! {
            () = async { loop { first.recv().await.unwrap(); } } => {}
            () = eventually("the first has all again", || async { has(&first, 6) }) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_goes_on_after_its_committed_offset_also_after_a_restart_of_the_broker() {
    let broker = start().await;
    broker.topic("t", 1, &[]).await;
    let producer = broker.producer(&[]);
    for value in ["a", "b", "c"] {
        send(&producer, "t", 0, value).await;
    }
    let first = consumer(&broker, "g", &[]);
    first.subscribe(&["t"]).unwrap();
    assert_eq!(receive(&first).await, (0, 0, "a".to_owned()));
    let received = first.recv().await.unwrap();
    first.commit_message(&received, CommitMode::Sync).unwrap();
    drop(received);
    drop(first);
    let broker = broker.restart().await;
    let second = consumer(&broker, "g", &[]);
    second.subscribe(&["t"]).unwrap();
    assert_eq!(receive(&second).await, (0, 2, "c".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_keep_their_places_over_kill_9_of_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let mut wire = Wire::connect(&served.address).await;
    wire.produce("t", 0, batch(&["a"])).await;
    let [mut first, mut second] =
        [Raw::at(&served.address, "g", "one").await, Raw::at(&served.address, "g", "two").await];
    assert_eq!((first.join("t", None).await, second.join("t", None).await), (0, 0));
    // The first gives up what the second is to have.
    for _ in 0..3 {
        assert_eq!((first.beat().await, second.beat().await), (0, 0));
    }
    assert_eq!((first.partitions().len() + second.partitions().len(), second.epoch), (3, first.epoch));
    let before = describe(&mut wire, "g").await;
    served.kill();
    let served = Served::start(dir.path());
    let mut wire = Wire::connect(&served.address).await;
    assert_eq!(describe(&mut wire, "g").await, before, "members, epochs and assignments are what they were");
    for member in [&mut first, &mut second] {
        let (epoch, partitions) = (member.epoch, member.partitions());
        member.wire = Wire::connect(&served.address).await;
        assert_eq!(member.beat().await, 0, "it need not join anew");
        assert_eq!((member.epoch, member.partitions()), (epoch, partitions));
    }
    assert_eq!(first.send(first.request().with_member_epoch(-1)).await.error_code, 0);
    served.kill();
    let served = Served::start(dir.path());
    let mut wire = Wire::connect(&served.address).await;
    assert_eq!(describe(&mut wire, "g").await.members.len(), 1, "who has left has left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_come_back_after_a_restart_is_out_when_its_session_ends() {
    let broker = Running::with(|config| {
        quick(config);
        config.consumer_group_session_timeout_ms = 300;
    })
    .await;
    broker.topic("t", 1, &[]).await;
    let mut gone = Raw::new(&broker, "g", "gone").await;
    assert_eq!(gone.join("t", None).await, 0);
    let broker = broker.restart().await;
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    eventually("it is out", || async { describe(&mut *wire.lock().await, "g").await.members.is_empty().then_some(()) })
        .await;
    let broker = broker.restart().await;
    let shown = describe(&mut broker.wire().await, "g").await;
    assert!(shown.members.is_empty(), "and stays out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_librdkafka_goes_on_when_the_broker_comes_back() {
    let broker = start().await;
    broker.topic("t", 1, &[]).await;
    send(&broker.producer(&[]), "t", 0, "a").await;
    let consumer = consumer(&broker, "g", &[("reconnect.backoff.max.ms", "200")]);
    consumer.subscribe(&["t"]).unwrap();
    let received = consumer.recv().await.unwrap();
    consumer.commit_message(&received, CommitMode::Sync).unwrap();
    drop(received);
    let address = broker.address().parse().unwrap();
    let broker = broker.restart_with(|config| config.listen = address).await;
    send(&broker.producer(&[]), "t", 0, "b").await;
    let next = async {
        loop {
            // Until it is back the client tells of the broken connection.
            if let Ok(received) = consumer.recv().await {
                return received.offset();
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, next).await.expect("a record in time"), 1);
}

/// Reads and commits record after record until told to end; answers what was read and committed, and what was only read.
async fn read_and_commit(consumer: StreamConsumer, end: CancellationToken) -> (Vec<String>, Vec<String>) {
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    while let Some(received) = end.run_until_cancelled(consumer.recv()).await {
        // Until the broker is back the client tells of the broken connection.
        let Ok(received) = received else { continue };
        let value = String::from_utf8(received.payload().unwrap().to_vec()).unwrap();
        let kind = match consumer.commit_message(&received, CommitMode::Sync) {
            Ok(()) => &mut done,
            Err(_) => &mut refused,
        };
        kind.push(value);
    }
    (done, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn of_two_members_over_a_restart_no_record_is_lost_and_none_is_committed_twice() {
    let broker = start().await;
    broker.topic("t", 4, &[]).await;
    let end = CancellationToken::new();
    let readers = [(); 2].map(|()| {
        let consumer = consumer(&broker, "g", &[("reconnect.backoff.max.ms", "200")]);
        consumer.subscribe(&["t"]).unwrap();
        tokio::spawn(read_and_commit(consumer, end.clone()))
    });
    let observer = tokio::sync::Mutex::new(broker.wire().await);
    eventually("both have their share", || async {
        let group = describe(&mut *observer.lock().await, "g").await;
        (group.members.len() == 2 && &*group.group_state == "Stable").then_some(())
    })
    .await;
    let mut sent = BTreeSet::new();
    let mut broker = broker;
    for round in 0..3 {
        let producer = broker.producer(&[]);
        for at in 0..40 {
            let value = format!("{round}-{at}");
            send(&producer, "t", at % 4, &value).await;
            sent.insert(value);
        }
        let address = broker.address().parse().unwrap();
        broker = broker.restart_with(|config| config.listen = address).await;
    }
    let observer = tokio::sync::Mutex::new(broker.wire().await);
    eventually("everything is committed", || async {
        let mut wire = observer.lock().await;
        let mut all = true;
        for partition in 0..4 {
            all &= committed_in(&mut wire, "g", "t", partition).await.0 == 30;
        }
        all.then_some(())
    })
    .await;
    end.cancel();
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for reader in readers {
        let (committed, read) = reader.await.unwrap();
        done.extend(committed);
        refused.extend(read);
    }
    let committed: BTreeSet<String> = done.iter().cloned().collect();
    assert_eq!(done.len(), committed.len(), "no record is committed twice");
    // Of a commit that the restart cut off nobody knows; whether it counts or not, the record was read.
    assert_eq!(committed.into_iter().chain(refused).collect::<BTreeSet<_>>(), sent, "every record is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_reads_topics_by_pattern_also_those_that_come_later() {
    let broker = start().await;
    broker.topic("orders.eu", 1, &[]).await;
    broker.topic("users", 1, &[]).await;
    let producer = broker.producer(&[]);
    let consumer = consumer(&broker, "g", &[("topic.metadata.refresh.interval.ms", "100")]);
    consumer.subscribe(&["^orders\\..*"]).unwrap();
    for topic in ["users", "orders.eu"] {
        send(&producer, topic, 0, topic).await;
    }
    assert_eq!(receive(&consumer).await.2, "orders.eu");
    broker.topic("orders.us", 1, &[]).await;
    send(&producer, "orders.us", 0, "later").await;
    assert_eq!(receive(&consumer).await.2, "later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_gets_what_another_gave_up_and_not_before() {
    let broker = start().await;
    broker.topic("t", 4, &[]).await;
    let mut first = Raw::new(&broker, "g", "first").await;
    let mut second = Raw::new(&broker, "g", "second").await;
    assert_eq!(first.join("t", None).await, 0);
    assert_eq!((first.epoch, first.partitions()), (1, vec![0, 1, 2, 3]));
    assert_eq!(second.join("t", None).await, 0);
    assert_eq!((second.epoch, second.partitions()), (2, vec![]));
    assert_eq!(first.beat().await, 0);
    assert_eq!((first.epoch, first.partitions().len()), (1, 2));
    assert_eq!(second.beat().await, 0);
    assert_eq!(second.partitions(), Vec::<i32>::new(), "the first has not said that it gave up");
    assert_eq!(first.beat().await, 0);
    assert_eq!(first.epoch, 2);
    assert_eq!(second.beat().await, 0);
    let all: BTreeSet<i32> = first.partitions().into_iter().chain(second.partitions()).collect();
    assert_eq!((all.len(), second.partitions().len()), (4, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_and_reads_of_members_at_another_epoch_are_refused() {
    let broker = start().await;
    broker.topic("t", 1, &[]).await;
    let mut member = Raw::new(&broker, "g", "m").await;
    member.join("t", None).await;
    assert_eq!(member.commit("t", 1).await, 0);
    assert_eq!(member.commit("t", 7).await, ResponseError::StaleMemberEpoch.code());
    member.id = "x".to_owned();
    assert_eq!(member.commit("t", 1).await, ResponseError::UnknownMemberId.code());
    assert_eq!(member.beat().await, ResponseError::UnknownMemberId.code());
    for (id, epoch, code) in [("m", 1, 0), ("m", 2, 113), ("x", 1, 25)] {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(group_id("g"))
            .with_member_id(Some(text(id)))
            .with_member_epoch(epoch)
            .with_topics(None);
        let answer = member.wire.call(9, &OffsetFetchRequest::default().with_groups(vec![group])).await;
        assert_eq!(answer.groups[0].error_code, code, "{id} {epoch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_and_described_by_their_type() {
    let broker = start().await;
    broker.topic("t", 2, &[]).await;
    let _classic = Member::alone(&broker, "old", None).await;
    let mut member = Raw::new(&broker, "new", "m").await;
    member.join("t", Some("range")).await;
    let mut wire = broker.wire().await;
    for (filter, groups) in [("consumer", vec!["new"]), ("classic", vec!["old"])] {
        let request = ListGroupsRequest::default().with_types_filter(vec![text(filter)]);
        let listed = wire.call(5, &request).await.groups;
        assert_eq!(listed.iter().map(|group| group.group_id.as_str()).collect::<Vec<_>>(), groups);
        assert!(listed[0].group_type.eq_ignore_ascii_case(filter));
        assert_eq!((listed[0].group_state.as_str(), listed[0].protocol_type.as_str()), ("Stable", "consumer"));
    }
    let group = describe(&mut wire, "new").await;
    assert_eq!((group.group_state.as_str(), group.group_epoch, group.assignment_epoch), ("Stable", 1, 1));
    let described = &group.members[0];
    assert_eq!((described.member_id.as_str(), described.member_epoch, described.member_type), ("m", 1, 1));
    assert_eq!((described.client_id.as_str(), described.client_host.as_str()), ("raw", "/127.0.0.1"));
    assert_eq!(described.subscribed_topic_names, [topic_name("t")]);
    for assignment in [&described.assignment, &described.target_assignment] {
        assert_eq!(assignment.topic_partitions[0].topic_name, topic_name("t"));
        assert_eq!(assignment.topic_partitions[0].partitions, [0, 1]);
    }
    let missing = ResponseError::GroupIdNotFound.code();
    assert_eq!(describe(&mut wire, "old").await.error_code, missing, "it is of the other protocol");
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id("new"), group_id("old")]);
    let described = wire.call(6, &request).await.groups;
    assert_eq!((described[0].error_code, described[1].error_code), (missing, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_changes_its_protocol_when_it_is_empty_and_keeps_its_offsets() {
    let broker = start().await;
    broker.topic("t", 1, &[]).await;
    let mut classic = Member::alone(&broker, "g", None).await;
    assert_eq!(classic.commit("t", 1, "").await, 0);
    let mut member = Raw::new(&broker, "g", "m").await;
    assert_eq!(member.join("t", None).await, ResponseError::GroupIdNotFound.code(), "the group is the other's");
    let gone = MemberIdentity::default().with_member_id(text(&classic.id));
    let leave = LeaveGroupRequest::default().with_group_id(group_id("g")).with_members(vec![gone]);
    assert_eq!(classic.wire.call(4, &leave).await.error_code, 0);
    assert_eq!(member.join("t", None).await, 0);
    let mut late = Member::new(&broker, "g", None).await;
    assert_eq!(late.join().await.error_code, ResponseError::InconsistentGroupProtocol.code());
    assert_eq!(crate::support::member::committed(&mut member.wire, "g", "t").await.0, 1);
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![group_id("g")]);
    let refused = member.wire.call(2, &delete).await.results[0].error_code;
    assert_eq!(refused, ResponseError::NonEmptyGroup.code());
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
    let topic = OffsetDeleteRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let delete_offset = OffsetDeleteRequest::default().with_group_id(group_id("g")).with_topics(vec![topic]);
    let refused = member.wire.call(0, &delete_offset).await.topics[0].partitions[0].error_code;
    assert_eq!(refused, ResponseError::GroupSubscribedToTopic.code());
    let leave = member.request().with_member_epoch(-1);
    assert_eq!(member.send(leave).await.member_epoch, -1);
    assert_eq!(late.join().await.error_code, 0, "back to the classic protocol");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_member_is_out_after_the_session_timeout() {
    let broker = Running::with(|config| config.consumer_group_session_timeout_ms = 200).await;
    broker.topic("t", 2, &[]).await;
    let mut silent = Raw::new(&broker, "g", "silent").await;
    silent.join("t", None).await;
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    eventually("it is out", || async {
        (describe(&mut *wire.lock().await, "g").await.group_state.as_str() == "Empty").then_some(())
    })
    .await;
    assert_eq!(silent.beat().await, ResponseError::UnknownMemberId.code());
    assert_eq!(silent.commit("t", 1).await, ResponseError::UnknownMemberId.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafkas_console_consumer_reads_as_a_member_and_its_tools_see_it() {
    let Some(jars) = kafka_tools_folder() else { return };
    let broker = start().await;
    broker.topic("t", 1, &[]).await;
    let producer = broker.producer(&[]);
    let values = ["a", "b", "c"];
    for value in values {
        send(&producer, "t", 0, value).await;
    }
    let address = broker.address();
    let tool = |class: &str, arguments: &[&str]| {
        let mut command = tokio::process::Command::new("java");
        command.arg("-cp").arg(jars.join("*")).arg(format!("org.apache.kafka.tools.{class}"));
        command.args(["--bootstrap-server", &address]).args(arguments);
        async move { String::from_utf8(command.output().await.unwrap().stdout).unwrap() }
    };
    let read = ["--topic", "t", "--from-beginning", "--group", "java", "--max-messages", "3"];
    let protocol = ["--command-property", "group.protocol=consumer"];
    let printed = tool("consumer.ConsoleConsumer", &[&read[..], &protocol].concat()).await;
    assert_eq!(printed.lines().collect::<Vec<_>>(), values);
    let listed = tool("consumer.group.ConsumerGroupCommand", &["--list", "--type"]).await;
    let row = listed.lines().find(|line| line.starts_with("java")).unwrap_or_default();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["java", "Consumer"], "{listed}");
}
