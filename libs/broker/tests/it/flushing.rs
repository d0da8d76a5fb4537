//! Row "durability": topics that chose by `flush.*` to be acknowledged before the sync, and all others.

use std::path::Path;
use std::sync::Arc;

use broker::{Broker, Config, Disk};

use crate::support::batch::batch;
use crate::support::disk::{Journal, Loss};
use crate::support::{Running, eventually};

fn config(data_dir: &Path, disk: Arc<dyn Disk>) -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    // No checkpoint comes between: only records are synced.
    Config { listen, data_dir: data_dir.to_owned(), disk, checkpoint_interval_ms: 3_600_000, ..Config::default() }
}

async fn start(data_dir: &Path, disk: Arc<dyn Disk>) -> Running {
    let config = config(data_dir, disk);
    Running::of(Broker::start(config.clone()).await.unwrap(), config)
}

/// High watermark of a topic after a power loss at this moment.
async fn left_after_power_loss(journal: &Journal, data_dir: &Path, topic: &str) -> i64 {
    let dir = tempfile::tempdir().unwrap();
    journal.replay(journal.len(), Loss::Unsynced, data_dir, dir.path());
    let broker = start(dir.path(), Arc::new(broker::SystemDisk)).await;
    broker.wire().await.watermarks_or_zero(topic).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_messages_acknowledges_and_shows_before_the_sync_which_comes_with_that_many() {
    let (dir, journal) = (tempfile::tempdir().unwrap(), Arc::new(Journal::default()));
    let broker = start(dir.path(), Arc::clone(&journal) as Arc<dyn Disk>).await;
    broker.topic("strict", 1, &[("flush.ms", "3600000")]).await;
    broker.topic("loose", 1, &[("flush.messages", "6")]).await;
    let mut wire = broker.wire().await;
    for value in ["a", "b", "c", "d", "e"] {
        assert_eq!(wire.produce("strict", 0, batch(&[value])).await.error_code, 0);
    }
    let syncs = journal.syncs();
    for value in ["a", "b", "c", "d", "e"] {
        assert_eq!(wire.produce("loose", 0, batch(&[value])).await.error_code, 0);
    }
    assert_eq!(journal.syncs(), syncs, "five records are not synced");
    assert_eq!(wire.watermarks("loose", 0).await, (0, 5), "and can be read");
    assert_eq!(left_after_power_loss(&journal, dir.path(), "strict").await, 5, "flush.ms alone changes nothing");
    assert_eq!(left_after_power_loss(&journal, dir.path(), "loose").await, 0);
    wire.produce("loose", 0, batch(&["f"])).await;
    eventually("the sixth brings the sync", || async { (journal.syncs() > syncs).then_some(()) }).await;
    assert_eq!(left_after_power_loss(&journal, dir.path(), "loose").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_ms_bounds_how_long_an_acknowledged_record_waits_for_its_sync() {
    let (dir, journal) = (tempfile::tempdir().unwrap(), Arc::new(Journal::default()));
    let broker = start(dir.path(), Arc::clone(&journal) as Arc<dyn Disk>).await;
    broker.topic("t", 1, &[("flush.messages", "1000000"), ("flush.ms", "30")]).await;
    let mut wire = broker.wire().await;
    for round in 1..=2 {
        let syncs = journal.syncs();
        wire.produce("t", 0, batch(&["a", "b"])).await;
        eventually("its time is up", || async { (journal.syncs() > syncs).then_some(()) }).await;
        assert_eq!(left_after_power_loss(&journal, dir.path(), "t").await, 2 * round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_care_syncs_what_was_acknowledged_before_its_sync() {
    let (dir, journal) = (tempfile::tempdir().unwrap(), Arc::new(Journal::default()));
    let broker = start(dir.path(), Arc::clone(&journal) as Arc<dyn Disk>).await;
    broker.topic("t", 1, &[("flush.messages", "1000000")]).await;
    broker.wire().await.produce("t", 0, batch(&["a", "b"])).await;
    broker.stop().await;
    assert_eq!(left_after_power_loss(&journal, dir.path(), "t").await, 2);
}
