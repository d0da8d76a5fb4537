//! What consumers do when handlers fail in different ways, the database is away, records are odd, rows grow old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use db::params;
use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};
use eventkit::{
    Clock, Consumer, FailureKind, Handle, HandleTombstone, HandlerError, HandlerResult, Received, RetryPolicy,
    Tombstone, UnitOfWork, inbox,
};
use jiff::Timestamp;

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture};

const LETTERS: &str = "accounts.dlq";
const NEVER: Duration = Duration::from_secs(3_600);

/// Fails as the account's number says, and counts how often it was asked.
#[derive(Clone, Default)]
struct Failing(Arc<AtomicUsize>);

impl Handle<AccountOpened> for Failing {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        self.0.fetch_add(1, Ordering::SeqCst);
        match received.event.account_id {
            1 => Err(HandlerError::transient("not now")),
            2 => panic!("planted panic"),
            // A careless author hides the cause, and calls it permanent.
            3 => work.query("select 1 as one", &[]).await.map(drop).map_err(HandlerError::permanent),
            _ => {
                work.query("select 1 as one", &[]).await?;
                std::future::pending().await
            }
        }
    }
}

/// One handler for `account_id` alone; answers the dead letter and how often it was tried.
async fn letter_of(account_id: i64, consumer: impl FnOnce(Consumer) -> Consumer) -> (Record, usize) {
    let fixture = Fixture::new().await;
    fixture.open(account_id).await;
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let handler = Failing::default();
    let running = consumer(Consumer::new("group").on::<AccountOpened>(handler.clone()).dead_letters())
        .start(fixture.publisher.clone(), fixture.transport.clone());
    let letter = eventually("a dead letter", async || fixture.transport.records(LETTERS).pop()).await;
    running.stop().await;
    (letter.record, handler.0.load(Ordering::SeqCst))
}

#[tokio::test]
async fn each_kind_of_failure_has_its_own_policy() {
    let twice = RetryPolicy::fixed(2, Duration::from_millis(1));
    let five = RetryPolicy::fixed(5, Duration::from_millis(1));
    let kinds = |consumer: Consumer| consumer.retry(twice).retry_on(FailureKind::Panic, five);
    let (letter, attempts) = letter_of(1, kinds).await;
    assert_eq!((letter.header("dlq-error-kind"), attempts), (Some("transient"), 2));
    let (letter, attempts) = letter_of(2, kinds).await;
    assert_eq!((letter.header("dlq-error-kind"), attempts), (Some("panic"), 5));
}

#[tokio::test]
async fn trying_again_ends_when_the_total_time_is_over() {
    let policy = RetryPolicy {
        attempts_max: u32::MAX,
        total_max: Duration::from_millis(60),
        ..RetryPolicy::fixed(u32::MAX, Duration::from_millis(20))
    };
    let (letter, attempts) = letter_of(1, |consumer| consumer.retry(policy)).await;
    assert!((3..=4).contains(&attempts), "{attempts} attempts in 60 ms with 20 ms between them");
    assert_eq!(letter.header("dlq-error-kind"), Some("transient"));
}

#[tokio::test]
async fn a_handler_that_hangs_inside_its_unit_is_at_fault_itself() {
    let once = RetryPolicy::fixed(1, Duration::ZERO);
    let (letter, attempts) =
        letter_of(4, |consumer| consumer.retry(once).handler_timeout(Duration::from_millis(50))).await;
    assert_eq!((letter.header("dlq-error-kind"), attempts), (Some("timeout"), 1));
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for_and_makes_no_dead_letter() {
    let fixture = Fixture::new().await;
    fixture.open(3).await;
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let mut lock = fixture.open_again().await.begin().await.unwrap();
    lock.execute("update accounts set effects = effects", &[]).await.unwrap();
    let handler = Failing::default();
    let running = Consumer::new("group")
        .on::<AccountOpened>(handler.clone())
        .retry(RetryPolicy::fixed(2, Duration::from_millis(1)))
        .dead_letters()
        .start(fixture.publisher.clone(), fixture.transport.clone());
    eventually("it was tried more often than failures may be", async || {
        (handler.0.load(Ordering::SeqCst) > 4).then_some(())
    })
    .await;
    assert!(fixture.transport.records(LETTERS).is_empty());
    lock.rollback().await;
    eventually("it is handled", async || (fixture.count("inbox").await == 1).then_some(())).await;
    running.stop().await;
    assert!(fixture.transport.records(LETTERS).is_empty());
}

/// Counts the effect in the account's row.
struct Count;

impl Handle<AccountOpened> for Count {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let sql = "update accounts set effects = effects + 1 where account_id = $1";
        work.execute(sql, &params![received.event.account_id]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn partitions_pause_while_the_database_is_away_and_then_every_effect_happens_once() {
    const ACCOUNTS_OPENED: i64 = 60;
    const WINDOW: usize = 5;
    for shares_units in [false, true] {
        let fixture = Fixture::new().await;
        for account_id in 1..=ACCOUNTS_OPENED {
            fixture.open(account_id).await;
        }
        fixture.start_relay().stop(Duration::from_secs(5)).await;
        let places: BTreeSet<String> =
            fixture.transport.records(ACCOUNTS).iter().map(|record| record.topic_partition().to_string()).collect();
        let mut lock = fixture.open_again().await.begin().await.unwrap();
        lock.execute("update accounts set effects = effects", &[]).await.unwrap();
        let consumer = Consumer::new("group").on::<AccountOpened>(Count).uncommitted_window_max(WINDOW).dead_letters();
        let consumer = if shares_units { consumer.share_units() } else { consumer };
        let running = consumer
            .retry(RetryPolicy::fixed(2, Duration::from_millis(1)))
            .start(fixture.publisher.clone(), fixture.transport.clone());
        eventually("every partition is told as stalled", async || {
            (running.stalled().into_iter().collect::<BTreeSet<_>>() == places).then_some(())
        })
        .await;
        assert_eq!(running.stalls().stalled().len(), places.len(), "also to whoever does not hold the consumer");
        assert_eq!(fixture.count("inbox").await, 0);
        lock.rollback().await;
        eventually("everything is handled", async || (fixture.count("inbox").await == ACCOUNTS_OPENED).then_some(()))
            .await;
        eventually("the partitions go on", async || running.stalled().is_empty().then_some(())).await;
        eventually("all is committed", async || fixture.transport.is_consumed().then_some(())).await;
        running.stop().await;
        for account_id in 1..=ACCOUNTS_OPENED {
            assert_eq!(fixture.effects(account_id).await, 1, "account {account_id}");
        }
        assert!(fixture.transport.records(LETTERS).is_empty());
    }
}

/// Deletes the account that is gone.
struct Delete;

impl HandleTombstone for Delete {
    async fn handle(&self, tombstone: &Tombstone, work: &mut UnitOfWork) -> HandlerResult {
        let key = tombstone.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let account_id: i64 = key.trim_start_matches("account-").parse().map_err(HandlerError::permanent)?;
        work.execute("delete from accounts where account_id = $1", &params![account_id]).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_tombstone_is_handled_once_after_the_events_of_its_key() {
    let fixture = Fixture::new().await;
    fixture.open(3).await;
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let tombstone = Record {
        topic: ACCOUNTS.to_owned(),
        key: Some(Bytes::from_static(b"account-3")),
        value: None,
        headers: Vec::new(),
        timestamp_ms: Some(1),
    };
    fixture.transport.publish(vec![tombstone]).await.unwrap();
    let consumer = Consumer::new("group").on::<AccountOpened>(Failing::default()).on_tombstone(ACCOUNTS, Delete);
    let running = consumer.start(fixture.publisher.clone(), fixture.transport.clone());
    eventually("the account is gone", async || (fixture.count("accounts").await == 0).then_some(())).await;
    eventually("both are recorded", async || (fixture.count("inbox").await == 2).then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn a_group_forgets_its_own_old_rows_in_steps_and_keeps_the_others() {
    let clock = Clock::manual(Timestamp::from_second(1_795_485_927).unwrap());
    let fixture = Fixture::with_clock(clock.clone()).await;
    let fill = async |group: &str, rows: i64, handled_at: i64| {
        let mut tx = fixture.db.begin().await.unwrap();
        for row in 0..rows {
            let sql = "insert into inbox (group_name, handler, event_identity, handled_at) values ($1, 'h', $2, $3)";
            tx.execute(sql, &params![group, format!("{handled_at}-{row}"), handled_at]).await.unwrap();
        }
        tx.commit().await.unwrap();
    };
    let now_ms = clock.now_ms();
    fill("group", 1_700, now_ms - 3_600_001).await;
    fill("group", 3, now_ms - 3_599_999).await;
    // The group's time goes on from its newest row.
    fill("group", 1, now_ms).await;
    fill("other", 4, 1).await;
    assert_eq!(inbox::expire(&fixture.db, "group", now_ms - 3_600_000, 100).await.unwrap(), 100, "one bounded step");
    let running = Consumer::new("group")
        .on::<AccountOpened>(Failing::default())
        .inbox_retention(NEVER)
        .start(fixture.publisher.clone(), fixture.transport.clone());
    eventually("old rows are gone", async || (fixture.count("inbox").await == 8).then_some(())).await;
    running.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_forth_between_two_starts_does_not_make_a_group_forget() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let clock = Clock::manual(Timestamp::from_second(1_795_485_927).unwrap());
    let fixture = Fixture::with_clock(clock.clone()).await;
    fixture.open(1).await;
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let again = fixture.transport.records(ACCOUNTS)[0].record.clone();
    let start = || Consumer::new("group").on::<AccountOpened>(Count).inbox_retention(Duration::from_secs(3_600));
    let running = start().start(fixture.publisher.clone(), fixture.transport.clone());
    eventually("it is handled", async || (fixture.count("inbox").await == 1).then_some(())).await;
    running.stop().await;
    // A row that is too old by any measure shows that the group has looked.
    let sql = "insert into inbox (group_name, handler, event_identity, handled_at) values ('group', 'h', 'old', 1)";
    fixture.db.unit(async |tx| tx.execute(sql, &[]).await.map(drop)).await.unwrap();
    clock.advance_ms(1_000 * DAY_MS);
    let running = start().start(fixture.publisher.clone(), fixture.transport.clone());
    eventually("the old row is gone", async || (fixture.count("inbox").await == 1).then_some(())).await;
    fixture.transport.publish(vec![again]).await.unwrap();
    let place = fixture.transport.records(ACCOUNTS)[0].topic_partition();
    eventually("the redelivery is committed", async || {
        (fixture.transport.committed("group", &place) == Some(2)).then_some(())
    })
    .await;
    running.stop().await;
    assert_eq!(fixture.effects(1).await, 1);
}
