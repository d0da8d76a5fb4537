//! The 1st, 2nd, … nth call to the transport fails, until a run meets no fault; after each run the promises hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eventkit::relay::{self, RelayConfig};
use eventkit::testing::checker::{Fact, Verdict, check};
use eventkit::testing::{Fault, Faults, FaultyTransport, Harness, eventually};
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{ConsumedRecord, GroupStart, Incoming, Interest, Record, TopicPartition, Transport};
use eventkit::{Consumer, Handle, HandlerError, HandlerResult, Origin, Received, RetryPolicy, UnitOfWork, published};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

/// Writes down what it handled.
#[derive(Clone)]
struct WriteDown;

impl Handle<AccountOpened> for WriteDown {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let sql = "insert into history (account_id, owner) values ($1, $2)";
        work.execute(sql, &db::params![received.event.account_id, received.identity.as_str()]).await?;
        Ok(())
    }
}

const ROUNDS: usize = 3;
const KEYS: i64 = 4;

/// One whole run with these faults; answers the verdicts and how many calls there were.
async fn run(faults: Faults) -> (Vec<Verdict>, usize) {
    let (verdicts, transport) = run_receiving(faults, Faults::default()).await;
    (verdicts, transport.calls())
}

/// One whole run with these faults of calls, and these of what comes in.
async fn run_receiving(faults: Faults, arrivals: Faults) -> (Vec<Verdict>, Arc<FaultyTransport>) {
    let fixture = Fixture::new().await;
    let transport = Arc::new(FaultyTransport::new(fixture.transport.clone(), faults).receiving(arrivals));
    let backoff = RetryPolicy::fixed(9, Duration::from_millis(1));
    let config = RelayConfig { batch_max: 5, backoff, ..RelayConfig::new("bank", "copy-1") };
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        for account_id in 1..=KEYS {
            let mut work = fixture.publisher.begin(Origin::default());
            let event = AccountOpened { owner: round.to_string(), ..opened(account_id) };
            let event_id = work.publish(&event).await.unwrap();
            work.commit().await.unwrap();
            acknowledged.push(Fact::new(&format!("account-{account_id}"), &event_id));
        }
    }
    let relay = relay::start(config, fixture.publisher.clone(), transport.clone());
    // How soon a subscription that ended is followed by the next.
    let consumer = Consumer::new("group").on::<AccountOpened>(WriteDown).retry(backoff);
    let consumer = consumer.start(fixture.publisher.clone(), transport.clone());
    // A run that lies may never get there, and is judged all the same.
    let done = eventually("every event had its effect", async || {
        let cursor = fixture.db.query_one("select coalesce(max(position), 0) as at from relay_cursors", &[]).await;
        let published = cursor.unwrap().get::<i64>("at").unwrap() == i64::try_from(acknowledged.len()).unwrap();
        // A group has no members between two subscriptions; that counts for nothing.
        let records = fixture.transport.records(ACCOUNTS);
        let consumed = records.iter().all(|record| {
            let committed = fixture.transport.committed("group", &record.topic_partition());
            committed.is_some_and(|committed| committed > record.offset)
        });
        (published && consumed).then_some(())
    });
    done.await;
    consumer.stop().await;
    relay.stop(Duration::from_secs(5)).await;
    let topic: Vec<Fact> = fixture.transport.records(ACCOUNTS).iter().map(fact).collect();
    let rows = fixture.db.query("select account_id, owner from history order by position", &[]).await.unwrap();
    let effects: Vec<Fact> = rows
        .iter()
        .map(|row| {
            let account_id: i64 = row.get("account_id").unwrap();
            Fact::new(&format!("account-{account_id}"), &row.get::<String>("owner").unwrap())
        })
        .collect();
    (check(&acknowledged, &topic, &effects), transport)
}

fn fact(record: &ConsumedRecord) -> Fact {
    let key = String::from_utf8(record.record.key.clone().unwrap().to_vec()).unwrap();
    Fact::new(&key, record.record.header("ce_id").unwrap())
}

#[tokio::test]
async fn whichever_call_fails_in_whichever_way_the_promises_hold() {
    let delay = Fault::Delay(Duration::from_millis(5));
    for fault in [Fault::Fail, Fault::FailHalfway, Fault::LieAboutFailure, delay, Fault::Duplicate] {
        for nth in 1.. {
            let (verdicts, calls) = run(Faults::nth(nth, fault)).await;
            assert!(verdicts.is_empty(), "call {nth} with {fault:?}: {verdicts:?}");
            if calls < nth {
                break;
            }
        }
    }
}

#[tokio::test]
async fn whatever_happens_to_records_that_come_in_the_promises_hold() {
    let delay = Fault::Delay(Duration::from_millis(5));
    for fault in [Fault::Fail, Fault::FailHalfway, Fault::LieAboutFailure, delay, Fault::Duplicate] {
        for nth in 1.. {
            let (verdicts, transport) = run_receiving(Faults::default(), Faults::nth(nth, fault)).await;
            assert!(verdicts.is_empty(), "arrival {nth} with {fault:?}: {verdicts:?}");
            if transport.arrivals() < nth {
                break;
            }
        }
    }
}

/// What a member of a disturbed transport is told, and how it ends: the values of the records, or an error.
async fn told(fault: Fault) -> Vec<Result<Vec<u8>, String>> {
    let memory = Arc::new(MemoryTransport::new());
    let record = |value: u8| Record {
        topic: ACCOUNTS.to_owned(),
        key: Some("account-1".into()),
        value: Some(vec![value].into()),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    memory.publish((1..=4).map(record).collect()).await.unwrap();
    let transport = FaultyTransport::new(memory.clone(), Faults::default()).receiving(Faults::nth(1, fault));
    let mut member = transport.subscribe(interest()).await.unwrap();
    let mut told = Vec::new();
    let mut quiet = 0;
    // Only that nothing comes for some time shows that it was all; whoever stops waiting loses nothing.
    while quiet < 5 {
        let Ok(incoming) = tokio::time::timeout(Duration::from_secs(1), member.next()).await else {
            quiet += 1;
            continue;
        };
        match incoming {
            Ok(Incoming::Records(records)) => {
                told.push(Ok(records.iter().map(|record| record.record.value.as_ref().unwrap()[0]).collect()));
            }
            Ok(_) => {}
            Err(error) => told.push(Err(error.to_string())),
        }
    }
    told
}

fn interest() -> Interest {
    Interest {
        group: "group".to_owned(),
        topics: vec![ACCOUNTS.to_owned()],
        instance: None,
        drain_max: Duration::ZERO,
        start: GroupStart::Earliest,
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_come_in_are_disturbed_as_told() {
    let all = || Ok(vec![1, 2, 3, 4]);
    let failed = || Err("transport could not receive".to_owned());
    for (fault, expected) in [
        (Fault::Fail, vec![failed()]),
        (Fault::FailHalfway, vec![Ok(vec![1, 2]), failed()]),
        (Fault::LieAboutFailure, vec![all(), failed()]),
        (Fault::Delay(Duration::from_millis(900)), vec![all()]),
        (Fault::Delay(Duration::from_secs(3)), vec![all()]),
        (Fault::Duplicate, vec![all(), all()]),
        (Fault::Reorder, vec![Ok(vec![4, 3, 2, 1])]),
        (Fault::Lose, vec![]),
    ] {
        assert_eq!(told(fault).await, expected, "{fault:?}");
    }
}

#[tokio::test]
async fn commits_are_disturbed_as_told() {
    let place = TopicPartition { topic: ACCOUNTS.to_owned(), partition: 0 };
    for (fault, succeeds, committed) in [
        (Fault::Fail, false, 1),
        (Fault::FailHalfway, false, 1),
        (Fault::LieAboutFailure, false, 2),
        (Fault::Delay(Duration::from_millis(1)), true, 2),
        (Fault::Duplicate, true, 2),
        (Fault::Reorder, true, 1),
        (Fault::Lose, true, 1),
    ] {
        let memory = Arc::new(MemoryTransport::new());
        let transport = FaultyTransport::new(memory.clone(), Faults::nth(2, fault));
        let member = transport.subscribe(interest()).await.unwrap();
        member.commit(&[(place.clone(), 1)]).await.unwrap();
        assert_eq!(member.commit(&[(place.clone(), 2)]).await.is_ok(), succeeds, "{fault:?}");
        assert_eq!(memory.committed("group", &place), Some(committed), "{fault:?}");
    }
}

#[tokio::test]
async fn under_random_faults_the_promises_hold() {
    for seed in 0..10 {
        let (verdicts, _) = run_receiving(Faults::seeded(seed, 0.5), Faults::seeded(seed + 100, 0.5)).await;
        assert!(verdicts.is_empty(), "seed {seed}: {verdicts:?}");
    }
}

#[tokio::test]
async fn a_transport_that_loses_or_reorders_is_found_out() {
    let (verdicts, _) = run(Faults::nth(1, Fault::Lose)).await;
    assert!(verdicts.iter().any(|verdict| matches!(verdict, Verdict::Lost(_))), "{verdicts:?}");
    let (verdicts, _) = run(Faults::nth(1, Fault::Reorder)).await;
    assert!(verdicts.iter().any(|verdict| matches!(verdict, Verdict::Overtook(_))), "{verdicts:?}");
}

/// Tells of another account for each small one.
struct Follow;

impl Handle<AccountOpened> for Follow {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        if received.event.account_id < 3 {
            work.publish(&opened(received.event.account_id + 1)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_harness_runs_a_service_until_nothing_is_left_to_do() {
    let mut harness = Harness::new(&[]).await;
    harness.start(Consumer::new("group").on::<AccountOpened>(Follow).dead_letters());
    harness.advance(Duration::from_secs(60));
    let mut work = harness.publisher().begin(Origin::default());
    work.publish(&opened(1)).await.unwrap();
    work.commit().await.unwrap();
    harness.run_until_idle().await;
    let mut ids: Vec<_> = harness.published::<AccountOpened>().into_iter().map(|event| event.account_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    assert!(harness.dead_letters::<AccountOpened>().is_empty());
    harness.stop().await;
    let harness = Harness::new(&[]).await;
    harness.run_until_idle().await;
    published!(harness, AccountOpened, []);
    harness.stop().await;
}

/// A harness in which two events of one account were published.
async fn harness_with_two_events() -> Harness {
    let harness = Harness::new(&[]).await;
    for owner in ["a", "b"] {
        let mut work = harness.publisher().begin(Origin::default());
        work.publish(&AccountOpened { owner: owner.to_owned(), ..opened(1) }).await.unwrap();
        work.commit().await.unwrap();
    }
    harness.run_until_idle().await;
    harness
}

#[tokio::test]
async fn what_was_published_is_compared_with_a_list() {
    let harness = harness_with_two_events().await;
    let of = |owner: &str| AccountOpened { owner: owner.to_owned(), ..opened(1) };
    published!(harness, AccountOpened, [of("a"), of("b")]);
    harness.stop().await;
}

#[tokio::test]
#[should_panic(expected = "published events of account.opened")]
async fn what_was_not_published_is_found_out() {
    let harness = harness_with_two_events().await;
    published!(harness, AccountOpened, [opened(1)]);
}

/// Fails until the third try.
struct FailsTwice(AtomicU32);

impl Handle<AccountOpened> for FailsTwice {
    async fn handle(&self, _: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        if self.0.fetch_add(1, Ordering::SeqCst) < 2 {
            return Err(HandlerError::transient("not yet"));
        }
        work.execute("insert into effects (n) values (1)", &[]).await?;
        Ok(())
    }
}

const EFFECTS: db::Migration =
    db::Migration { version: 1, name: "effects", sql: "create table effects (n bigint not null)" };
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn rows(harness: &Harness, table: &str) -> i64 {
    let sql = format!("select count(*) as n from {table}");
    harness.db().query_one(&sql, &[]).await.unwrap().get("n").unwrap()
}

#[tokio::test]
async fn the_harness_decides_when_a_retry_and_the_end_of_an_inbox_row_come() {
    let mut harness = Harness::new(&[EFFECTS]).await;
    let handler = Arc::new(FailsTwice(AtomicU32::new(0)));
    let consumer = Consumer::new("group").on::<AccountOpened>(handler.clone()).inbox_retention(90 * DAY);
    harness.start(consumer.retry(RetryPolicy::fixed(9, DAY)));
    let mut work = harness.publisher().begin(Origin::default());
    work.publish(&opened(1)).await.unwrap();
    work.commit().await.unwrap();
    let tried = async |times| {
        eventually("it is tried", async || (handler.0.load(Ordering::SeqCst) == times).then_some(())).await;
    };
    tried(1).await;
    harness.advance(DAY - Duration::from_millis(1));
    // Only a wait of some length shows that nothing happens.
    let early = tokio::time::timeout(Duration::from_millis(100), tried(2)).await;
    assert!(early.is_err(), "it is tried before its time");
    harness.advance(Duration::from_millis(1));
    tried(2).await;
    // The third try is a day away, and no test waits for it.
    harness.run_until_idle().await;
    assert_eq!(rows(&harness, "effects").await, 1);
    assert_eq!(rows(&harness, "inbox").await, 1);
    harness.advance(91 * DAY);
    eventually("the row is forgotten", async || (rows(&harness, "inbox").await == 0).then_some(())).await;
    harness.stop().await;
}
