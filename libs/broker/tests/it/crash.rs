//! Row "durability" under a microscope: power loss at any change of the disk, torn tails, flipped bits, failing disks.
//!
//! A story is told to a broker on a disk that writes every change down; then the directory is made as a power loss after
//! the first n changes leaves it, a broker started on it, and what it shows compared with what clients had been told.

use std::path::Path;
use std::sync::Arc;

use broker::{Broker, Config, Disk, TopicSpec};
use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::support::Running;
use crate::support::batch::{batch, records};
use crate::support::disk::{Failing, Journal, Lazy, Loss};
use crate::support::history::{Anomaly, History, Sent, Shown};
use crate::support::member::{Member, committed};
use crate::support::txn::Txn;
use crate::support::wire::{Ask, Wire};

const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;
/// Power losses tried in one run, spread over all changes; each in every way of losing.
const LOSSES: usize = 40;
/// Failing disks tried in one run for each way of failing.
const FAILURES: usize = 25;

fn config(data_dir: &Path, disk: Arc<dyn Disk>) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        checkpoint_interval_ms: 5,
        disk,
        ..Config::default()
    }
}

async fn start(data_dir: &Path, disk: Arc<dyn Disk>) -> Result<Running, broker::Error> {
    let config = config(data_dir, disk);
    Broker::start(config.clone()).await.map(|broker| Running::of(broker, config))
}

fn topic() -> TopicSpec {
    let configs = [("segment.bytes".to_owned(), "1024".to_owned())].into();
    TopicSpec { name: "t".to_owned(), partitions: 1, configs }
}

/// Records, positions, and unless `plain` transactions, with what clients are told; `now` is the time of the disk.
async fn tell(broker: &Running, plain: bool, now: impl Fn() -> usize) -> History {
    let mut history = History::default();
    let mut wire = broker.wire().await;
    let mut outside = Member::new(broker, "g", None).await;
    let mut txn = if plain { None } else { Some(Txn::begin(broker, "tx").await) };
    for round in 0..18 {
        let value = format!("plain {round} {}", "x".repeat(120));
        let produced = wire.produce("t", 0, batch(&[&value])).await;
        let sent = if produced.error_code == 0 { Sent::At(produced.base_offset) } else { Sent::Unknown };
        history.sent(now(), &value, sent);
        if round % 3 == 0 && outside.commit("t", round, "").await == 0 {
            history.committed_position(now(), round);
        }
        if let Some(txn) = txn.as_mut().filter(|_| round % 2 == 0) {
            let value = format!("transactional {round}");
            history.opened(&value);
            assert_eq!(txn.add("t").await, 0);
            history.sent(now(), &value, Sent::Unknown);
            assert_eq!(txn.produce("t", &value).await, 0);
            let commits = round % 4 == 0;
            history.asked(now(), &value, commits);
            assert_eq!(txn.end(commits).await, 0);
            history.answered(now(), &value);
        }
        let (_, high_watermark) = wire.watermarks("t", 0).await;
        history.saw_high_watermark(now(), high_watermark);
    }
    history
}

/// What a broker shows of partition 0 of the topic.
async fn look(broker: &Running) -> Shown {
    let mut wire = broker.wire().await;
    let (_, high_watermark) = wire.watermarks_or_zero("t").await;
    let mut shown = Shown { high_watermark, ..Shown::default() };
    let everything = read(&mut wire, 0, high_watermark).await;
    shown.offsets = everything.iter().map(|record| record.offset).collect();
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    let data = everything.iter().filter(|record| !record.control);
    shown.everything = data.map(|record| (record.offset, text(record.value.as_ref().unwrap()))).collect();
    shown.committed = read_committed(&mut wire, high_watermark).await;
    shown.position = committed(&mut wire, "g", "t").await.0;
    shown
}

async fn read(wire: &mut Wire, isolation: i8, end: i64) -> Vec<kafka_protocol::records::Record> {
    let mut at = 0;
    let mut all = Vec::new();
    while at < end {
        let partition = wire.fetch("t", 0, Ask { isolation, ..Ask::at(at) }).await;
        assert_eq!(partition.error_code, 0, "offset {at}");
        let found = records(&partition.records.unwrap());
        let Some(last) = found.last() else { break };
        at = last.offset + 1;
        all.extend(found);
    }
    all
}

/// As a client reads committed records: passing over what it is told was aborted.
async fn read_committed(wire: &mut Wire, end: i64) -> Vec<(i64, String)> {
    let mut at = 0;
    let mut seen = Vec::new();
    while at < end {
        let partition = wire.fetch("t", 0, Ask { isolation: 1, ..Ask::at(at) }).await;
        let mut aborted = partition.aborted_transactions.unwrap_or_default();
        aborted.sort_by_key(|one| one.first_offset);
        let found = records(&partition.records.unwrap());
        let Some(last) = found.last() else { break };
        at = last.offset + 1;
        let mut passing_over = std::collections::HashSet::new();
        for record in found {
            while aborted.first().is_some_and(|one| one.first_offset <= record.offset) {
                passing_over.insert(aborted.remove(0).producer_id.0);
            }
            if record.control {
                passing_over.remove(&record.producer_id);
            } else if !record.transactional || !passing_over.contains(&record.producer_id) {
                seen.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_at_any_change_loses_nothing_that_a_client_was_told() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::default());
    let broker = start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap();
    broker.ensure(&topic()).await;
    let history = tell(&broker, false, || journal.len()).await;
    drop(broker);
    let changes = journal.len();
    assert!(changes > 200, "{changes} changes are a story");
    for step in 0..LOSSES {
        // A stride that has no factor in common with the pattern of changes.
        let count = changes - (step * 37 * changes / (LOSSES * 37));
        for loss in [Loss::Nothing, Loss::Unsynced, Loss::UnsyncedBytes, Loss::Torn, Loss::Reordered] {
            let to = tempfile::tempdir().unwrap();
            journal.replay(count, loss, &from, to.path());
            let broker = start(to.path(), Arc::new(Lazy)).await;
            let broker = broker.unwrap_or_else(|error| panic!("{count} of {changes}, {loss:?}: {error:?}"));
            let anomalies = history.check(count, &look(&broker).await);
            assert_eq!(anomalies, [] as [Anomaly; 0], "{count} of {changes} changes, {loss:?}");
            // It goes on where it was.
            let (_, end) = broker.wire().await.watermarks_or_zero("t").await;
            let next = broker.wire().await.produce("t", 0, batch(&["after"])).await;
            assert_eq!((next.error_code, next.base_offset), (0, end), "{count} of {changes} changes, {loss:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_at_any_change_loses_nothing_that_a_client_was_told() {
    for (errno, for_good) in [(NO_SPACE, false), (NO_SPACE, true), (IO_ERROR, false)] {
        let mut first = 0;
        // How many changes a whole story is.
        let dir = tempfile::tempdir().unwrap();
        let counting = Arc::new(Failing::after(usize::MAX - 1, true, errno));
        let broker = start(dir.path(), Arc::clone(&counting) as Arc<dyn Disk>).await.unwrap();
        let started = usize::MAX - 1 - counting.left();
        broker.ensure(&topic()).await;
        tell(&broker, true, || 0).await;
        let changes = usize::MAX - 1 - counting.left();
        drop(broker);
        while first < FAILURES {
            let count = started + first * (changes - started) / FAILURES;
            first += 1;
            fail_after(count, for_good, errno).await;
        }
    }
}

async fn fail_after(count: usize, for_good: bool, errno: i32) {
    let dir = tempfile::tempdir().unwrap();
    let what = format!("change {count}, error {errno}, for good: {for_good}");
    let disk = Arc::new(Failing::after(count, for_good, errno));
    let broker = start(dir.path(), disk).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let history = if broker.try_ensure(&topic()).await { tell(&broker, true, || 0).await } else { History::default() };
    // It keeps reading; positions that could not be stored do not count.
    let shown = look(&broker).await;
    assert_eq!(history.check(1, &shown), [] as [Anomaly; 0], "{what}, before the restart");
    drop(broker);
    let broker = start_when_free(dir.path()).await;
    let shown = look(&broker).await;
    assert_eq!(history.check(1, &shown), [] as [Anomaly; 0], "{what}, after the restart");
}

/// A broker on a good disk, once the one before has let go of the directory.
async fn start_when_free(data_dir: &Path) -> Running {
    crate::support::eventually("the directory is free", || async {
        match start(data_dir, Arc::new(Lazy)).await {
            Ok(broker) => Some(broker),
            Err(broker::Error::Locked { .. }) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_torn_at_any_byte_is_cut_back_to_the_last_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
    broker.ensure(&topic()).await;
    let mut wire = broker.wire().await;
    for value in ["a", "b"] {
        wire.produce("t", 0, batch(&[value])).await;
    }
    broker.stop().await;
    let log = log_file(dir.path());
    let whole = std::fs::read(&log).unwrap();
    let mut torn = batch(&["never acknowledged"]).to_vec();
    torn[..8].copy_from_slice(&2_i64.to_be_bytes());
    for length in 1..torn.len() {
        std::fs::write(&log, [&whole[..], &torn[..length]].concat()).unwrap();
        let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
        assert_eq!(broker.wire().await.watermarks("t", 0).await, (0, 2), "{length} bytes of the tail");
        broker.stop().await;
        assert_eq!(std::fs::read(&log).unwrap(), whole, "{length} bytes of the tail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_costs_its_own_batch_which_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
    broker.ensure(&topic()).await;
    let mut wire = broker.wire().await;
    let size = batch(&["0"]).len();
    for value in ["0", "1", "2", "3"] {
        wire.produce("t", 0, batch(&[value])).await;
    }
    broker.stop().await;
    let log = log_file(dir.path());
    let whole = std::fs::read(&log).unwrap();
    for at in 0..size {
        // The leader epoch is protected by nothing and read by nobody.
        if (12..16).contains(&at) {
            continue;
        }
        let mut damaged = whole.clone();
        damaged[size + at] ^= 1 << (at % 8);
        std::fs::write(&log, &damaged).unwrap();
        let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
        let mut wire = broker.wire().await;
        assert_eq!(wire.watermarks("t", 0).await, (0, 4), "byte {at}");
        for offset in 0..4 {
            let partition = wire.fetch("t", 0, Ask { partition_max_bytes: 1, ..Ask::at(offset) }).await;
            if offset == 1 {
                assert_eq!(partition.error_code, ResponseError::CorruptMessage.code(), "byte {at}");
            } else {
                assert_eq!(partition.error_code, 0, "byte {at} offset {offset}");
                let found = records(&partition.records.unwrap());
                assert!(!found.is_empty(), "byte {at} offset {offset}");
                assert_eq!(found[0].value.as_deref(), Some(offset.to_string().as_bytes()), "byte {at} offset {offset}");
            }
        }
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_is_damaged_does_not_hold_readers_up_for_ever() {
    for commits in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
        broker.ensure(&topic()).await;
        let mut txn = Txn::begin(&broker, "tx").await;
        txn.add("t").await;
        assert_eq!((txn.produce("t", "in it").await, txn.end(commits).await), (0, 0));
        broker.stop().await;
        let log = log_file(dir.path());
        let mut bytes = std::fs::read(&log).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&log, bytes).unwrap();
        // Without its recovery points the broker has to read the damaged marker.
        for file in std::fs::read_dir(log.parent().unwrap()).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|end| end == "point") {
                std::fs::remove_file(file).unwrap();
            }
        }
        let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
        let mut wire = broker.wire().await;
        let partition = wire.fetch("t", 0, Ask { isolation: 1, partition_max_bytes: 1, ..Ask::at(0) }).await;
        assert_eq!((partition.last_stable_offset, partition.high_watermark), (3, 3), "commits: {commits}");
        let aborted = partition.aborted_transactions.unwrap_or_default();
        assert_eq!(aborted.is_empty(), commits, "it ends as it was decided");
        assert!(!partition.records.unwrap().is_empty());
    }
}

/// The log file of the topic that was made last: ids of topics rise.
fn log_file(data_dir: &Path) -> std::path::PathBuf {
    let topics = std::fs::read_dir(data_dir.join("topics")).unwrap();
    let last = topics.map(|topic| topic.unwrap().path()).max().unwrap();
    last.join("0").join(format!("{:020}.log", 0))
}
