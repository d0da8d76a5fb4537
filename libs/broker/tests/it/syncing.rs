//! Row "durability": what is acknowledged, or shown, before, at and after a sync, and when a sync fails.

use std::path::Path;
use std::sync::Arc;

use broker::{Broker, Config, Disk};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{FetchRequest, ProduceRequest};

use crate::support::Running;
use crate::support::batch::{batch, values};
use crate::support::disk::{Failing, Lazy};
use crate::support::eventually;
use crate::support::gated::Gated;
use crate::support::story;
use crate::support::wire::{Ask, FETCH, PRODUCE, Wire, fetch_request, produce_request};

const IO_ERROR: i32 = 5;
const STORAGE: i16 = 56;

/// A broker that writes nothing by itself while a test looks.
async fn start(data_dir: &Path, disk: Arc<dyn Disk>) -> Running {
    start_with(data_dir, disk, |_| {}).await
}

async fn start_with(data_dir: &Path, disk: Arc<dyn Disk>, change: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        checkpoint_interval_ms: 3_600_000,
        disk,
        ..Config::default()
    };
    change(&mut config);
    Running::of(Broker::start(config.clone()).await.unwrap(), config)
}

/// Has a topic's files made, so that what follows is one write and one sync.
async fn begin(wire: &mut Wire, topic: &str) {
    assert_eq!(wire.produce(topic, 0, batch(&["first"])).await.error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_or_shown_before_its_sync_whatever_acks_says() {
    for acks in [0, 1, -1] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Gated::default()));
        let broker = start(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).await;
        broker.topic("t", 1, &[]).await;
        let (mut writing, mut reading) = (broker.wire().await, broker.wire().await);
        begin(&mut writing, "t").await;
        let shut = disk.shut();
        writing.send(PRODUCE, &produce_request("t", 0, batch(&["second"]), acks)).await;
        shut.waiting(1).await;
        // The record is in the file, and its sync has begun.
        assert_eq!(reading.watermarks("t", 0).await, (0, 1), "acks {acks}");
        let shown = reading.fetch("t", 0, Ask::at(0)).await;
        assert_eq!(values(&shown.records.unwrap()), ["first"], "acks {acks}");
        assert!(!writing.has_bytes().await, "acks {acks}: an answer before the sync");
        shut.open();
        if acks != 0 {
            let answer = writing.receive::<ProduceRequest>(PRODUCE).await.unwrap();
            assert_eq!(answer.responses[0].partition_responses[0].base_offset, 1);
        }
        let reading = tokio::sync::Mutex::new(reading);
        eventually("it is shown", || async { (reading.lock().await.watermarks("t", 0).await == (0, 2)).then_some(()) })
            .await;
        assert!(!writing.has_bytes().await, "acks {acks}: more than one answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_during_a_sync_shares_the_next_one() {
    const PRODUCERS: usize = 20;
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Gated::default()));
    let broker = start(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).await;
    broker.topic("t", 1, &[]).await;
    begin(&mut broker.wire().await, "t").await;
    let shut = disk.shut();
    let request = produce_request("t", 0, batch(&["x"]), -1);
    let mut producers = Vec::new();
    for at in 0..PRODUCERS {
        let mut wire = broker.wire().await;
        wire.send(PRODUCE, &request).await;
        if at == 0 {
            shut.waiting(1).await;
        }
        producers.push(wire);
    }
    shut.written(PRODUCERS).await;
    shut.open();
    for mut wire in producers {
        let answer = wire.receive::<ProduceRequest>(PRODUCE).await.unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    assert_eq!(shut.syncs(), 2, "one for the first and one for the {} others", PRODUCERS - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_sync_makes_its_partition_read_only_until_the_next_start() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Failing::after(usize::MAX - 1, false, IO_ERROR)));
    let broker = start(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).await;
    for topic in ["t", "other"] {
        broker.topic(topic, 1, &[]).await;
    }
    let mut wire = broker.wire().await;
    for topic in ["t", "other"] {
        begin(&mut wire, topic).await;
    }
    // The write is well, its sync fails, and everything after it is well again.
    disk.fail_after(1);
    assert_eq!(wire.produce("t", 0, batch(&["lost"])).await.error_code, STORAGE);
    for _ in 0..3 {
        let refused = wire.produce("t", 0, batch(&["refused"])).await;
        assert_eq!((refused.error_code, refused.base_offset), (STORAGE, -1), "the disk is well, and yet");
    }
    assert_eq!(STORAGE, ResponseError::KafkaStorageError.code());
    let shown = wire.fetch("t", 0, Ask::at(0)).await;
    assert_eq!((shown.error_code, shown.high_watermark), (0, 1), "reading goes on");
    assert_eq!(values(&shown.records.unwrap()), ["first"]);
    assert_eq!(wire.produce("other", 0, batch(&["second"])).await.error_code, 0, "so does everything else");
    drop((wire, broker));
    let broker = restart(dir.path()).await;
    let mut wire = broker.wire().await;
    let (low, end) = wire.watermarks("t", 0).await;
    assert!((1..=2).contains(&end), "what failed may be there or not: {end}");
    let taken = wire.produce("t", 0, batch(&["after"])).await;
    assert_eq!((low, taken.error_code, taken.base_offset), (0, 0, end));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_failed_for_the_checkpoint_is_not_forgotten_by_the_next() {
    const LARGE: usize = 5;
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Gated::default()));
    let gated = Arc::clone(&disk) as Arc<dyn Disk>;
    let broker = start_with(dir.path(), gated, |config| config.syncs_max = 1).await;
    let mut wire = broker.wire().await;
    broker.topic("other", 1, &[]).await;
    begin(&mut wire, "other").await;
    let other = story::log_file(dir.path());
    broker.topic("t", 1, &[]).await;
    begin(&mut wire, "t").await;
    let log = story::log_file(dir.path());
    // The only sync there may be at a time is another partition's, and waits.
    let shut = disk.shut_for(&other);
    let mut waiting = broker.wire().await;
    waiting.send(PRODUCE, &produce_request("other", 0, batch(&["second"]), -1)).await;
    shut.waiting(1).await;
    // So much that the next checkpoint writes a recovery point, for which it syncs the log by itself.
    let request = produce_request("t", 0, batch(&[&"x".repeat(1_000_000)]), -1);
    let mut producers = Vec::new();
    for _ in 0..LARGE {
        let mut wire = broker.wire().await;
        wire.send(PRODUCE, &request).await;
        producers.push(wire);
    }
    shut.written(1 + LARGE).await;
    disk.fail_once(&log);
    assert_eq!(wire.delete_records("t", 0, 1).await, (0, 1), "it has the checkpoint written");
    shut.open();
    for mut wire in producers {
        let answer = wire.receive::<ProduceRequest>(PRODUCE).await.unwrap();
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, STORAGE, "the next sync says that all is well, and nothing is on the disk");
    }
    assert_eq!(wire.watermarks("t", 0).await, (1, 1));
    let answer = waiting.receive::<ProduceRequest>(PRODUCE).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

/// More threads than readers: so that one which waits for another stops itself and not the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn readers_do_not_wait_for_a_segment_that_is_being_closed() {
    const ASKING: usize = 4;
    let (dir, disk) = (tempfile::tempdir().unwrap(), Arc::new(Gated::default()));
    let broker = start(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).await;
    broker.topic("t", 1, &[("segment.bytes", "1024")]).await;
    let mut wire = broker.wire().await;
    begin(&mut wire, "t").await;
    assert_eq!(wire.produce("t", 0, batch(&[&"x".repeat(800)])).await.error_code, 0);
    let shut = disk.shut_for(&story::log_file(dir.path()));
    // There is no room for it: the segment is synced and the next begun first.
    let mut writing = broker.wire().await;
    writing.send(PRODUCE, &produce_request("t", 0, batch(&[&"y".repeat(800)]), -1)).await;
    shut.waiting(1).await;
    let mut asking = Vec::new();
    for _ in 0..ASKING {
        asking.push(broker.wire().await);
    }
    for wire in &mut asking {
        // It has read everything and would wait for more.
        wire.send(FETCH, &fetch_request("t", 0, Ask { wait_ms: 1, ..Ask::at(2) })).await;
    }
    assert_eq!(wire.watermarks("t", 0).await, (0, 2), "at once");
    shut.open();
    let answer = writing.receive::<ProduceRequest>(PRODUCE).await.unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, 2);
    for wire in &mut asking {
        assert_eq!(wire.receive::<FetchRequest>(FETCH).await.unwrap().responses[0].partitions[0].error_code, 0);
    }
}

/// A broker on a good disk once the one before has let go.
async fn restart(data_dir: &Path) -> Running {
    story::start_when_free(data_dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_shorter_than_was_synced_costs_what_is_missing_and_no_offset() {
    let dir = tempfile::tempdir().unwrap();
    let broker = story::start(dir.path(), Arc::new(Lazy)).await.unwrap();
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    for value in ["a", "b", "c"] {
        wire.produce("t", 0, batch(&[value])).await;
    }
    let size = batch(&["a"]).len() as u64;
    broker.stop().await;
    let log = story::log_file(dir.path());
    for left in [2 * size, 2 * size - 1, size, size / 2, 0] {
        let whole = usize::try_from(left / size).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let path = copy.path().join(log.strip_prefix(dir.path()).unwrap());
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(left).unwrap();
        assert_missing(copy.path(), whole).await;
    }
    // The file itself is gone, or the whole partition.
    for gone in [log.as_path(), log.parent().unwrap()] {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let gone = copy.path().join(gone.strip_prefix(dir.path()).unwrap());
        if gone.is_dir() { std::fs::remove_dir_all(gone) } else { std::fs::remove_file(gone) }.unwrap();
        assert_missing(copy.path(), 0).await;
    }
}

/// A broker that finds the first `whole` of three records: the others are missed, and their offsets not given out again.
async fn assert_missing(data_dir: &Path, whole: usize) {
    let broker = restart(data_dir).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.watermarks("t", 0).await.1, 3, "{whole} left: the high watermark fell");
    let mut seen = Vec::new();
    for offset in 0..3 {
        let shown = wire.fetch("t", 0, Ask { partition_max_bytes: 1, ..Ask::at(offset) }).await;
        if shown.error_code == 0 {
            seen.extend(values(&shown.records.unwrap_or_default()));
        }
    }
    assert_eq!(seen, ["a", "b", "c"][..whole], "{whole} left");
    let next = wire.produce("t", 0, batch(&["next"])).await;
    assert_eq!((next.error_code, next.base_offset), (0, 3), "{whole} left");
    let shown = wire.fetch("t", 0, Ask::at(3)).await;
    assert_eq!(values(&shown.records.unwrap()), ["next"], "{whole} left");
    broker.stop().await;
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}
