//! Row "timestamps": the producer's time or the broker's, and finding offsets by time.

use kafka_protocol::ResponseError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;

use crate::support::batch::{Stamp, decode, stamped};
use crate::support::wire::Ask;
use crate::support::{PATIENCE, Running, SetClock};

fn at(timestamp: i64, values: &[&str]) -> bytes::Bytes {
    stamped(Stamp { timestamp, ..Stamp::default() }, values)
}

#[tokio::test(flavor = "multi_thread")]
async fn create_time_keeps_the_producers_time() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[("retention.ms", "-1")]).await;
    let mut wire = broker.wire().await;
    let produced = wire.produce("t", 0, at(1_000, &["a", "b"])).await;
    assert_eq!(produced.log_append_time_ms, -1);
    let records = wire.fetch("t", 0, Ask::at(0)).await.records.unwrap();
    assert_eq!(decode(&records), [(0, 1_000, "a".to_owned()), (1, 1_001, "b".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_append_time_gives_every_record_the_brokers_time() {
    let clock = SetClock::at(77_000);
    let broker = Running::with(|config| config.clock = clock.clone()).await;
    broker.topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let mut wire = broker.wire().await;
    let produced = wire.produce("t", 0, at(1_000, &["a", "b"])).await;
    assert_eq!(produced.log_append_time_ms, 77_000);
    let records = wire.fetch("t", 0, Ask::at(0)).await.records.unwrap();
    assert_eq!(i16::from_be_bytes([records[21], records[22]]) & 8, 8, "the attribute says so");
    assert_eq!(i64::from_be_bytes(records[35..43].try_into().unwrap()), 77_000);
    clock.set(88_000);
    wire.produce("t", 0, at(1_000, &["c"])).await;
    let found = wire.offset_at("t", 0, 80_000).await;
    assert_eq!((found.offset, found.timestamp), (2, 88_000));
    let consumer = broker.consumer("g", &[("check.crcs", "true")]);
    rdkafka::consumer::Consumer::subscribe(&consumer, &["t"]).unwrap();
    let received = consumer.recv().await.unwrap();
    let timestamp = rdkafka::message::Message::timestamp(&received);
    assert_eq!(timestamp, rdkafka::message::Timestamp::LogAppendTime(77_000), "with a checksum that holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_time_over_many_segments_and_a_restart() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[("segment.bytes", "1024"), ("retention.ms", "-1")]).await;
    let mut wire = broker.wire().await;
    for batch in 0..100 {
        // Two records each, at 1000·n and 1000·n + 1.
        wire.produce("t", 0, at(1_000 * batch, &["some words to fill a segment", "and more"])).await;
    }
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    for (time, offset, found_time) in [
        (0, 0, 0),
        (1, 1, 1),
        (2, 2, 1_000),
        (50_000, 100, 50_000),
        (50_001, 101, 50_001),
        (50_002, 102, 51_000),
        (99_001, 199, 99_001),
    ] {
        let found = wire.offset_at("t", 0, time).await;
        assert_eq!((found.offset, found.timestamp), (offset, found_time), "time {time}");
    }
    let past = wire.offset_at("t", 0, 99_002).await;
    assert_eq!((past.error_code, past.offset, past.timestamp), (0, -1, -1), "past the end there is nothing");
    assert_eq!(wire.watermarks("t", 0).await, (0, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_with_the_largest_timestamp_is_found_wherever_it_is() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[("retention.ms", "-1")]).await;
    let mut wire = broker.wire().await;
    let none = wire.offset_at("t", 0, -3).await;
    assert_eq!((none.error_code, none.offset, none.timestamp), (0, -1, -1));
    for timestamp in [5_000, 9_000, 7_000] {
        wire.produce("t", 0, at(timestamp, &["a", "b"])).await;
    }
    let largest = wire.offset_at("t", 0, -3).await;
    assert_eq!((largest.offset, largest.timestamp), (3, 9_001));
    wire.delete_records("t", 0, 4).await;
    let largest = wire.offset_at("t", 0, -3).await;
    assert_eq!((largest.offset, largest.timestamp), (5, 7_001), "what was deleted does not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_too_far_before_or_after_the_brokers_are_refused_also_inside_a_compressed_batch() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| config.clock = clock.clone()).await;
    let bounds = [("message.timestamp.before.max.ms", "10000"), ("message.timestamp.after.max.ms", "5000")];
    broker.topic("t", 1, &[&bounds[..], &[("retention.ms", "-1")]].concat()).await;
    let own_time = [&bounds[..], &[("message.timestamp.type", "LogAppendTime")]].concat();
    broker.topic("stamped", 1, &own_time).await;
    let mut wire = broker.wire().await;
    let refused = ResponseError::InvalidTimestamp.code();
    for (timestamp, code) in [(990_000, 0), (989_999, refused), (1_004_999, 0), (1_005_000, refused)] {
        // The second record is a millisecond later than the first.
        let produced = wire.produce("t", 0, at(timestamp, &["a", "b"])).await;
        assert_eq!(produced.error_code, code, "{timestamp}");
    }
    assert_eq!(wire.produce("t", 0, at(-1, &["no time"])).await.error_code, 0);
    assert_eq!(wire.produce("stamped", 0, at(1, &["a"])).await.error_code, 0, "the producer's time is not kept there");
    assert_eq!(wire.produce("t", 0, at(i64::MAX - 5, &["a"])).await.error_code, refused);

    let producer = broker.producer(&[("compression.type", "lz4")]);
    let record = |timestamp| FutureRecord::<(), str>::to("t").partition(0).timestamp(timestamp).payload("value");
    let sent = producer.send(record(900_000), PATIENCE).await.unwrap_err().0;
    assert_eq!(sent, KafkaError::MessageProduction(RDKafkaErrorCode::InvalidTimestamp));
    producer.send(record(1_000_000), PATIENCE).await.unwrap();
}
