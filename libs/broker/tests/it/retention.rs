//! Row "retention": by age and by size, a segment at a time; the high watermark never falls.

use std::path::Path;

use kafka_protocol::ResponseError;

use crate::support::batch::{Stamp, stamped, values};
use crate::support::wire::{Ask, Wire};
use crate::support::{Running, SetClock, eventually, send};

/// How many segment files a topic with one partition has.
fn segments(data_dir: &Path) -> usize {
    let mut count = 0;
    for topic in std::fs::read_dir(data_dir.join("topics")).unwrap() {
        let Ok(files) = std::fs::read_dir(topic.unwrap().path().join("0")) else { continue };
        count += files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "log")).count();
    }
    count
}

/// How many files of dropped segments there are.
fn set_aside(data_dir: &Path) -> usize {
    let mut count = 0;
    for topic in std::fs::read_dir(data_dir.join("topics")).unwrap() {
        let Ok(files) = std::fs::read_dir(topic.unwrap().path().join("0")) else { continue };
        count +=
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "deleted")).count();
    }
    count
}

async fn wait_for_low(wire: &mut Wire, topic: &str, low: i64) {
    let wire = tokio::sync::Mutex::new(wire);
    eventually("the low watermark moves", || async {
        let (start, _) = wire.lock().await.watermarks(topic, 0).await;
        assert!(start <= low, "it moved to {start}, past {low}");
        (start == low).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_whose_records_are_too_old_go_and_the_low_watermark_moves() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        config.retention_check_interval_ms = 20;
    })
    .await;
    broker.topic("t", 1, &[("retention.ms", "5000"), ("segment.bytes", "1024")]).await;
    let mut wire = broker.wire().await;
    let fill = "x".repeat(900);
    for at in 0..6 {
        let stamp = Stamp { timestamp: 1_000_000 + at * 1_000, ..Stamp::default() };
        wire.produce("t", 0, stamped(stamp, &[&fill])).await;
    }
    assert_eq!(wire.watermarks("t", 0).await, (0, 6));
    let before = segments(broker.data_dir());
    // Older than five seconds now: the records at 1_000_000, 1_001_000 and 1_002_000.
    clock.set(1_007_500);
    wait_for_low(&mut wire, "t", 3).await;
    assert_eq!(segments(broker.data_dir()), before - 3);
    assert_eq!(wire.fetch("t", 0, Ask::at(2)).await.error_code, ResponseError::OffsetOutOfRange.code());
    assert_eq!(values(&wire.fetch("t", 0, Ask::at(3)).await.records.unwrap()), [fill]);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_over_retention_bytes_go() {
    let broker = Running::with(|config| config.retention_check_interval_ms = 20).await;
    broker.topic("t", 1, &[("retention.bytes", "2500"), ("segment.bytes", "1024"), ("retention.ms", "-1")]).await;
    let mut wire = broker.wire().await;
    let fill = "x".repeat(900);
    for _ in 0..8 {
        wire.produce("t", 0, stamped(Stamp::default(), &[&fill])).await;
    }
    // Three batches of nearly a kilobyte are the fewest that hold 2500 bytes.
    wait_for_low(&mut wire, "t", 5).await;
    assert_eq!(wire.watermarks("t", 0).await, (5, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_high_watermark_stays_when_every_record_is_gone_and_after_a_restart() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        config.retention_check_interval_ms = 20;
    })
    .await;
    broker.topic("t", 1, &[("retention.ms", "5000")]).await;
    let mut wire = broker.wire().await;
    let old = Stamp { timestamp: 1_000_000, ..Stamp::default() };
    wire.produce("t", 0, stamped(old, &["a", "b", "c"])).await;
    clock.set(1_010_000);
    wait_for_low(&mut wire, "t", 3).await;
    assert_eq!(wire.watermarks("t", 0).await, (3, 3));
    let broker = broker.restart().await;
    assert_eq!(broker.wire().await.watermarks("t", 0).await, (3, 3));
    // Also when a second restart finds nothing but an empty segment.
    let broker = broker.restart().await;
    assert_eq!(broker.wire().await.watermarks("t", 0).await, (3, 3));
    assert_eq!(send(&broker.producer(&[]), "t", 0, "d").await, (0, 3), "no offset is used twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_retention_keeps_everything() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        config.retention_check_interval_ms = 10;
    })
    .await;
    broker.topic("kept", 1, &[("retention.ms", "-1"), ("segment.bytes", "1024")]).await;
    broker.topic("gone", 1, &[("retention.ms", "1"), ("segment.bytes", "1024")]).await;
    let mut wire = broker.wire().await;
    let fill = "x".repeat(900);
    for _ in 0..3 {
        wire.produce("kept", 0, stamped(Stamp { timestamp: 1, ..Stamp::default() }, &[&fill])).await;
        wire.produce("gone", 0, stamped(Stamp { timestamp: 1, ..Stamp::default() }, &[&fill])).await;
    }
    clock.set(i64::MAX / 2);
    // When the other topic is empty, retention has passed over this one too.
    wait_for_low(&mut wire, "gone", 3).await;
    wait_for_low(&mut wire, "gone", 3).await;
    assert_eq!(wire.watermarks("kept", 0).await, (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_dropped_segments_stay_for_file_delete_delay_and_no_restart_brings_them_back() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        config.retention_check_interval_ms = 20;
    })
    .await;
    let configs = [("retention.ms", "5000"), ("segment.bytes", "1024"), ("file.delete.delay.ms", "60000")];
    broker.topic("t", 1, &configs).await;
    let mut wire = broker.wire().await;
    let old = Stamp { timestamp: 1_000_000, ..Stamp::default() };
    for _ in 0..3 {
        wire.produce("t", 0, stamped(old, &["x".repeat(900).as_str()])).await;
    }
    clock.set(1_010_000);
    wait_for_low(&mut wire, "t", 3).await;
    assert_eq!((segments(broker.data_dir()), set_aside(broker.data_dir())), (1, 6), "three segments of two files");
    clock.set(1_080_000);
    eventually("they are gone", || async { (set_aside(broker.data_dir()) == 0).then_some(()) }).await;

    wire.produce("t", 0, stamped(Stamp { timestamp: 1_080_000, ..Stamp::default() }, &["y"])).await;
    clock.set(1_090_000);
    wait_for_low(&mut wire, "t", 4).await;
    assert_eq!(set_aside(broker.data_dir()), 2);
    let broker = broker.restart().await;
    assert_eq!(set_aside(broker.data_dir()), 0, "a start removes them");
    assert_eq!(broker.wire().await.watermarks("t", 0).await, (4, 4));
}
