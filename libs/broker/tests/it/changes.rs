//! Row "durability": what an administrator changes, over power loss and on disks that fail: a change that was answered
//! holds, one that was not has happened or has not, and no other is touched by it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use broker::Disk;

use crate::support::administration::{CHANGES, Change, look};
use crate::support::disk::{Failing, Journal, Lazy, Loss};
use crate::support::story::{start, start_when_free};
use crate::support::{Running, soak};

const NO_SPACE: i32 = 28;
const IO_ERROR: i32 = 5;
/// Power losses tried in one run, each in every way; `cargo xtask soak --broker-places` tries every change.
const LOSSES: usize = 12;
const LOSS: [Loss; 5] = [Loss::Nothing, Loss::Unsynced, Loss::Torn, Loss::FirstNames, Loss::LastNames];
/// Failing disks tried in one run for each way of failing.
const FAILURES: usize = 8;

/// What each thing may be, by its name; what is not named is not there.
type Allowed = BTreeMap<String, BTreeSet<Option<String>>>;

fn assert_allowed(shown: &BTreeMap<String, String>, allowed: &Allowed, what: &str) {
    let names: BTreeSet<&String> = shown.keys().chain(allowed.keys()).collect();
    for name in names {
        let value = shown.get(name).cloned();
        let may_be = allowed.get(name).cloned().unwrap_or_else(|| BTreeSet::from([None]));
        assert!(may_be.contains(&value), "{what}: {name} is {value:?}, and not one of {may_be:?}");
    }
}

/// Notes that a change came to be, or that it may have.
fn note(allowed: &mut Allowed, change: &Change, is_certain: bool) {
    for (name, value) in change.leads_to {
        let may_be = allowed.entry((*name).to_owned()).or_insert_with(|| BTreeSet::from([None]));
        if is_certain {
            may_be.clear();
        }
        may_be.insert(value.map(str::to_owned));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_answered_are_there_after_a_power_loss_at_any_change_of_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("data");
    let journal = Arc::new(Journal::default());
    let broker = start(&from, Arc::clone(&journal) as Arc<dyn Disk>).await.unwrap();
    let mut answered = Vec::new();
    let begun = journal.len();
    for change in CHANGES {
        assert!(change.make(&broker).await, "{}", change.name);
        answered.push(journal.len());
        let mut allowed = Allowed::new();
        CHANGES[..answered.len()].iter().for_each(|change| note(&mut allowed, change, true));
        assert_allowed(&look(&broker).await, &allowed, change.name);
    }
    drop(broker);
    let changes = journal.len();
    let places = soak::places(changes - begun, LOSSES);
    for count in places.iter().map(|place| begun + place + 1) {
        let mut allowed = Allowed::new();
        let done = answered.iter().filter(|at| **at <= count).count();
        CHANGES[..done].iter().for_each(|change| note(&mut allowed, change, true));
        CHANGES[done..].iter().take(1).for_each(|change| note(&mut allowed, change, false));
        for loss in LOSS {
            let what = format!("{count} of {changes} changes, {loss:?}");
            let to = tempfile::tempdir().unwrap();
            journal.replay(count, loss, &from, to.path());
            let broker = start(to.path(), Arc::new(Lazy)).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_allowed(&look(&broker).await, &allowed, &what);
            broker.stop().await;
        }
    }
    soak::report("power loss amid changes of an administrator", places.len() * LOSS.len(), CHANGES.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_answered_are_there_when_the_disk_fails_at_any_change() {
    let dir = tempfile::tempdir().unwrap();
    let counting = Arc::new(Failing::after(usize::MAX - 1, true, IO_ERROR));
    let broker = start(dir.path(), Arc::clone(&counting) as Arc<dyn Disk>).await.unwrap();
    let started = usize::MAX - 1 - counting.left();
    make_all(&broker).await;
    let changes = usize::MAX - 1 - counting.left();
    drop(broker);
    let mut tried = 0;
    for (errno, for_good) in [(NO_SPACE, false), (IO_ERROR, false), (IO_ERROR, true)] {
        for place in soak::places(changes - started, FAILURES) {
            let dir = tempfile::tempdir().unwrap();
            let what = format!("change {place}, error {errno}, for good: {for_good}");
            fail_after(dir.path(), Failing::after(started + place, for_good, errno), &what).await;
            tried += 1;
        }
    }
    soak::report("ENOSPC or EIO amid changes of an administrator", tried, CHANGES.len());
}

async fn make_all(broker: &Running) -> Allowed {
    let mut allowed = Allowed::new();
    for change in CHANGES {
        let made = change.make(broker).await;
        note(&mut allowed, change, made);
    }
    allowed
}

async fn fail_after(data_dir: &Path, disk: Failing, what: &str) {
    let Ok(broker) = start(data_dir, Arc::new(disk)).await else { return };
    let allowed = make_all(&broker).await;
    assert_allowed(&look(&broker).await, &allowed, &format!("{what}, before the restart"));
    drop(broker);
    let broker = start_when_free(data_dir).await;
    assert_allowed(&look(&broker).await, &allowed, &format!("{what}, after the restart"));
    broker.stop().await;
}
