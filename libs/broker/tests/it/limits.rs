//! Row "limits": sizes of batches, frames, metadata; numbers of connections.

use std::collections::BTreeMap;

use broker::TopicSpec;
use bytes::Bytes;
use crc32c::crc32c;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::records::Compression;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;

use crate::support::batch::{batch, packed};
use crate::support::member::Member;
use crate::support::wire::{Ask, FETCH, Wire, fetch_request};
use crate::support::{PATIENCE, Running, eventually, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_over_max_message_bytes_of_its_topic_is_too_large() {
    let broker = Running::start().await;
    let exact = batch(&[&"x".repeat(500)]);
    broker.topic("small", 1, &[("max.message.bytes", &exact.len().to_string())]).await;
    broker.topic("large", 1, &[("max.message.bytes", "4000000")]).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.produce("small", 0, exact).await.error_code, 0);
    let over = wire.produce("small", 0, batch(&[&"x".repeat(501)])).await;
    assert_eq!(over.error_code, ResponseError::MessageTooLarge.code());
    assert_eq!(wire.produce("large", 0, batch(&[&"x".repeat(3_000_000)])).await.error_code, 0);

    let producer = broker.producer(&[]);
    let value = "y".repeat(5_000);
    let record = FutureRecord::<(), str>::to("small").partition(0).payload(&value);
    let refused = producer.send(record, PATIENCE).await.unwrap_err().0;
    assert_eq!(refused, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    assert_eq!(send(&producer, "small", 0, "fits").await, (0, 1), "the refusal left no hole");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_over_the_limit_end_their_connection_at_the_length() {
    let broker = Running::with(|config| config.frame_bytes_max = 10_000).await;
    broker.topic("t", 1, &[("max.message.bytes", "1000000")]).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.produce("t", 0, batch(&[&"x".repeat(9_000)])).await.error_code, 0);
    wire.send_bytes(&10_001_i32.to_be_bytes()).await.unwrap();
    assert!(wire.is_closed().await, "nothing of the frame itself was sent");
    assert_eq!(broker.wire().await.watermarks("t", 0).await, (0, 1), "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_and_a_freed_place_is_taken() {
    let broker = Running::with(|config| config.connections_max = 2).await;
    broker.topic("t", 1, &[]).await;
    let mut first = broker.wire().await;
    let mut second = broker.wire().await;
    first.watermarks("t", 0).await;
    second.watermarks("t", 0).await;
    assert!(broker.wire().await.is_closed().await);
    drop(first);
    let address = broker.address();
    eventually("a place is free", || async {
        let mut wire = Wire::connect(&address).await;
        // A refused connection is closed at once; one that is served stays open.
        tokio::time::timeout(std::time::Duration::from_millis(100), wire.is_closed()).await.err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_all_its_connections_keeps_nobody_else_out() {
    let broker = Running::with(|config| config.connections_per_address_max = 2).await;
    broker.topic("t", 1, &[]).await;
    let mut open = vec![broker.wire().await, broker.wire().await];
    for wire in &mut open {
        wire.watermarks("t", 0).await;
    }
    assert!(broker.wire().await.is_closed().await, "a third of the same address");
    let mut other = Wire::connect_from([127, 0, 0, 2].into(), &broker.address()).await;
    assert_eq!(other.watermarks("t", 0).await, (0, 0), "another address");
    open.clear();
    let address = broker.address();
    eventually("a place is free", || async {
        let mut wire = Wire::connect(&address).await;
        tokio::time::timeout(std::time::Duration::from_millis(100), wire.is_closed()).await.err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_few_connections_too_one_address_gets_a_part() {
    let broker = Running::with(|config| config.connections_max = 4).await;
    let mut open = vec![broker.wire().await, broker.wire().await, broker.wire().await];
    for wire in &mut open {
        wire.watermarks("t", 0).await;
    }
    assert!(broker.wire().await.is_closed().await, "a fourth of the same address");
    let mut other = Wire::connect_from([127, 0, 0, 2].into(), &broker.address()).await;
    other.watermarks("t", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_all_its_requests_under_way_is_not_read_further() {
    const FRAME_BYTES: usize = 1_000_000;
    const FRAMES: usize = 64;
    let broker = Running::with(|config| config.in_flight_requests_max = 2).await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.send(FETCH, &fetch_request("t", 0, Ask { wait_ms: 60_000, ..Ask::at(0) })).await;
    // More than sockets hold, behind a fetch that waits: unless reading stops all of it is taken.
    let mut frame = 18_i16.to_be_bytes().to_vec();
    frame.extend([0, 0, 0, 0, 0, 2]);
    frame.extend([0xff, 0xff]);
    frame.resize(FRAME_BYTES, 0);
    let length = i32::try_from(frame.len()).unwrap().to_be_bytes();
    let all = [&length[..], &frame].concat().repeat(FRAMES);
    let sending = wire.send_bytes(&all);
    let taken = tokio::time::timeout(std::time::Duration::from_secs(3), sending).await;
    assert!(taken.is_err(), "64 MB were taken though the first request is not answered");
    assert_eq!(broker.wire().await.produce("t", 0, batch(&["v"])).await.error_code, 0, "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_over_all_topics_are_limited() {
    let broker = Running::with(|config| config.partitions_max = 10).await;
    let spec = |name: &str, partitions| TopicSpec { name: name.to_owned(), partitions, configs: BTreeMap::new() };
    // The broker's own two topics have a partition each.
    assert!(broker.try_ensure(&spec("a", 8)).await);
    assert!(!broker.try_ensure(&spec("b", 1)).await);
    assert!(!broker.try_ensure(&spec("a", 9)).await, "nor by growing");
    assert_eq!(broker.wire().await.produce("a", 7, batch(&["v"])).await.error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_batch_are_limited_also_where_they_are_compressed() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let announce = |records: i32| {
        let mut bytes = packed(Compression::Lz4, &["v"], |plain| plain.to_vec()).to_vec();
        bytes[23..27].copy_from_slice(&(records - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&records.to_be_bytes());
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(bytes)
    };
    let refused = wire.produce("t", 0, announce(i32::MAX)).await;
    assert_eq!(refused.error_code, ResponseError::InvalidRecord.code());
    assert_eq!(wire.watermarks("t", 0).await, (0, 0), "two thousand million offsets are not used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_says_too_much_of_itself_is_refused_and_the_group_goes_on() {
    let broker = Running::start().await;
    let mut member = Member::new(&broker, "g", Some("one")).await;
    member.send_join_with(Bytes::from(vec![7; 1024 * 1024])).await;
    assert_eq!(member.receive_join().await.error_code, ResponseError::MessageTooLarge.code());
    member.send_join_with(Bytes::from(vec![7; 1024 * 1024 - 1_000])).await;
    assert_eq!(member.receive_join().await.error_code, 0);
    assert!(member.sync().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_does_not_hold_the_memory_of_others() {
    const MEMORY: usize = 1024 * 1024;
    /// Large ones of these take all the memory.
    const WAITING: usize = 11;
    let broker = Running::with(|config| {
        (config.frame_bytes_max, config.request_memory_bytes_max) = (MEMORY, MEMORY);
    })
    .await;
    for topic in ["empty", "t"] {
        broker.topic(topic, 1, &[]).await;
    }
    let forgotten = ForgottenTopic::default().with_partitions((0..40_000).collect());
    let request = fetch_request("empty", 0, Ask { wait_ms: 60_000, ..Ask::at(0) });
    let request = request.with_forgotten_topics_data(vec![forgotten]);
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        let mut wire = broker.wire().await;
        wire.send(FETCH, &request).await;
        waiting.push(wire);
    }
    let produced = broker.wire().await.produce("t", 0, batch(&[&"x".repeat(160_000)])).await;
    assert_eq!(produced.error_code, 0, "before they have what they wait for");
    assert_eq!(broker.wire().await.produce("empty", 0, batch(&["now"])).await.error_code, 0);
    for wire in &mut waiting {
        assert_eq!(wire.receive::<FetchRequest>(FETCH).await.unwrap().error_code, 0);
    }
}
