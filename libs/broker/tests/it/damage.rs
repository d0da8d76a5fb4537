//! Row "durability": a flipped bit in any file costs at most the batch that it is in, which is refused and reported; a
//! file without which nothing can be served is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::InitProducerIdRequest;

use crate::support::administration::CHANGES;
use crate::support::batch::{batch, records};
use crate::support::disk::Lazy;
use crate::support::history::{Anomaly, History, Keeps};
use crate::support::look::look_past_damage;
use crate::support::story::{let_go, log_file, start, tell, tell_keyed, topic, topic_that};
use crate::support::txn::Txn;
use crate::support::wire::Ask;
use crate::support::{Running, soak};

/// Bytes tried of each file in one run, spread over it; `cargo xtask soak --broker-places` tries every byte.
const BYTES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_file_costs_at_most_the_batch_that_it_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
    broker.ensure(&topic()).await;
    let history = tell(&broker, false, || 0).await;
    for change in CHANGES.iter().filter(|change| change.is_kept_in_a_file_of_its_own()) {
        assert!(change.make(&broker).await, "{}", change.name);
    }
    flip_everywhere("a flipped bit in any file", broker, &history).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_compacted_topic_costs_at_most_the_batch_that_it_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), Arc::new(Lazy)).await.unwrap();
    broker.ensure(&topic_that(Keeps::LastOfKey)).await;
    let history = tell_keyed(&broker, Keeps::LastOfKey, || 0).await;
    let_go(&broker).await;
    flip_everywhere("a flipped bit in a compacted topic", broker, &history).await;
}

/// Stops a broker and starts one after the other on what it leaves, each with one bit of one file flipped.
async fn flip_everywhere(row: &str, broker: Running, history: &History) {
    let dir = broker.data_dir().to_owned();
    let dir = dir.as_path();
    let producer_id = fresh_producer_id(&broker).await;
    broker.stop().await;
    let files = files_in(dir);
    let names: BTreeSet<_> = files.iter().filter_map(|file| file.extension()?.to_str()).collect();
    assert!(names.is_superset(&BTreeSet::from(["index", "json", "log"])), "files of every kind: {names:?}");
    let mut tried = 0;
    for file in &files {
        for at in soak::places(usize::try_from(fs::metadata(file).unwrap().len()).unwrap(), BYTES) {
            let copy = tempfile::tempdir().unwrap();
            copy_all(dir, &files, copy.path());
            let damaged = copy.path().join(file.strip_prefix(dir).unwrap());
            let mut bytes = fs::read(&damaged).unwrap();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&damaged, bytes).unwrap();
            tried += 1;
            let what = format!("byte {at} of {}", file.display());
            let Some(broker) = start_on_damage(copy.path(), &damaged, &what).await else { continue };
            judge(&broker, &damaged, history, &what).await;
            assert!(fresh_producer_id(&broker).await > producer_id, "{what}: an id is given to a second producer");
            broker.stop().await;
        }
    }
    soak::report(row, tried, history.acknowledged());
}

/// A broker on a directory with a damaged file, unless it says that it cannot do without the file.
async fn start_on_damage(data_dir: &Path, damaged: &Path, what: &str) -> Option<Running> {
    match start(data_dir, Arc::new(Lazy)).await {
        Ok(broker) => Some(broker),
        Err(broker::Error::Metadata { path, .. }) => {
            assert_eq!(path, damaged, "{what}");
            None
        }
        Err(error) => panic!("{what}: {error:?}"),
    }
}

async fn fresh_producer_id(broker: &Running) -> i64 {
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let answer = broker.wire().await.call(4, &request).await;
    assert_eq!(answer.error_code, 0);
    answer.producer_id.0
}

/// Compares what a broker with a damaged file shows with what clients were told.
async fn judge(broker: &Running, damaged: &Path, history: &History, what: &str) {
    let (shown, refused) = look_past_damage(&mut broker.wire().await, "t", "g").await;
    let is_log = damaged.extension().is_some_and(|end| end == "log");
    let is_of_topic = damaged.starts_with(log_file(broker.data_dir()).parent().unwrap().parent().unwrap());
    assert!(refused.is_empty() || is_log && is_of_topic, "{what}: {refused:?} are refused");
    let is_paid = |anomaly: &Anomaly| match anomaly {
        // Records of the story have a batch each.
        Anomaly::LostWrite(_) | Anomaly::HiddenCommit(_) => is_log && is_of_topic && refused.len() == 1,
        Anomaly::Hole(offset) => refused == [*offset],
        // The batch in which the position stood; the one before it counts.
        Anomaly::PositionFell { .. } => is_log && !is_of_topic,
        _ => false,
    };
    let unpaid: Vec<_> = history.check(1, &shown).into_iter().filter(|anomaly| !is_paid(anomaly)).collect();
    assert_eq!(unpaid, [] as [Anomaly; 0], "{what}");
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_in(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

fn copy_all(from: &Path, files: &[PathBuf], to: &Path) {
    for file in files {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
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
