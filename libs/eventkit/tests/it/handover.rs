//! Work that changes hands in the middle: a relay's lease while it publishes, a consumer's partitions, a handler at a stop.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use db::params;
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::checker::{Fact, check, once};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{ConsumedRecord, Interest, Record, Subscription, Transport};
use eventkit::{Consumer, Handle, HandlerResult, Origin, Received, Result, UnitOfWork};
use tokio::sync::Notify;

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const DRAIN: Duration = Duration::from_secs(5);

/// Stores an event of each of `keys` accounts in each round; answers them in the order of their commits.
async fn store(fixture: &Fixture, rounds: std::ops::Range<usize>, keys: i64) -> Vec<Fact> {
    let mut stored = Vec::new();
    for round in rounds {
        for account_id in 1..=keys {
            let mut work = fixture.publisher.begin(Origin::default());
            let event = AccountOpened { owner: round.to_string(), ..opened(account_id) };
            let event_id = work.publish(&event).await.unwrap();
            work.commit().await.unwrap();
            stored.push(Fact::new(&format!("account-{account_id}"), &event_id));
        }
    }
    stored
}

fn fact(record: &ConsumedRecord) -> Fact {
    let key = String::from_utf8(record.record.key.clone().unwrap().to_vec()).unwrap();
    Fact::new(&key, record.record.header("ce_id").unwrap())
}

fn topic(transport: &MemoryTransport) -> Vec<Fact> {
    transport.records(ACCOUNTS).iter().map(fact).collect()
}

/// Takes half of its first batch, and the rest only when it is let go: as a broker that stands still.
#[derive(Debug)]
struct Stuck {
    inner: Arc<MemoryTransport>,
    is_stuck: AtomicBool,
    reached: Notify,
    let_go: Notify,
    is_through: AtomicBool,
}

#[async_trait]
impl Transport for Stuck {
    async fn publish(&self, mut records: Vec<Record>) -> Result<()> {
        if !self.is_stuck.swap(false, Ordering::SeqCst) {
            return self.inner.publish(records).await;
        }
        let rest = records.split_off(records.len() / 2);
        self.inner.publish(records).await?;
        self.reached.notify_one();
        self.let_go.notified().await;
        self.inner.publish(rest).await?;
        self.is_through.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe(interest).await
    }
}

#[tokio::test]
async fn a_relay_that_is_taken_over_while_it_publishes_spoils_nothing_when_it_comes_back() {
    for fixture in Fixture::all().await {
        let config = |owner: &str| RelayConfig {
            lease: Duration::from_millis(100),
            poll_interval: Duration::from_millis(10),
            batch_max: 8,
            ..RelayConfig::new("bank", owner)
        };
        let stuck = Arc::new(Stuck {
            inner: fixture.transport.clone(),
            is_stuck: AtomicBool::new(true),
            reached: Notify::new(),
            let_go: Notify::new(),
            is_through: AtomicBool::new(false),
        });
        let mut stored = store(&fixture, 0..5, 3).await;
        let first = relay::start(config("copy-1"), fixture.publisher.clone(), stuck.clone());
        stuck.reached.notified().await;
        let second = relay::start(config("copy-2"), fixture.publisher.clone(), fixture.transport.clone());
        let all = |stored: &[Fact]| {
            let there: HashSet<_> = topic(&fixture.transport).into_iter().map(|fact| fact.event_id).collect();
            stored.iter().all(|fact| there.contains(&fact.event_id)).then_some(())
        };
        eventually("the second owner publishes all", async || all(&stored)).await;
        stored.extend(store(&fixture, 5..7, 3).await);
        stuck.let_go.notify_one();
        eventually("the first one has ended its batch", async || stuck.is_through.load(Ordering::SeqCst).then_some(()))
            .await;
        eventually("what came later is published", async || all(&stored)).await;
        stored.extend(store(&fixture, 7..9, 3).await);
        eventually("and what came last", async || all(&stored)).await;
        first.stop(DRAIN).await;
        second.stop(DRAIN).await;
        let topic = topic(&fixture.transport);
        assert!(topic.len() > stored.len(), "the first owner's late records are there a second time");
        assert_eq!(check(&stored, &topic, &once(&topic)), []);
    }
}

/// Writes down what it handled.
struct WriteDown;

impl Handle<AccountOpened> for WriteDown {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        let sql = "insert into history (account_id, owner) values ($1, $2)";
        work.execute(sql, &params![received.event.account_id, received.identity.as_str()]).await?;
        Ok(())
    }
}

async fn effects(fixture: &Fixture) -> Vec<Fact> {
    let rows = fixture.db.query("select account_id, owner from history order by position", &[]).await.unwrap();
    let fact = |row: &db::Row| {
        let account_id: i64 = row.get("account_id").unwrap();
        Fact::new(&format!("account-{account_id}"), &row.get::<String>("owner").unwrap())
    };
    rows.iter().map(fact).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_group_that_come_go_and_die_lose_nothing_and_repeat_no_effect() {
    const ROUNDS: usize = 40;
    const KEYS: i64 = 12;
    for fixture in Fixture::all().await {
        let join = || {
            let consumer = Consumer::new("group").on::<AccountOpened>(WriteDown).concurrency(4);
            consumer.start(fixture.publisher.clone(), fixture.transport.clone())
        };
        let relay = fixture.start_relay();
        let mut members = vec![join()];
        let mut stored = Vec::new();
        for turn in 0..6 {
            stored.extend(store(&fixture, turn * ROUNDS / 6..(turn + 1) * ROUNDS / 6, KEYS).await);
            match turn {
                0 | 1 => members.push(join()),
                2 => members.remove(0).stop().await,
                3 => members.remove(0).abort(),
                _ => members.push(join()),
            }
        }
        eventually("every event had its effect", async || {
            let count = usize::try_from(fixture.count("history").await).unwrap();
            (count >= stored.len() && fixture.transport.is_consumed()).then_some(())
        })
        .await;
        for member in members {
            member.stop().await;
        }
        relay.stop(DRAIN).await;
        assert_eq!(check(&stored, &topic(&fixture.transport), &effects(&fixture).await), []);
    }
}

/// Waits until it is let go, and writes down what it handled.
struct Slow {
    begun: Arc<AtomicU32>,
    let_go: Arc<Notify>,
}

impl Handle<AccountOpened> for Slow {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.let_go.notified().await;
        WriteDown.handle(received, work).await
    }
}

#[tokio::test]
async fn a_stop_lets_a_handler_end_and_begins_no_other() {
    for fixture in Fixture::all().await {
        let (begun, let_go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let slow = Slow { begun: begun.clone(), let_go: let_go.clone() };
        store(&fixture, 0..3, 1).await;
        fixture.start_relay().stop(DRAIN).await;
        let consumer = Consumer::new("group").on::<AccountOpened>(slow);
        let consumer = consumer.start(fixture.publisher.clone(), fixture.transport.clone());
        eventually("a handler is at work", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        let mut stopping = tokio::spawn(consumer.stop());
        let early = tokio::time::timeout(Duration::from_millis(100), &mut stopping).await;
        assert!(early.is_err(), "the stop does not wait for the handler");
        let_go.notify_one();
        stopping.await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 1, "another event is begun after the stop");
        assert_eq!(fixture.count("history").await, 1);
        let place = fixture.transport.records(ACCOUNTS)[0].topic_partition();
        assert_eq!(fixture.transport.committed("group", &place), Some(1), "what was handled is committed");
    }
}
