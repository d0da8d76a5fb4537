//! What happens now does not wait for a backlog, and stays behind what its own key has in it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Interest, Record, Subscription, Transport};
use eventkit::{Clock, Error, EventPublisher, Origin, Result};
use jiff::Timestamp;

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

const DRAIN: Duration = Duration::from_secs(5);
const BATCH_MAX: usize = 10;
const BACKLOG_KEYS: i64 = 50;
const BACKLOG: i64 = 300;
/// An account of which the backlog has nothing.
const FRESH: i64 = 1_000;

/// Opens accounts while the relay publishes, and fails some calls.
#[derive(Debug)]
struct Busy {
    inner: MemoryTransport,
    publisher: EventPublisher,
    calls: AtomicUsize,
    /// The accounts in the order in which they were published.
    order: Mutex<Vec<i64>>,
    /// Every so many calls one fails after its records were taken; 0 for none.
    failing: usize,
}

#[async_trait]
impl Transport for Busy {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call < 5 {
            let number = i64::try_from(call).unwrap();
            // One that is new, twice, and one that the backlog has: it must not overtake that.
            for event in [opened(FRESH + number), told(FRESH + number, "again"), told(number, "late")] {
                let mut work = self.publisher.begin(Origin::default());
                work.publish(&event).await?;
                work.commit().await?;
            }
        }
        self.order.lock().unwrap().extend(records.iter().map(account_of));
        self.inner.publish(records).await?;
        if self.failing > 0 && call % self.failing == self.failing - 1 {
            let source = "planted fault".into();
            return Err(Error::Transport { operation: "publish".to_owned(), transient: true, source });
        }
        Ok(())
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        self.inner.subscribe(interest).await
    }
}

impl Busy {
    fn order(&self) -> Vec<i64> {
        self.order.lock().unwrap().clone()
    }
}

fn account_of(record: &Record) -> i64 {
    let key = std::str::from_utf8(record.key.as_ref().unwrap()).unwrap();
    key.strip_prefix("account-").unwrap().parse().unwrap()
}

fn told(account_id: i64, owner: &str) -> AccountOpened {
    AccountOpened { owner: owner.to_owned(), ..opened(account_id) }
}

/// What is on the topic, in the order of its partitions: account and owner, without repetitions.
fn seen(transport: &MemoryTransport) -> Vec<(i64, String)> {
    let mut seen = Vec::new();
    for consumed in transport.records(ACCOUNTS) {
        let envelope = eventkit::Envelope::read(&consumed.record.value.unwrap()).unwrap();
        let event: AccountOpened = eventkit::event::decode(&envelope).unwrap();
        let one = (event.account_id, event.owner);
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// A backlog that has lain for a minute, worked off while accounts are opened.
async fn worked_off(fixture: &Fixture, clock: &Clock, failing: usize) -> Arc<Busy> {
    for number in 0..BACKLOG {
        let mut work = fixture.publisher.begin(Origin::default());
        work.publish(&told(number % BACKLOG_KEYS, &format!("{number:04}"))).await.unwrap();
        work.commit().await.unwrap();
    }
    clock.advance_ms(60_000);
    let transport = Arc::new(Busy {
        inner: MemoryTransport::new(),
        publisher: fixture.publisher.clone(),
        calls: AtomicUsize::new(0),
        order: Mutex::default(),
        failing,
    });
    let backoff = eventkit::RetryPolicy { initial: Duration::from_millis(1), ..eventkit::RetryPolicy::default() };
    let config = RelayConfig { batch_max: BATCH_MAX, backoff, ..RelayConfig::new("bank", "copy-1") };
    let relay = relay::start(config, fixture.publisher.clone(), transport.clone());
    let all = usize::try_from(BACKLOG).unwrap() + 15;
    eventually("everything is on the topic", async || (seen(&transport.inner).len() == all).then_some(())).await;
    relay.stop(DRAIN).await;
    transport
}

fn assert_in_order(transport: &MemoryTransport) {
    let seen = seen(transport);
    for account_id in 0..BACKLOG_KEYS {
        let owners = seen.iter().filter(|(of, _)| *of == account_id).map(|(_, owner)| owner);
        // "late" comes after every number.
        assert!(owners.is_sorted(), "account {account_id}");
    }
    for account_id in FRESH..FRESH + 5 {
        let of_it = |(of, _): &&(i64, String)| *of == account_id;
        let owners: Vec<_> = seen.iter().filter(of_it).map(|(_, owner)| owner.as_str()).collect();
        assert_eq!(owners, [format!("owner {account_id}").as_str(), "again"]);
    }
}

#[tokio::test]
async fn what_is_new_is_published_long_before_a_backlog_is_worked_off() {
    for (fixture, clock) in Fixture::all_with_clock(Timestamp::from_second(1_795_485_927).unwrap()).await {
        let transport = worked_off(&fixture, &clock, 0).await;
        assert_in_order(&transport.inner);
        let order = transport.order();
        let last_new = order.iter().rposition(|account_id| *account_id >= FRESH).unwrap();
        // Five batches of the backlog and five of what came meanwhile, and one more to find out.
        assert!(last_new < 12 * BATCH_MAX, "a new event was the {last_new}th");
        let all = usize::try_from(BACKLOG).unwrap() + 15;
        assert_eq!(order.len(), all, "nothing is published twice");
    }
}

#[tokio::test]
async fn order_is_kept_when_publishing_fails_in_between() {
    for failing in [2, 3, 4] {
        let clock = Clock::manual(Timestamp::from_second(1_795_485_927).unwrap());
        let fixture = Fixture::with_clock(clock.clone()).await;
        let transport = worked_off(&fixture, &clock, failing).await;
        assert_in_order(&transport.inner);
    }
}
