//! Row "durability": the moment in which one segment ends and the next begins.

use std::path::Path;
use std::sync::Arc;

use broker::{Broker, Config, Disk};

use crate::support::Running;
use crate::support::batch::{batch, values};
use crate::support::disk::{Failing, Journal, Lazy, Loss};
use crate::support::history::Shown;
use crate::support::look::look_past_damage;
use crate::support::story::{start, start_when_free};
use crate::support::wire::Ask;

const NO_SPACE: i32 = 28;
/// More changes than the closing of one segment and the beginning of the next take.
const CHANGES: usize = 10;

/// What a broker shows of the topic: every offset that it says is there can be read.
async fn look(broker: &Running, what: &str) -> Shown {
    let (shown, refused) = look_past_damage(&mut broker.wire().await, "t", "g").await;
    assert_eq!(refused, [] as [i64; 0], "{what}: refused as damaged");
    assert_eq!(shown.offsets, (shown.log_start..shown.high_watermark).collect::<Vec<_>>(), "{what}: a hole");
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_between_two_segments_leaves_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::default());
    let broker = start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap();
    // Acknowledged without a sync: so a full segment has records that are not on the disk.
    broker.topic("t", 1, &[("segment.bytes", "1024"), ("flush.messages", "1000")]).await;
    let begun = journal.len();
    let mut wire = broker.wire().await;
    for at in 0..9 {
        assert_eq!(wire.produce("t", 0, batch(&[&format!("{at} {}", "x".repeat(200))])).await.error_code, 0);
    }
    drop((wire, broker));
    for count in begun..=journal.len() {
        for loss in [Loss::UnsyncedBytes, Loss::Torn] {
            let what = format!("{count} changes, {loss:?}");
            let to = tempfile::tempdir().unwrap();
            journal.replay(count, loss, &from, to.path());
            let broker = start(to.path(), Arc::new(Lazy)).await.unwrap();
            let end = look(&broker, &what).await.high_watermark;
            let next = broker.wire().await.produce("t", 0, batch(&["next"])).await;
            assert_eq!((next.error_code, next.base_offset), (0, end), "{what}");
            assert_eq!(look(&broker, &what).await.everything.last(), Some(&(end, "next".to_owned())), "{what}");
        }
    }
}

/// A broker that writes nothing by itself.
async fn start_quiet(data_dir: &Path, disk: Arc<dyn Disk>) -> Running {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        checkpoint_interval_ms: 3_600_000,
        disk,
        ..Config::default()
    };
    Running::of(Broker::start(config.clone()).await.unwrap(), config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_cannot_be_closed_or_begun_takes_no_record_with_it() {
    for failing in 0..CHANGES {
        let what = format!("change {failing} of the roll");
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Failing::after(usize::MAX - 1, false, NO_SPACE));
        let broker = start_quiet(dir.path(), Arc::clone(&disk) as Arc<dyn Disk>).await;
        broker.topic("t", 1, &[("segment.bytes", "1024")]).await;
        let mut wire = broker.wire().await;
        let mut told = Vec::new();
        let large = "x".repeat(360);
        // Two large ones fill a segment but for a little; after the failure there is room again.
        for (at, value) in ["a", "b", "c", "small"].into_iter().enumerate() {
            let value = if value == "small" { value.to_owned() } else { format!("{value} {large}") };
            disk.fail_after(if at == 2 { failing } else { usize::MAX - 1 });
            let produced = wire.produce("t", 0, batch(&[&value])).await;
            if produced.error_code == 0 {
                told.push((produced.base_offset, value));
            } else {
                assert!(at >= 2, "{what}: {value}");
            }
        }
        let assert_there = async |broker: &Running, told: &[(i64, String)]| {
            look(broker, &what).await;
            let mut wire = broker.wire().await;
            // Each by itself: whoever reads on from the one before never asks where it is.
            for (offset, value) in told {
                let found = wire.fetch("t", 0, Ask { partition_max_bytes: 1, ..Ask::at(*offset) }).await;
                assert_eq!(found.error_code, 0, "{what}: {value} was acknowledged at {offset}");
                assert_eq!(values(&found.records.unwrap()), [value.as_str()], "{what}: at {offset}");
            }
        };
        assert_there(&broker, &told).await;
        drop((wire, broker));
        for again in ["after one restart", "after two restarts"] {
            let broker = start_when_free(dir.path()).await;
            assert_there(&broker, &told).await;
            for value in [again.to_owned(), format!("{again} {large}")] {
                let produced = broker.wire().await.produce("t", 0, batch(&[&value])).await;
                assert_eq!(produced.error_code, 0, "{what}, {again}");
                told.push((produced.base_offset, value));
            }
            assert_there(&broker, &told).await;
            broker.stop().await;
        }
    }
}
