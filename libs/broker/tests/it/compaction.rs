//! Row "compaction": the last record of each key, at its offset; tombstones for a while; transactions decided.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Mutex;

use crate::support::batch::{Stamp, batch, keyed, next_offset, records};
use crate::support::txn::Txn;
use crate::support::wire::{Ask, Wire};
use crate::support::{PATIENCE, Running, SetClock, eventually};

const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "1024"), ("min.cleanable.dirty.ratio", "0.01")];

async fn start() -> (Running, Arc<SetClock>) {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        config.compaction_check_interval_ms = 20;
    })
    .await;
    (broker, clock)
}

fn of(key: &str, value: Option<&str>) -> bytes::Bytes {
    keyed(Stamp { timestamp: 1_000_000, ..Stamp::default() }, &[(Some(key), value)])
}

/// Everything in partition 0 of topic `t`: offset, key and value.
async fn read_all(wire: &mut Wire) -> Vec<(i64, String, Option<String>)> {
    let (mut at, end) = wire.watermarks("t", 0).await;
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = Vec::new();
    while at < end {
        let partition = wire.fetch("t", 0, Ask::at(at)).await;
        assert_eq!(partition.error_code, 0, "offset {at}");
        let bytes = partition.records.unwrap();
        at = next_offset(&bytes);
        let data = records(&bytes).into_iter().filter(|record| !record.control);
        all.extend(data.map(|record| (record.offset, record.key.map(text).unwrap(), record.value.map(text))));
    }
    all
}

/// Waits until so many records are left.
async fn wait_for(broker: &Running, left: usize) -> Vec<(i64, String, Option<String>)> {
    let wire = Mutex::new(broker.wire().await);
    eventually("compaction", || async {
        let all = read_all(&mut *wire.lock().await).await;
        (all.len() <= left).then_some(all)
    })
    .await
}

/// Fills a segment with keys of its own, so that what was before is closed.
async fn close_segment(wire: &mut Wire) {
    for at in 0..3 {
        wire.produce("t", 0, of(&format!("filler {at}"), Some(&"x".repeat(500)))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_record_of_each_key_stays_at_its_offset() {
    let (broker, _clock) = start().await;
    broker.topic("t", 1, &COMPACTED).await;
    let mut wire = broker.wire().await;
    let mut last = BTreeMap::new();
    for at in 0..200_i64 {
        let (key, value) = (format!("k{}", at % 7), format!("value {at}"));
        wire.produce("t", 0, of(&key, Some(&value))).await;
        last.insert(key, (at, value));
    }
    close_segment(&mut wire).await;
    // What is in the segment that is written to stays whole.
    let left = wait_for(&broker, 7 + 3 + 10).await;
    for (key, (offset, value)) in &last {
        assert!(left.contains(&(*offset, key.clone(), Some(value.clone()))), "{key}");
    }
    assert_eq!(wire.watermarks("t", 0).await, (0, 203), "offsets stay what they are");
    let consumer = broker.consumer("g", &[("check.crcs", "true")]);
    consumer.subscribe(&["t"]).unwrap();
    let mut seen = BTreeMap::new();
    while seen.len() < 10 {
        let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        seen.insert(text(message.key()), (message.offset(), text(message.payload())));
    }
    assert!(last.iter().all(|(key, value)| seen.get(key) == Some(value)), "librdkafka reads the same");
    let broker = broker.restart_with(|config| config.compaction_check_interval_ms = 3_600_000).await;
    assert_eq!(read_all(&mut broker.wire().await).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_compact_and_delete_old_keys_go_at_once_and_the_last_of_each_when_it_is_too_old() {
    let clock = SetClock::at(1_000_000);
    let broker = Running::with(|config| {
        config.clock = clock.clone();
        (config.compaction_check_interval_ms, config.retention_check_interval_ms) = (20, 20);
    })
    .await;
    let both = [&COMPACTED[1..], &[("cleanup.policy", "compact,delete"), ("retention.ms", "50000")]].concat();
    broker.topic("t", 1, &both).await;
    broker.topic("kept", 1, &[&COMPACTED[..], &[("retention.ms", "50000")]].concat()).await;
    let mut wire = broker.wire().await;
    for at in 0..60 {
        for topic in ["t", "kept"] {
            wire.produce(topic, 0, of(&format!("k{}", at % 3), Some(&format!("value {at} {}", "x".repeat(50))))).await;
        }
    }
    close_segment(&mut wire).await;
    // Of three keys the last, and what is in the segment that is written to.
    let left = wait_for(&broker, 3 + 3 + 7).await;
    assert!((0..3).all(|key| left.iter().any(|(_, found, _)| *found == format!("k{key}"))), "{left:?}");
    assert_eq!(wire.watermarks("t", 0).await, (0, 63), "nothing is too old yet");
    clock.set(1_060_000);
    let wire = Mutex::new(wire);
    eventually("what is too old goes, of each key the last too", || async {
        (wire.lock().await.watermarks("t", 0).await == (63, 63)).then_some(())
    })
    .await;
    let kept = wire.lock().await.watermarks("kept", 0).await;
    assert_eq!(kept, (0, 60), "without delete retention.ms means nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_become_fewer() {
    let (broker, _clock) = start().await;
    broker.topic("t", 1, &COMPACTED).await;
    let mut wire = broker.wire().await;
    let fill = "x".repeat(700);
    for _ in 0..30 {
        wire.produce("t", 0, of("k", Some(&fill))).await;
    }
    close_segment(&mut wire).await;
    eventually("one cleaned segment and those that follow", || async {
        (logs(broker.data_dir()).len() <= 5).then_some(())
    })
    .await;
}

/// The log files of the topic, by base offset.
fn logs(data_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for topic in std::fs::read_dir(data_dir.join("topics")).unwrap() {
        let Ok(files) = std::fs::read_dir(topic.unwrap().path().join("0")) else { continue };
        found
            .extend(files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "log")));
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_stay_for_delete_retention_and_then_go() {
    let (broker, clock) = start().await;
    let configs = [&COMPACTED[..], &[("delete.retention.ms", "60000")]].concat();
    broker.topic("t", 1, &configs).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, of("gone", Some("value"))).await;
    wire.produce("t", 0, of("gone", None)).await;
    wire.produce("t", 0, of("stays", Some("value"))).await;
    close_segment(&mut wire).await;
    let left = wait_for(&broker, 5).await;
    assert_eq!(left[0], (1, "gone".to_owned(), None), "the value went first, the tombstone tells of it");
    clock.set(1_030_000);
    close_segment(&mut wire).await;
    let left = wait_for(&broker, 6).await;
    assert_eq!(left[0], (1, "gone".to_owned(), None), "too early");
    clock.set(1_100_000);
    close_segment(&mut wire).await;
    let wire = Mutex::new(wire);
    eventually("the tombstone is gone", || async {
        let all = read_all(&mut *wire.lock().await).await;
        (all[0] == (2, "stays".to_owned(), Some("value".to_owned()))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_batches_are_compacted_too() {
    let (broker, _clock) = start().await;
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        broker.topic("t", 1, &COMPACTED).await;
        let producer = broker.producer(&[("compression.type", codec), ("linger.ms", "10")]);
        for round in 0..3 {
            let values: Vec<String> = (0..20).map(|at| format!("{} {round} {at}", "same words ".repeat(30))).collect();
            let keys = ["a", "b"];
            let sent: Vec<_> = values
                .iter()
                .enumerate()
                .map(|(at, value)| {
                    producer.send(FutureRecord::to("t").partition(0).key(keys[at % 2]).payload(value), PATIENCE)
                })
                .collect();
            for delivery in sent {
                delivery.await.map_err(|(error, _)| error).unwrap();
            }
        }
        let mut wire = broker.wire().await;
        close_segment(&mut wire).await;
        let broker = &broker;
        eventually("the last two are left", || async {
            let left = consume(broker).await;
            (left == [(58, "a".to_owned()), (59, "b".to_owned())]).then_some(())
        })
        .await;
        broker.admin().delete_topics(&["t"], &rdkafka::admin::AdminOptions::new()).await.unwrap();
    }
}

/// Offsets and keys of the records before the fillers, as librdkafka reads them.
async fn consume(broker: &Running) -> Vec<(i64, String)> {
    let consumer = broker.consumer("g", &[("check.crcs", "true")]);
    let mut from = TopicPartitionList::new();
    from.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let mut seen = Vec::new();
    loop {
        let message = tokio::time::timeout(PATIENCE, consumer.recv()).await.unwrap().unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        if key.starts_with("filler") {
            return seen;
        }
        seen.push((message.offset(), key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_takes_only_records_with_keys() {
    let (broker, _clock) = start().await;
    broker.topic("t", 1, &COMPACTED).await;
    let mut wire = broker.wire().await;
    let refused = wire.produce("t", 0, batch(&["without a key"])).await;
    assert_eq!(refused.error_code, ResponseError::InvalidRecord.code());
    assert_eq!(wire.produce("t", 0, of("k", Some("v"))).await.error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_aborted_goes_and_what_was_committed_counts() {
    let (broker, _clock) = start().await;
    broker.topic("t", 1, &COMPACTED).await;
    let mut wire = broker.wire().await;
    wire.produce("t", 0, of("k", Some("before"))).await;
    let mut txn = Txn::begin(&broker, "tx").await;
    for (value, commits) in [("committed", true), ("aborted", false)] {
        txn.add("t").await;
        assert_eq!(txn.produce_keyed("t", "k", value).await, 0);
        assert_eq!(txn.end(commits).await, 0);
    }
    close_segment(&mut wire).await;
    let left = wait_for(&broker, 4).await;
    assert_eq!(left[0], (1, "k".to_owned(), Some("committed".to_owned())));
    // An open transaction holds compaction up, and nothing of it is touched.
    txn.add("t").await;
    assert_eq!(txn.produce_keyed("t", "k", "open").await, 0);
    close_segment(&mut wire).await;
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.fetch("t", 0, Ask::at(0)).await.last_stable_offset, 8);
    let mut txn = txn.reconnect(&broker).await;
    assert_eq!(txn.end(true).await, 0);
    close_segment(&mut wire).await;
    let wire = Mutex::new(wire);
    eventually("the last value is the committed one", || async {
        let all = read_all(&mut *wire.lock().await).await;
        let of_k: Vec<_> = all.into_iter().filter(|(_, key, _)| key == "k").collect();
        (of_k == [(8, "k".to_owned(), Some("open".to_owned()))]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_a_crash_cut_short_is_finished_at_the_start() {
    let (broker, _clock) = start().await;
    let broker = broker.restart_with(|config| config.compaction_check_interval_ms = 3_600_000).await;
    broker.topic("t", 1, &COMPACTED).await;
    let mut wire = broker.wire().await;
    for at in 0..40 {
        wire.produce("t", 0, of(&format!("k{}", at % 3), Some(&"x".repeat(200 + at)))).await;
    }
    close_segment(&mut wire).await;
    let before = tempfile::tempdir().unwrap();
    let old_logs = logs(broker.data_dir());
    let keep = before.path().to_owned();
    let broker = broker
        .restart_with(|config| {
            copy(&config.data_dir, &keep);
            config.compaction_check_interval_ms = 20;
        })
        .await;
    eventually("it is compacted", || async { (logs(broker.data_dir()).len() < old_logs.len() / 2).then_some(()) })
        .await;
    let broker = broker.restart_with(|config| config.compaction_check_interval_ms = 3_600_000).await;
    let expected = read_all(&mut broker.wire().await).await;
    let new_logs = logs(broker.data_dir());
    let base = |path: &Path| path.file_stem().unwrap().to_str().unwrap().parse::<i64>().unwrap();
    let (first, end) = (&new_logs[0], base(&new_logs[1]));
    let covered: Vec<&PathBuf> = old_logs.iter().filter(|path| base(path) > base(first) && base(path) < end).collect();
    assert!(covered.len() > 3);
    let cleaned = std::fs::read(first).unwrap();
    let place = first.strip_prefix(broker.data_dir()).unwrap().parent().unwrap().to_owned();
    // How many of the covered segments the crash let it remove.
    for removed in [0, 1, covered.len()] {
        let stage = tempfile::tempdir().unwrap();
        copy(before.path(), stage.path());
        let dir = stage.path().join(&place);
        std::fs::write(dir.join(format!("{:020}-{end:020}.swap", base(first))), &cleaned).unwrap();
        std::fs::write(dir.join(format!("{end:020}.cleaned")), b"not finished").unwrap();
        for path in &covered[..removed] {
            std::fs::remove_file(dir.join(path.file_name().unwrap())).unwrap();
        }
        let crashed = Running::with(|config| {
            config.data_dir = stage.path().to_owned();
            config.compaction_check_interval_ms = 3_600_000;
            config.retention_check_interval_ms = 3_600_000;
        })
        .await;
        let all = read_all(&mut crashed.wire().await).await;
        let (covered, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(offset, ..)| *offset < end);
        let wanted: Vec<_> = expected.iter().filter(|(offset, ..)| *offset < end).cloned().collect();
        assert_eq!(covered, wanted, "{removed} removed");
        assert!(expected.iter().filter(|(offset, ..)| *offset >= end).all(|record| rest.contains(record)));
        assert!(!std::fs::read_dir(&dir).unwrap().any(|file| {
            let name = file.unwrap().file_name();
            name.to_str().unwrap().ends_with(".swap") || name.to_str().unwrap().ends_with(".cleaned")
        }));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
