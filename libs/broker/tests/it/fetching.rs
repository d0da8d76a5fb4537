//! Row "fetch": empty answers, the middle of a batch, the edges of the log, waiting, limits, sessions.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, MetadataRequest};
use tokio::time::Instant;

use crate::support::batch::{base_offset, batch, values};
use crate::support::child::Served;
use crate::support::wire::{Ask, FETCH, Wire, fetch_request, topic_name};
use crate::support::{PATIENCE, Running};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_has_empty_records_and_not_null() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    for version in 4..=12 {
        let answer = wire.call(version, &fetch_request("t", 0, Ask::at(0))).await;
        let partition = &answer.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark), (0, 0));
        assert_eq!(partition.records.as_ref().map(bytes::Bytes::len), Some(0), "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_from_the_middle_of_a_batch_returns_that_batch() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, batch(&["0", "1", "2"])).await;
    wire.produce("t", 0, batch(&["3", "4", "5"])).await;
    for (offset, first) in [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (5, 3)] {
        let records = wire.fetch("t", 0, Ask::at(offset)).await.records.unwrap();
        assert_eq!(base_offset(&records), first, "offset {offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_below_the_low_and_above_the_high_watermark_are_out_of_range() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    for _ in 0..4 {
        wire.produce("t", 0, batch(&["v"])).await;
    }
    wire.delete_records("t", 0, 2).await;
    let out = ResponseError::OffsetOutOfRange.code();
    for (offset, expected) in [(-1, out), (0, out), (1, out), (2, 0), (4, 0), (5, out), (i64::MAX, out)] {
        let partition = wire.fetch("t", 0, Ask::at(offset)).await;
        assert_eq!(partition.error_code, expected, "offset {offset}");
        assert_eq!((partition.log_start_offset, partition.high_watermark), (2, 4), "offset {offset}");
        assert!(partition.records.is_some(), "offset {offset}");
    }
    let absent = wire.fetch("t", 7, Ask::at(0)).await;
    assert_eq!(absent.error_code, ResponseError::UnknownTopicOrPartition.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_min_bytes_and_is_answered_as_soon_as_they_are_there() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut producing = broker.wire().await;
    let mut waiting = broker.wire().await;
    let first = batch(&["first"]);
    let ask = Ask { wait_ms: 60_000, min_bytes: i32::try_from(first.len()).unwrap() + 1, ..Ask::at(0) };
    let request = fetch_request("t", 0, ask);
    waiting.send(FETCH, &request).await;
    producing.produce("t", 0, first).await;
    // One batch is too little; a second one wakes the fetch long before its time is up.
    producing.produce("t", 0, batch(&["second"])).await;
    let answer = waiting.receive::<FetchRequest>(FETCH).await.unwrap();
    let records = answer.responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(values(&records), ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_gets_too_little_is_answered_when_its_time_is_up() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, batch(&["little"])).await;
    let started = Instant::now();
    let partition = wire.fetch("t", 0, Ask { wait_ms: 300, min_bytes: 10_000, ..Ask::at(0) }).await;
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert_eq!(values(&partition.records.unwrap()), ["little"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_that_wait_for_more_cost_no_processor_time() {
    const WAIT: Duration = Duration::from_millis(1_500);
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let mut wire = Wire::connect(&served.address).await;
    wire.produce("t", 0, batch(&["little"])).await;
    let before = served.processor_time();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut wire = Wire::connect(&served.address).await;
        let wait_ms = i32::try_from(WAIT.as_millis()).unwrap();
        wire.send(FETCH, &fetch_request("t", 0, Ask { wait_ms, min_bytes: 10_000, ..Ask::at(0) })).await;
        waiting.push(wire);
    }
    for mut wire in waiting {
        let answer = wire.receive::<FetchRequest>(FETCH).await.unwrap();
        assert_eq!(values(answer.responses[0].partitions[0].records.as_ref().unwrap()), ["little"]);
    }
    let spent = served.processor_time().saturating_sub(before);
    assert!(spent < WAIT / 4, "20 fetches that wait for {WAIT:?} took {spent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_does_not_wait_for_a_partition_that_is_refused() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let ask = Ask { wait_ms: 60_000, ..Ask::at(5) };
    assert_eq!(wire.fetch("t", 0, ask).await.error_code, ResponseError::OffsetOutOfRange.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_is_answered_when_its_topic_is_deleted() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let ask = Ask { wait_ms: 60_000, ..Ask::at(0) };
    wire.send(FETCH, &fetch_request("t", 0, ask)).await;
    broker.wire().await.delete_topic("t").await;
    let answered = tokio::time::timeout(PATIENCE, wire.receive::<FetchRequest>(FETCH)).await;
    let partition = answered.unwrap().unwrap().responses.remove(0).partitions.remove(0);
    assert_eq!(partition.error_code, ResponseError::UnknownTopicOrPartition.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn max_bytes_is_kept_but_for_the_first_batch() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let value = "x".repeat(1000);
    for _ in 0..4 {
        wire.produce("t", 0, batch(&[&value])).await;
    }
    let size = i32::try_from(batch(&[&value]).len()).unwrap();
    for (limit, batches) in [(0, 1), (1, 1), (size - 1, 1), (size, 1), (size * 2, 2), (size * 3 - 1, 2), (1 << 20, 4)] {
        for ask in [Ask { max_bytes: limit, ..Ask::at(0) }, Ask { partition_max_bytes: limit, ..Ask::at(0) }] {
            let records = wire.fetch("t", 0, ask).await.records.unwrap();
            assert_eq!(values(&records).len(), batches, "limit {limit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn max_bytes_holds_over_all_partitions_of_a_fetch() {
    let broker = Running::start().await;
    broker.topic("t", 3, &[]).await;
    let mut wire = broker.wire().await;
    let value = "x".repeat(1000);
    for partition in 0..3 {
        wire.produce("t", partition, batch(&[&value])).await;
    }
    let mut request = fetch_request("t", 0, Ask { max_bytes: 1500, ..Ask::at(0) });
    let partition = |index| FetchPartition::default().with_partition(index).with_partition_max_bytes(1 << 20);
    request.topics =
        vec![FetchTopic::default().with_topic(topic_name("t")).with_partitions((0..3).map(partition).collect())];
    let answer = wire.call(FETCH, &request).await;
    let lengths: Vec<bool> = answer.responses[0]
        .partitions
        .iter()
        .map(|partition| partition.records.as_ref().is_some_and(|records| !records.is_empty()))
        .collect();
    assert_eq!(lengths, [true, false, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_versions_name_topics_by_id_and_an_unknown_id_is_told() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, batch(&["v"])).await;
    let metadata = wire.call(12, &MetadataRequest::default().with_topics(None)).await;
    let id = metadata.topics.iter().find(|topic| topic.name == Some(topic_name("t"))).unwrap().topic_id;
    for version in 13..=17 {
        let mut request = fetch_request("t", 0, Ask::at(0));
        request.topics[0].topic = topic_name("");
        request.topics[0].topic_id = id;
        let answer = wire.call(version, &request).await;
        assert_eq!(answer.responses[0].topic_id, id);
        assert_eq!(values(answer.responses[0].partitions[0].records.as_ref().unwrap()), ["v"]);
        request.topics[0].topic_id = uuid::Uuid::from_u128(5);
        let answer = wire.call(version, &request).await;
        assert_eq!(answer.responses[0].partitions[0].error_code, ResponseError::UnknownTopicId.code());
    }
}
