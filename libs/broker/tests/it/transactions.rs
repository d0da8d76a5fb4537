//! Row "transactions": clients before and after KIP-890, what readers see, fencing, timeouts, restarts.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeProducersRequest, DescribeTransactionsRequest, FindCoordinatorRequest, GroupId,
    ListTransactionsRequest, OffsetFetchRequest, ProducerId, TransactionalId, WriteTxnMarkersRequest,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::batch::{batch, records};
use crate::support::member::committed;
use crate::support::txn::Txn;
use crate::support::wire::{Ask, Wire, text, topic_name};
use crate::support::{PATIENCE, Running, eventually, receive, send};

const FENCED: i16 = 90;
const EVERYTHING: i8 = 0;
const COMMITTED: i8 = 1;

fn transactional(broker: &Running, id: &str) -> FutureProducer {
    let producer = broker.producer(&[("transactional.id", id), ("transaction.timeout.ms", "30000")]);
    tokio::task::block_in_place(|| producer.init_transactions(PATIENCE)).unwrap();
    producer
}

async fn send_all(producer: &FutureProducer, values: &[&str]) {
    for value in values {
        send(producer, "t", 0, value).await;
    }
}

fn commit(producer: &FutureProducer) -> Result<(), KafkaError> {
    tokio::task::block_in_place(|| producer.commit_transaction(PATIENCE))
}

fn abort(producer: &FutureProducer) {
    tokio::task::block_in_place(|| producer.abort_transaction(PATIENCE)).unwrap();
}

/// What a reader gets: values of records that are no markers, and the aborted transactions it is told of.
async fn seen(wire: &mut Wire, isolation: i8) -> (Vec<String>, Vec<(i64, i64)>) {
    let partition = wire.fetch("t", 0, Ask { isolation, ..Ask::at(0) }).await;
    assert_eq!(partition.error_code, 0);
    let aborted = partition.aborted_transactions.unwrap_or_default();
    let aborted = aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect();
    let values = records(&partition.records.unwrap())
        .into_iter()
        .filter(|record| !record.control)
        .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap());
    (values.collect(), aborted)
}

async fn last_stable(wire: &mut Wire) -> (i64, i64) {
    let partition = wire.fetch("t", 0, Ask::at(0)).await;
    (partition.last_stable_offset, partition.high_watermark)
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_commits_are_seen_and_aborts_are_not() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let producer = transactional(&broker, "tx");
    // Several in a row: an older client must not be fenced by its own second transaction.
    for round in 0..3 {
        producer.begin_transaction().unwrap();
        send_all(&producer, &[&format!("aborted {round}"), "aborted too"]).await;
        abort(&producer);
        producer.begin_transaction().unwrap();
        send_all(&producer, &[&format!("committed {round}")]).await;
        commit(&producer).unwrap();
    }
    send(&broker.producer(&[]), "t", 0, "outside").await;
    let read = |isolation: &'static str| {
        let consumer = broker.consumer(isolation, &[("isolation.level", isolation)]);
        consumer.subscribe(&["t"]).unwrap();
        async move {
            let mut values = Vec::new();
            while values.last().is_none_or(|last| last != "outside") {
                values.push(receive(&consumer).await.2);
            }
            values
        }
    };
    assert_eq!(read("read_committed").await, ["committed 0", "committed 1", "committed 2", "outside"]);
    assert_eq!(read("read_uncommitted").await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_is_fenced_by_the_next_producer_of_the_same_id() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let zombie = transactional(&broker, "tx");
    zombie.begin_transaction().unwrap();
    send_all(&zombie, &["of the zombie"]).await;
    let next = transactional(&broker, "tx");
    assert!(matches!(commit(&zombie), Err(KafkaError::Transaction(error)) if error.is_fatal()));
    next.begin_transaction().unwrap();
    send_all(&next, &["of the next"]).await;
    commit(&next).unwrap();
    let (values, aborted) = seen(&mut broker.wire().await, COMMITTED).await;
    assert_eq!(values, ["of the zombie", "of the next"]);
    assert_eq!(aborted.len(), 1, "the reader is told to pass over the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_moves_offsets_and_records_together() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    broker.topic("source", 1, &[]).await;
    send(&broker.producer(&[]), "source", 0, "in").await;
    let consumer = broker.consumer("g", &[]);
    consumer.subscribe(&["source"]).unwrap();
    assert_eq!(receive(&consumer).await.2, "in");
    let producer = transactional(&broker, "tx");
    let mut position = TopicPartitionList::new();
    position.add_partition_offset("source", 0, Offset::Offset(1)).unwrap();
    let mut wire = broker.wire().await;
    for (commits, expected) in [(false, -1), (true, 1)] {
        producer.begin_transaction().unwrap();
        producer.send(FutureRecord::<(), str>::to("t").partition(0).payload("out"), PATIENCE).await.unwrap();
        let metadata = consumer.group_metadata().unwrap();
        tokio::task::block_in_place(|| producer.send_offsets_to_transaction(&position, &metadata, PATIENCE)).unwrap();
        assert_eq!(committed(&mut wire, "g", "source").await.0, -1, "undecided");
        if commits {
            commit(&producer).unwrap();
        } else {
            abort(&producer);
        }
        assert_eq!(committed(&mut wire, "g", "source").await.0, expected);
    }
    let broker = broker.restart().await;
    assert_eq!(committed(&mut broker.wire().await, "g", "source").await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_an_open_transaction_is_stable() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, batch(&["before"])).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    assert_eq!(txn.add("t").await, 0);
    assert_eq!(last_stable(&mut wire).await, (1, 1), "adding a partition opens nothing in it yet");
    assert_eq!(txn.produce("t", "in it").await, 0);
    wire.produce("t", 0, batch(&["behind"])).await;
    assert_eq!(last_stable(&mut wire).await, (1, 3));
    assert_eq!(seen(&mut wire, COMMITTED).await.0, ["before"]);
    assert_eq!(seen(&mut wire, EVERYTHING).await.0, ["before", "in it", "behind"]);
    let stable = wire.fetch("t", 0, Ask { isolation: COMMITTED, ..Ask::at(2) }).await;
    assert_eq!(
        (stable.error_code, stable.records.unwrap().len()),
        (0, 0),
        "past the stable end is in range, and empty"
    );
    assert_eq!(txn.end(true).await, 0);
    assert_eq!(last_stable(&mut wire).await, (4, 4));
    assert_eq!(seen(&mut wire, COMMITTED).await, (["before", "in it", "behind"].map(str::to_owned).to_vec(), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_reader_of_committed_records_is_woken_by_the_commit() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    txn.add("t").await;
    txn.produce("t", "in it").await;
    let mut reader = broker.wire().await;
    let waiting = tokio::spawn(async move {
        let ask = Ask { isolation: COMMITTED, wait_ms: 60_000, ..Ask::at(0) };
        reader.fetch("t", 0, ask).await.records.unwrap().len()
    });
    assert_eq!(txn.end(true).await, 0);
    assert!(tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_are_told_to_readers_of_their_range_also_after_restarts_and_rolls() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[("segment.bytes", "1024")]).await;
    let mut first = Txn::begin(&broker, "first").await;
    let mut second = Txn::begin(&broker, "second").await;
    let fill = "x".repeat(300);
    for _ in 0..2 {
        for txn in [&mut first, &mut second] {
            txn.add("t").await;
            for _ in 0..4 {
                assert_eq!(txn.produce("t", &fill).await, 0);
            }
        }
        assert_eq!(first.end(false).await, 0);
        assert_eq!(second.end(true).await, 0);
    }
    let told = |wire: Wire, offset| async move {
        let mut wire = wire;
        let partition = wire.fetch("t", 0, Ask { isolation: COMMITTED, ..Ask::at(offset) }).await;
        let aborted = partition.aborted_transactions.unwrap_or_default();
        aborted.iter().map(|aborted| aborted.first_offset).collect::<Vec<_>>()
    };
    // Offsets: first 0–3, second 4–7, markers 8 and 9; then first 10–13, second 14–17, markers 18 and 19.
    let mut broker = broker;
    for _ in 0..3 {
        assert_eq!(last_stable(&mut broker.wire().await).await, (20, 20));
        assert_eq!(told(broker.wire().await, 0).await, [0]);
        assert_eq!(told(broker.wire().await, 5).await, [0], "its marker is yet to come");
        assert_eq!(told(broker.wire().await, 9).await, [] as [i64; 0]);
        assert_eq!(told(broker.wire().await, 15).await, [10]);
        broker = broker.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_after_kip_890_add_by_producing_and_get_a_new_epoch_with_each_end() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let versions = wire.call(4, &ApiVersionsRequest::default()).await;
    let feature = &versions.finalized_features[0];
    assert_eq!((feature.name.as_str(), feature.max_version_level), ("transaction.version", 2));
    let mut txn = Txn::begin(&broker, "tx").await;
    for (epoch, commits) in [(0, true), (1, false), (2, true)] {
        assert_eq!(txn.epoch, epoch);
        assert_eq!(txn.produce_adding("t", &format!("{epoch}")).await, 0);
        let stale = txn.epoch;
        assert_eq!(txn.end_bumping(commits).await, 0);
        // The answer was lost: the same again, from the epoch before, gets the same answer.
        let next = std::mem::replace(&mut txn.epoch, stale);
        assert_eq!(txn.end_bumping(commits).await, 0);
        assert_eq!(txn.epoch, next);
        txn.epoch = stale;
        assert_eq!(txn.end_bumping(!commits).await, FENCED, "but not the opposite");
        let late = txn.produce_adding("t", "late").await;
        assert_eq!(late, ResponseError::InvalidProducerEpoch.code(), "a late batch is fenced");
        txn.epoch = next;
    }
    let (values, aborted) = seen(&mut wire, COMMITTED).await;
    assert_eq!((values, aborted), (["0", "1", "2"].map(str::to_owned).to_vec(), vec![(txn.producer_id, 2)]));
    assert_eq!(txn.end_bumping(true).await, ResponseError::InvalidTxnState.code(), "nothing was added");
    assert_eq!(txn.end_bumping(false).await, 0, "but it may be aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_outside_an_open_transaction_are_refused() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    let invalid = ResponseError::InvalidTxnState.code();
    assert_eq!(txn.produce("t", "not added").await, invalid);
    assert_eq!(txn.add("t").await, 0);
    assert_eq!(txn.produce("t", "added").await, 0);
    assert_eq!(txn.end(true).await, 0);
    assert_eq!(txn.produce("t", "after the end").await, invalid);
    assert_eq!(txn.end(true).await, 0, "ending again the same way changes nothing");
    assert_eq!(txn.end(false).await, invalid);
    assert_eq!(txn.add("absent").await, ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(txn.add("__consumer_offsets").await, ResponseError::UnknownTopicOrPartition.code());
    txn.epoch += 1;
    assert_eq!((txn.add("t").await, txn.end(true).await), (FENCED, FENCED));
    txn.producer_id += 1;
    assert_eq!(txn.add("t").await, ResponseError::InvalidProducerIdMapping.code());
    let mut unknown = Txn { id: "unknown".to_owned(), ..txn };
    assert_eq!(unknown.end(true).await, ResponseError::InvalidProducerIdMapping.code());
    assert_eq!(broker.wire().await.watermarks("t", 0).await, (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_aborts_what_the_last_left_open_and_fences_it() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut zombie = Txn::begin(&broker, "tx").await;
    zombie.add("t").await;
    zombie.produce("t", "left open").await;
    let mut next = Txn::begin(&broker, "tx").await;
    assert_eq!(next.producer_id, zombie.producer_id);
    assert!(next.epoch > zombie.epoch);
    let mut wire = broker.wire().await;
    assert_eq!(last_stable(&mut wire).await, (2, 2), "a marker was written");
    assert_eq!(zombie.produce("t", "late").await, ResponseError::InvalidProducerEpoch.code());
    assert_eq!((zombie.end(true).await, zombie.add("t").await, zombie.init(60_000).await), (FENCED, FENCED, FENCED));
    next.add("t").await;
    assert_eq!((next.produce("t", "goes on").await, next.end(true).await), (0, 0));
    assert_eq!(next.init(0).await, ResponseError::InvalidTransactionTimeout.code());
    assert_eq!(next.init(1_000_000_000).await, ResponseError::InvalidTransactionTimeout.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_renews_itself_may_ask_again_and_one_that_was_replaced_may_not() {
    let broker = Running::start().await;
    let mut producer = Txn::begin(&broker, "tx").await;
    let before = producer.epoch;
    assert_eq!((producer.init(60_000).await, producer.epoch), (0, before + 1), "it renews itself");
    let renewed = (producer.producer_id, producer.epoch);
    producer.epoch = before;
    assert_eq!(producer.init(60_000).await, 0, "the answer was lost: it asks again");
    assert_eq!((producer.producer_id, producer.epoch), renewed);
    // Another instance of the same id comes while this one is idle.
    let mut next = Txn::begin(&broker, "tx").await;
    assert_eq!(next.epoch, producer.epoch + 1);
    assert_eq!(producer.init(60_000).await, ResponseError::ProducerFenced.code(), "the place is another's");
    assert_eq!(next.init(60_000).await, 0, "which is not disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut slow = Txn::new(&broker, "tx").await;
    assert_eq!(slow.init(100).await, 0);
    slow.add("t").await;
    slow.produce("t", "too slow").await;
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    eventually("it is aborted", || async { (last_stable(&mut *wire.lock().await).await == (2, 2)).then_some(()) })
        .await;
    assert_eq!(seen(&mut *wire.lock().await, COMMITTED).await.1, [(slow.producer_id, 0)]);
    assert_eq!(slow.end(true).await, FENCED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_outlives_a_restart_and_is_ended_after_it() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    broker.topic("source", 1, &[]).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    txn.add("t").await;
    txn.produce("t", "before").await;
    assert_eq!(txn.add_offsets("g").await, 0);
    assert_eq!(txn.commit_offset(3, "g", "source", 42).await, 0);
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    assert_eq!(last_stable(&mut wire).await, (0, 1));
    let mut txn = txn.reconnect(&broker).await;
    assert_eq!(txn.produce("t", "after").await, 0);
    assert_eq!(txn.end(true).await, 0);
    assert_eq!(seen(&mut wire, COMMITTED).await.0, ["before", "after"]);
    assert_eq!(committed(&mut wire, "g", "source").await.0, 42);
    let broker = broker.restart().await;
    assert_eq!(committed(&mut broker.wire().await, "g", "source").await.0, 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_transaction_are_unstable_until_it_ends() {
    let broker = Running::start().await;
    broker.topic("source", 1, &[]).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    let invalid = ResponseError::InvalidTxnState.code();
    assert_eq!(txn.commit_offset(3, "g", "source", 1).await, invalid, "the group was not added");
    assert_eq!(txn.commit_offset(5, "g", "source", 7).await, 0, "newer clients add by committing");
    let topic = OffsetFetchRequestTopic::default().with_name(topic_name("source")).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
    let stable = request.with_require_stable(true);
    let mut wire = broker.wire().await;
    let mut answer = wire.call(7, &stable).await;
    let position = answer.topics.remove(0).partitions.remove(0);
    let unstable = ResponseError::UnstableOffsetCommit.code();
    assert_eq!((position.error_code, position.committed_offset), (unstable, -1));
    assert_eq!(committed(&mut wire, "g", "source").await.0, -1);
    assert_eq!(txn.end_bumping(true).await, 0);
    let position = wire.call(7, &stable).await.topics.remove(0).partitions.remove(0);
    assert_eq!((position.error_code, position.committed_offset), (0, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_and_producers_are_listed_and_described() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut open = Txn::begin(&broker, "open").await;
    open.add("t").await;
    open.produce("t", "v").await;
    let idle = Txn::begin(&broker, "idle").await;
    let mut wire = broker.wire().await;
    let ids = ["open", "absent"].map(|id| TransactionalId(text(id))).to_vec();
    let described = wire.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids)).await;
    let [known, absent] = &described.transaction_states[..] else { panic!("two were asked for") };
    assert_eq!((known.transaction_state.as_str(), known.producer_id.0), ("Ongoing", open.producer_id));
    assert_eq!((known.topics[0].topic.as_str(), &known.topics[0].partitions[..]), ("t", &[0][..]));
    assert!(known.transaction_start_time_ms > 0);
    assert_eq!(absent.error_code, ResponseError::TransactionalIdNotFound.code());
    let list = |states: &[&str], producers: &[i64]| {
        ListTransactionsRequest::default()
            .with_state_filters(states.iter().map(|state| text(state)).collect())
            .with_producer_id_filters(producers.iter().map(|id| ProducerId(*id)).collect())
            .with_duration_filter(-1)
    };
    for (request, expected) in [
        (list(&[], &[]), &["idle", "open"][..]),
        (list(&["Ongoing"], &[]), &["open"]),
        (list(&[], &[idle.producer_id]), &["idle"]),
        (list(&["Ongoing"], &[idle.producer_id]), &[]),
    ] {
        let listed = wire.call(1, &request).await.transaction_states;
        let mut names: Vec<String> = listed.iter().map(|state| state.transactional_id.to_string()).collect();
        names.sort();
        assert_eq!(names, expected);
    }
    let unknown = wire.call(1, &list(&["Lost"], &[])).await.unknown_state_filters;
    assert_eq!(unknown, [text("Lost")]);
    let asked = TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let producers = wire.call(0, &DescribeProducersRequest::default().with_topics(vec![asked])).await;
    let producer = &producers.topics[0].partitions[0].active_producers[0];
    assert_eq!(
        (producer.producer_id.0, producer.last_sequence, producer.current_txn_start_offset),
        (open.producer_id, 0, 0)
    );
    let find = FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![text("open")]);
    assert_eq!(wire.call(4, &find).await.coordinators[0].error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_answered_when_its_markers_are_there() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    for at in 0..20 {
        txn.add("t").await;
        assert_eq!(txn.produce("t", "v").await, 0);
        assert_eq!(txn.end(true).await, 0);
        // Read your own writes, without waiting for anything.
        assert_eq!(last_stable(&mut broker.wire().await).await, (2 * at + 2, 2 * at + 2));
    }
    let patience = Duration::from_secs(1);
    assert!(tokio::time::timeout(patience, txn.add("t")).await.is_ok(), "nothing is left to wait for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_ends_by_hand_what_is_open_in_a_partition_and_nothing_else() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    assert_eq!((txn.add("t").await, txn.produce("t", "hanging").await), (0, 0));
    let mut wire = broker.wire().await;
    let mut end = async |producer_id: i64, epoch: i16, topic: &str| {
        let topic = WritableTxnMarkerTopic::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(epoch)
            .with_topics(vec![topic]);
        let answer = wire.call(1, &WriteTxnMarkersRequest::default().with_markers(vec![marker])).await;
        answer.markers[0].topics[0].partitions[0].error_code
    };
    let (id, epoch) = (txn.producer_id, txn.epoch);
    assert_eq!(end(id, epoch - 1, "t").await, ResponseError::InvalidProducerEpoch.code());
    assert_eq!(end(id + 1, epoch, "t").await, 0, "of somebody else nothing is open");
    assert_eq!(end(id, epoch, "absent").await, ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(end(id, epoch, "__transaction_state").await, ResponseError::UnknownTopicOrPartition.code());
    let mut reading = broker.wire().await;
    assert_eq!(last_stable(&mut reading).await, (0, 1), "none of these has done anything");
    for _ in 0..2 {
        assert_eq!(end(id, epoch, "t").await, 0);
        assert_eq!(last_stable(&mut reading).await, (2, 2), "one marker, however often it is asked for");
    }
    assert_eq!(seen(&mut reading, COMMITTED).await.1, [(id, 0)], "it is told of as aborted");
}
