//! Row "durability" under a microscope: power loss at any change of the disk, torn tails, failing disks.
//!
//! A story is told to a broker on a disk that writes every change down; then the directory is made as a power loss after
//! the first n changes leaves it, a broker started on it, and what it shows compared with what clients had been told.

use std::collections::HashSet;
use std::sync::Arc;

use broker::{Disk, TopicSpec};
use futures::StreamExt;

use crate::support::batch::{Stamp, batch, keyed};
use crate::support::disk::{Failing, Journal, Lazy, Loss};
use crate::support::history::{Anomaly, History, Keeps, Shown};
use crate::support::look::{committed_of, look as look_at, look_past_damage};
use crate::support::story::{
    let_go, log_file, start, start_when_free, start_when_free_on, tell, tell_keyed, tell_transactions, topic,
    topic_that,
};
use crate::support::txn::Txn;
use crate::support::wire::Ask;
use crate::support::{Running, eventually, soak};

const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;
/// Power losses tried in one run, spread over all changes; each in every way of losing. `cargo xtask soak --broker-places` tries
/// every change.
const LOSSES: usize = 40;
const LOSS: [Loss; 7] = [
    Loss::Nothing,
    Loss::Unsynced,
    Loss::UnsyncedBytes,
    Loss::Torn,
    Loss::Reordered,
    Loss::FirstNames,
    Loss::LastNames,
];
/// Bytes at which what was not synced is torn in one run; under the soak every one.
const TEARS: usize = 150;
/// Failing disks tried in one run for each way of failing; `cargo xtask soak --broker-places` has every change fail.
const FAILURES: usize = 25;
/// The same for the longer stories.
const KEYED_FAILURES: usize = 10;
const TRANSACTION_FAILURES: usize = 8;
/// Failing disks tried at the same time.
const AT_A_TIME: usize = 4;

/// What a broker shows of partition 0 of the topic.
async fn look(broker: &Running) -> Shown {
    look_at(&mut broker.wire().await, "t", "g").await
}

/// Tells a story, then starts a broker on what each of the power losses leaves of it, which has to show all that clients
/// had been told by then and to go on from there.
async fn lose_power<F: Future<Output = History>>(what: &str, story: impl FnOnce(Arc<Running>, Arc<Journal>) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::default());
    let broker = Arc::new(start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap());
    let history = story(Arc::clone(&broker), Arc::clone(&journal)).await;
    drop(broker);
    let changes = journal.len();
    assert!(changes > 200, "{changes} changes are a story");
    let places = soak::places(changes, LOSSES);
    for count in places.iter().map(|place| changes - place) {
        for loss in LOSS {
            let to = tempfile::tempdir().unwrap();
            journal.replay(count, loss, &from, to.path());
            let broker = start(to.path(), Arc::new(Lazy)).await;
            let broker = broker.unwrap_or_else(|error| panic!("{count} of {changes}, {loss:?}: {error:?}"));
            let (shown, refused) = look_past_damage(&mut broker.wire().await, "t", "g").await;
            let found = (history.check(count, &shown), refused);
            assert_eq!(found, (Vec::new(), Vec::new()), "{count} of {changes} changes, {loss:?}");
            // It goes on where it was.
            let (_, end) = broker.wire().await.watermarks_or_zero("t").await;
            let after = keyed(Stamp::default(), &[(Some("after"), Some("after"))]);
            let next = broker.wire().await.produce("t", 0, after).await;
            assert_eq!((next.error_code, next.base_offset), (0, end), "{count} of {changes} changes, {loss:?}");
        }
    }
    soak::report(&format!("power loss {what}"), places.len() * LOSS.len(), history.acknowledged());
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_at_any_change_loses_nothing_that_a_client_was_told() {
    lose_power("amid records, transactions, positions", |broker, journal| async move {
        broker.ensure(&topic()).await;
        tell(&broker, false, || journal.len()).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_may_tear_what_is_not_synced_at_any_byte() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::default());
    let broker = start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap();
    broker.ensure(&topic()).await;
    let begun = journal.len();
    let history = tell(&broker, false, || journal.len()).await;
    drop(broker);
    // Just before a sync a file has all the bytes that may tear; what tears earlier is the beginning of them.
    let syncs = journal.synced_bytes().into_iter().filter(|(at, _)| *at >= begun);
    let torn: Vec<_> = syncs.flat_map(|(at, bytes)| (1..bytes).map(move |kept| (at, kept))).collect();
    assert!(torn.len() > 1_000, "{} places are a story", torn.len());
    let places = soak::places(torn.len(), TEARS);
    for (count, kept) in places.iter().map(|place| torn[*place]) {
        let what = format!("{kept} bytes left after {count} changes");
        let to = tempfile::tempdir().unwrap();
        journal.replay(count, Loss::TornAt(kept), &from, to.path());
        let broker = start(to.path(), Arc::new(Lazy)).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (shown, refused) = look_past_damage(&mut broker.wire().await, "t", "g").await;
        assert_eq!((history.check(count, &shown), refused), (Vec::new(), Vec::new()), "{what}");
        broker.stop().await;
    }
    soak::report("power loss that tears at any byte", places.len(), history.acknowledged());
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_amid_compaction_loses_no_last_record_of_a_key() {
    lose_power("amid compaction", |broker, journal| async move {
        broker.ensure(&topic_that(Keeps::LastOfKey)).await;
        let history = tell_keyed(&broker, Keeps::LastOfKey, || journal.len()).await;
        let_go(&broker).await;
        history
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_amid_retention_leaves_no_hole() {
    lose_power("amid retention", |broker, journal| async move {
        broker.ensure(&topic_that(Keeps::FromLogStart)).await;
        let history = tell_keyed(&broker, Keeps::FromLogStart, || journal.len()).await;
        let_go(&broker).await;
        history
    })
    .await;
}

/// What is told while the disk fails.
#[derive(Debug, Clone, Copy)]
enum Story {
    Plain,
    Transactions,
    /// To a topic that lets go of records.
    Keyed(Keeps),
}

impl Story {
    fn failures(self) -> usize {
        match self {
            Self::Plain => FAILURES,
            Self::Transactions => TRANSACTION_FAILURES,
            Self::Keyed(_) => KEYED_FAILURES,
        }
    }

    fn topic(self) -> TopicSpec {
        match self {
            Self::Plain | Self::Transactions => topic(),
            Self::Keyed(keeps) => topic_that(keeps),
        }
    }

    async fn tell(self, broker: &Running) -> History {
        match self {
            Self::Plain => tell(broker, true, || 0).await,
            Self::Transactions => tell_transactions(broker).await,
            Self::Keyed(keeps) => tell_keyed(broker, keeps, || 0).await,
        }
    }
}

/// Has the disk fail at changes all over a story, in each way of failing.
async fn fail_everywhere(what: &str, story: Story) {
    let (mut tried, mut told) = (0, 0);
    for (errno, for_good) in [(NO_SPACE, false), (NO_SPACE, true), (IO_ERROR, false), (IO_ERROR, true)] {
        // How many changes a whole story is.
        let dir = tempfile::tempdir().unwrap();
        let counting = Arc::new(Failing::after(usize::MAX - 1, true, errno));
        let broker = start(dir.path(), Arc::clone(&counting) as Arc<dyn Disk>).await.unwrap();
        let started = usize::MAX - 1 - counting.left();
        broker.ensure(&story.topic()).await;
        story.tell(&broker).await;
        let changes = usize::MAX - 1 - counting.left();
        drop(broker);
        let places = soak::places(changes - started, story.failures());
        tried += places.len();
        // Several at a time: what waits for markers waits for seconds.
        let runs = places.into_iter().map(|place| fail_after(started + place, for_good, errno, story));
        told += futures::stream::iter(runs).buffer_unordered(AT_A_TIME).fold(0, async |told, more| told + more).await;
    }
    soak::report(&format!("ENOSPC or EIO {what}"), tried, told);
}

/// Returns how many records were acknowledged all the same.
async fn fail_after(count: usize, for_good: bool, errno: i32, story: Story) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let what = format!("change {count}, error {errno}, for good: {for_good}");
    let disk = Arc::new(Failing::after(count, for_good, errno));
    let broker = start(dir.path(), disk).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let history = if broker.try_ensure(&story.topic()).await { story.tell(&broker).await } else { History::default() };
    // It keeps reading; positions that could not be stored do not count.
    let shown = look(&broker).await;
    // A commit whose marker cannot be written is decided all the same, and seen after the restart.
    let waits = |anomaly: &Anomaly| matches!(anomaly, Anomaly::HiddenCommit(_));
    let found: Vec<Anomaly> = history.check(1, &shown).into_iter().filter(|anomaly| !waits(anomaly)).collect();
    assert_eq!(found, [] as [Anomaly; 0], "{what}, before the restart");
    drop(broker);
    let broker = start_when_free(dir.path()).await;
    if matches!(story, Story::Transactions) {
        assert_decided(&broker, &what).await;
    }
    let shown = look(&broker).await;
    assert_eq!(history.check(1, &shown), [] as [Anomaly; 0], "{what}, after the restart");
    history.acknowledged()
}

/// Once its producer is back no transaction is left undecided.
async fn assert_decided(broker: &Running, what: &str) {
    come_back(broker, what).await;
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    eventually(&format!("{what}: every transaction is decided"), || async {
        let shown = wire.lock().await.fetch("t", 0, Ask::at(0)).await;
        (shown.last_stable_offset == shown.high_watermark).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_at_any_change_loses_nothing_that_a_client_was_told() {
    fail_everywhere("amid records and positions", Story::Plain).await;
}

/// Syncs that fail and forget, tried in one run.
const FORGETS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_and_forgets_loses_nothing_that_a_client_was_told_or_shown() {
    let dir = tempfile::tempdir().unwrap();
    let counting = Arc::new(Journal::default());
    let broker = start(&dir.path().join("data"), Arc::clone(&counting) as Arc<dyn Disk>).await.unwrap();
    let started = counting.syncs();
    broker.ensure(&topic()).await;
    tell(&broker, true, || 0).await;
    let syncs = counting.syncs() - started;
    drop(broker);
    let places = soak::places(syncs, FORGETS);
    let tried = places.len();
    let runs = places.into_iter().map(|place| forget_at(started + place + 1));
    let told = futures::stream::iter(runs).buffer_unordered(AT_A_TIME).fold(0, async |told, more| told + more).await;
    soak::report("a sync that fails and forgets, then power loss", tried, told);
}

/// Has the sync of this number fail and lose its bytes; then the process starts anew, to which the system still shows
/// them, and then the power is lost.
async fn forget_at(sync: usize) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::forgetting_at(sync));
    let broker = start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap();
    let history = if broker.try_ensure(&topic()).await { tell(&broker, true, || 0).await } else { History::default() };
    let power_lost = async |when: &str, count: usize| {
        let to = tempfile::tempdir().unwrap();
        journal.replay(count, Loss::Unsynced, &from, to.path());
        let shown = look(&start(to.path(), Arc::new(Lazy)).await.unwrap()).await;
        assert_eq!(history.check(1, &shown), [] as [Anomaly; 0], "sync {sync}, power loss {when}");
        shown
    };
    power_lost("before the restart", journal.len()).await;
    drop(broker);
    let broker = start_when_free_on(&from, Arc::clone(&journal) as Arc<dyn Disk>).await;
    let before = look(&broker).await;
    assert_eq!(history.check(1, &before), [] as [Anomaly; 0], "sync {sync}, after the restart");
    let after = power_lost("after the restart", journal.len()).await;
    let kept = (after.high_watermark, &after.everything, after.position);
    assert_eq!(kept, (before.high_watermark, &before.everything, before.position), "sync {sync}: it was shown");
    history.acknowledged()
}

/// The producer of the stories begins anew, once its last transaction is over.
async fn come_back(broker: &Running, what: &str) {
    let txn = tokio::sync::Mutex::new(Txn::new(broker, "tx").await);
    let init = || async { (txn.lock().await.init(60_000).await == 0).then_some(()) };
    eventually(&format!("{what}: the producer is back"), init).await;
}

/// Partitions of each transaction of [`tell_wide`].
const PARTITIONS: i32 = 3;
/// Power losses tried amid them.
const WIDE_LOSSES: usize = 20;

/// A transaction over all partitions of a topic.
struct Wide {
    values: Vec<String>,
    commits: bool,
    answered: usize,
}

async fn tell_wide(broker: &Running, journal: &Journal) -> Vec<Wide> {
    let mut txn = Txn::begin(broker, "tx").await;
    let mut told = Vec::new();
    for round in 0..6 {
        let commits = round % 3 != 2;
        assert_eq!(txn.add_all("wide", (0..PARTITIONS).collect()).await, 0);
        let mut values = Vec::new();
        for partition in 0..PARTITIONS {
            let value = format!("{round} in {partition}");
            assert_eq!(txn.produce_to("wide", partition, round, &value).await, 0);
            values.push(value);
        }
        assert_eq!(txn.end(commits).await, 0);
        told.push(Wide { values, commits, answered: journal.len() });
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_leaves_transactions_over_several_partitions_whole() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::default());
    let broker = start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap();
    broker.topic("wide", PARTITIONS, &[]).await;
    let begun = journal.len();
    let told = tell_wide(&broker, &journal).await;
    drop(broker);
    let places = soak::places(journal.len() - begun, WIDE_LOSSES);
    for count in places.iter().map(|place| begun + place + 1) {
        for loss in [Loss::Nothing, Loss::Unsynced, Loss::Torn, Loss::Reordered] {
            let what = format!("{count} changes, {loss:?}");
            let to = tempfile::tempdir().unwrap();
            journal.replay(count, loss, &from, to.path());
            let broker = start(to.path(), Arc::new(Lazy)).await.unwrap();
            come_back(&broker, &what).await;
            let mut readable = Vec::new();
            for partition in 0..PARTITIONS {
                readable.extend(committed_in(&broker, partition).await);
            }
            let readable: HashSet<&str> = readable.iter().map(String::as_str).collect();
            let all: Vec<Vec<String>> = told.iter().map(|wide| wide.values.clone()).collect();
            assert_eq!(History::check_whole(&all, &readable), [] as [Anomaly; 0], "{what}");
            for Wide { values, commits, answered } in &told {
                let is_there = readable.contains(values[0].as_str());
                assert!(*commits || !is_there, "{what}: {values:?} was aborted");
                assert!(!*commits || *answered > count || is_there, "{what}: {values:?} was committed");
            }
            broker.stop().await;
        }
    }
    soak::report("power loss amid transactions over several partitions", places.len() * 4, told.len());
}

/// What readers of committed records get of a partition of the topic of [`tell_wide`], once all of it is decided.
async fn committed_in(broker: &Running, partition: i32) -> Vec<String> {
    let wire = tokio::sync::Mutex::new(broker.wire().await);
    let decided = || async {
        let shown = wire.lock().await.fetch("wide", partition, Ask { isolation: 1, ..Ask::at(0) }).await;
        (shown.last_stable_offset == shown.high_watermark).then_some(shown)
    };
    let shown = eventually("all is decided", decided).await;
    let values = committed_of(shown, 0).map(|(_, values)| values).unwrap_or_default();
    values.into_iter().map(|(_, value)| value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_amid_transactions_leaves_each_of_them_whole_or_none_of_it() {
    fail_everywhere("amid transactions", Story::Transactions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_amid_compaction_loses_no_last_record_of_a_key() {
    fail_everywhere("amid compaction", Story::Keyed(Keeps::LastOfKey)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_amid_retention_leaves_no_hole() {
    fail_everywhere("amid retention", Story::Keyed(Keeps::FromLogStart)).await;
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
