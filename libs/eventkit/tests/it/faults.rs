//! The 1st, 2nd, … nth call to the transport fails, until a run meets no fault; after each run the promises hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use eventkit::relay::{self, RelayConfig};
use eventkit::testing::checker::{Fact, Verdict, check};
use eventkit::testing::{Fault, Faults, FaultyTransport, Harness, eventually};
use eventkit::transport::ConsumedRecord;
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
    let fixture = Fixture::new().await;
    let transport = Arc::new(FaultyTransport::new(fixture.transport.clone(), faults));
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
    let consumer = Consumer::new("group").on::<AccountOpened>(WriteDown);
    let consumer = consumer.start(fixture.publisher.clone(), transport.clone());
    // A run that lies may never get there, and is judged all the same.
    let done = eventually("every event had its effect", async || {
        let cursor = fixture.db.query_one("select coalesce(max(position), 0) as at from relay_cursors", &[]).await;
        let published = cursor.unwrap().get::<i64>("at").unwrap() == i64::try_from(acknowledged.len()).unwrap();
        (published && fixture.transport.is_consumed()).then_some(())
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
    (check(&acknowledged, &topic, &effects), transport.calls())
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
async fn under_random_faults_the_promises_hold() {
    for seed in 0..10 {
        let (verdicts, _) = run(Faults::seeded(seed, 0.5)).await;
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
