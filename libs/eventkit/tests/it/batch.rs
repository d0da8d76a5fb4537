//! Events that share a unit of work: each has its effect once and its inbox row, and a poison one harms nobody else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::params;
use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};
use eventkit::{
    Consumer, Handle, HandleBatch, HandlerError, HandlerResult, Origin, Received, RetryPolicy, UnitOfWork, outbox,
};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const LETTERS: &str = "accounts.dlq";
const ACCOUNTS_COUNT: i64 = 10;
const ROUNDS: usize = 30;

/// Counts effects, keeps the order of each account, and tells of each event.
#[derive(Clone, Default)]
struct Apply {
    batches: Arc<Mutex<Vec<usize>>>,
    panics: Arc<AtomicBool>,
}

async fn apply(received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
    let AccountOpened { account_id, owner } = &received.event;
    if owner == "poison" {
        return Err(HandlerError::permanent("poison"));
    }
    let sql = "insert into history (account_id, owner) values ($1, $2)";
    work.execute(sql, &params![*account_id, owner.as_str()]).await?;
    work.publish(&AccountOpened { owner: owner.clone(), ..opened(account_id + 1_000) }).await?;
    Ok(())
}

impl HandleBatch<AccountOpened> for Apply {
    async fn handle_batch(&self, events: &[Received<AccountOpened>], work: &mut UnitOfWork) -> HandlerResult {
        for received in events {
            work.attribute_to(received);
            apply(received, work).await?;
        }
        self.batches.lock().unwrap().push(events.len());
        assert!(!self.panics.swap(false, Ordering::SeqCst), "planted panic after everything was done");
        Ok(())
    }
}

impl Handle<AccountOpened> for Apply {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        self.batches.lock().unwrap().push(1);
        apply(received, work).await
    }
}

/// Stores and publishes rounds of events, then every record a second time.
async fn published_twice(poison: bool) -> Fixture {
    let fixture = Fixture::new().await;
    publish_twice(&fixture, poison).await;
    fixture
}

async fn publish_twice(fixture: &Fixture, poison: bool) {
    for round in 0..ROUNDS {
        let mut work = fixture.publisher.begin(Origin::default());
        for account_id in 1..=ACCOUNTS_COUNT {
            let owner = if poison && round == 7 && account_id == 3 { "poison".to_owned() } else { round.to_string() };
            work.publish(&AccountOpened { owner, ..opened(account_id) }).await.unwrap();
        }
        work.commit().await.unwrap();
    }
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let records: Vec<Record> = fixture.transport.records(ACCOUNTS).into_iter().map(|record| record.record).collect();
    fixture.transport.publish(records).await.unwrap();
}

async fn histories(fixture: &Fixture) -> HashMap<i64, Vec<String>> {
    let rows = fixture.db.query("select account_id, owner from history order by position", &[]).await.unwrap();
    let mut histories: HashMap<i64, Vec<String>> = HashMap::new();
    for row in rows {
        histories.entry(row.get("account_id").unwrap()).or_default().push(row.get("owner").unwrap());
    }
    histories
}

async fn run_to_the_end(fixture: &Fixture, consumer: Consumer) {
    let running = consumer
        .retry(RetryPolicy::fixed(2, Duration::from_millis(1)))
        .dead_letters()
        .start(fixture.publisher.clone(), fixture.transport.clone());
    let ends: HashMap<_, _> = fixture
        .transport
        .records(ACCOUNTS)
        .into_iter()
        .map(|record| (record.topic_partition(), record.offset + 1))
        .collect();
    eventually("everything is committed", async || {
        ends.iter().all(|(place, end)| fixture.transport.committed("group", place) >= Some(*end)).then_some(())
    })
    .await;
    running.stop().await;
}

fn all_rounds() -> Vec<String> {
    (0..ROUNDS).map(|round| round.to_string()).collect()
}

#[tokio::test]
async fn a_batch_handles_many_events_in_one_unit_each_once_and_in_order() {
    for fixture in Fixture::all().await {
        publish_twice(&fixture, false).await;
        let handler = Apply::default();
        handler.panics.store(true, Ordering::SeqCst);
        run_to_the_end(&fixture, Consumer::new("group").on_batch::<AccountOpened>(handler.clone()).batch_max(64)).await;
        let histories = histories(&fixture).await;
        assert_eq!(histories.len(), 10);
        assert!(histories.values().all(|rounds| *rounds == all_rounds()));
        let largest = *handler.batches.lock().unwrap().iter().max().unwrap();
        assert!((2..=64).contains(&largest), "largest batch: {largest}");
        assert_eq!(fixture.count("inbox").await, 300);
        assert_eq!(fixture.count("event_store").await, 600, "each event told of once");
    }
}

#[tokio::test]
async fn what_a_batch_publishes_follows_from_its_own_event() {
    let fixture = published_twice(false).await;
    run_to_the_end(&fixture, Consumer::new("group").on_batch::<AccountOpened>(Apply::default())).await;
    let events = outbox::read_after(&fixture.db, 0, i64::MAX, 1_000).await.unwrap();
    let (causes, told) = events.split_at(300);
    for event in told {
        let cause =
            causes.iter().find(|cause| event.envelope.contains(&format!("\"causationId\":\"{}\"", cause.event_id)));
        let cause = cause.expect("a cause");
        let expected = eventkit::envelope::derived_id(&cause.event_id, "group", "account.opened", 0).to_string();
        assert_eq!(event.event_id, expected);
    }
}

/// Tells of the first event before it says of which, of all of them in turn, and of all once more.
struct Return;

impl HandleBatch<AccountOpened> for Return {
    async fn handle_batch(&self, events: &[Received<AccountOpened>], work: &mut UnitOfWork) -> HandlerResult {
        work.publish(&opened(events[0].event.account_id + 1_000)).await?;
        for received in events.iter().chain(events) {
            work.attribute_to(received);
            work.publish(&opened(received.event.account_id + 1_000)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_a_batch_publishes_is_stored_also_when_it_comes_back_to_an_event() {
    let fixture = Fixture::new().await;
    let mut work = fixture.publisher.begin(Origin::default());
    for account_id in 1..=ACCOUNTS_COUNT {
        work.publish(&opened(account_id)).await.unwrap();
    }
    work.commit().await.unwrap();
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let handled = fixture.count("event_store").await;
    run_to_the_end(&fixture, Consumer::new("group").on_batch::<AccountOpened>(Return)).await;
    let told = outbox::read_after(&fixture.db, handled, i64::MAX, 1_000).await.unwrap();
    for account_id in 1..=ACCOUNTS_COUNT {
        let key = format!("account-{}", account_id + 1_000);
        let of_account = told.iter().filter(|event| event.key == key).count();
        assert!((2..=3).contains(&of_account), "{of_account} of account {account_id}");
    }
    assert!(told.len() > 2 * usize::try_from(ACCOUNTS_COUNT).unwrap(), "what came before the first word is there too");
}

#[tokio::test]
async fn a_poison_event_in_a_batch_becomes_a_dead_letter_alone() {
    for share_units in [false, true] {
        let fixture = published_twice(true).await;
        let consumer = Consumer::new("group");
        let consumer = match share_units {
            true => consumer.on::<AccountOpened>(Apply::default()).share_units(),
            false => consumer.on_batch::<AccountOpened>(Apply::default()),
        };
        run_to_the_end(&fixture, consumer).await;
        let histories = histories(&fixture).await;
        for (account_id, rounds) in histories {
            let mut expected = all_rounds();
            if account_id == 3 {
                expected.remove(7);
            }
            assert_eq!(rounds, expected, "account {account_id}, shared: {share_units}");
        }
        // The poison event was sent twice, and is not known to the inbox.
        assert_eq!(fixture.transport.records(LETTERS).len(), 2);
    }
}

/// Undoes the unit that it shares the first time, then goes on as if nothing had happened.
struct Undo(AtomicUsize);

impl Handle<AccountOpened> for Undo {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        if self.0.fetch_add(1, Ordering::SeqCst) == 20 {
            let publisher = work.publisher().clone();
            std::mem::replace(work, publisher.begin(Origin::default())).rollback().await;
        }
        apply(received, work).await
    }
}

#[tokio::test]
async fn handlers_that_share_a_unit_have_their_effects_once_even_if_one_undoes_it() {
    let fixture = published_twice(false).await;
    let consumer = Consumer::new("group").on::<AccountOpened>(Undo(AtomicUsize::new(0))).share_units();
    run_to_the_end(&fixture, consumer).await;
    assert!(histories(&fixture).await.values().all(|rounds| *rounds == all_rounds()));
    assert_eq!(fixture.count("inbox").await, 300);
}

/// A way in which the handler fails for one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Permanent,
    Transient,
    Panic,
    Hang,
}

const FAILING: i64 = 3;

impl Handle<AccountOpened> for Way {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        apply(received, work).await?;
        match self {
            _ if received.event.account_id != FAILING => Ok(()),
            Self::Permanent => Err(HandlerError::permanent("never")),
            Self::Transient => Err(HandlerError::transient("not now")),
            Self::Panic => panic!("planted panic"),
            Self::Hang => std::future::pending().await,
        }
    }
}

async fn neighbours_are_left_alone(way: Way) {
    let fixture = Fixture::new().await;
    let mut work = fixture.publisher.begin(Origin::default());
    for account_id in 1..=ACCOUNTS_COUNT {
        work.publish(&opened(account_id)).await.unwrap();
    }
    work.commit().await.unwrap();
    fixture.start_relay().stop(Duration::from_secs(5)).await;
    let consumer = Consumer::new("group").on::<AccountOpened>(way).share_units();
    run_to_the_end(&fixture, consumer.handler_timeout(Duration::from_secs(2))).await;
    let histories = histories(&fixture).await;
    for account_id in 1..=ACCOUNTS_COUNT {
        let effects = histories.get(&account_id).map_or(0, Vec::len);
        assert_eq!(effects, usize::from(account_id != FAILING), "account {account_id}, {way:?}");
    }
    let letters = fixture.transport.records(LETTERS);
    assert_eq!(letters.len(), 1, "{way:?}");
    assert_eq!(letters[0].record.key.as_deref(), Some(format!("account-{FAILING}").as_bytes()));
}

#[tokio::test]
async fn an_event_that_fails_in_any_way_takes_none_that_shares_its_unit_with_it() {
    let ways = [Way::Permanent, Way::Transient, Way::Panic, Way::Hang];
    futures::future::join_all(ways.map(neighbours_are_left_alone)).await;
}
