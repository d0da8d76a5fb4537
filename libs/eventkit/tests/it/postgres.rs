//! What only PostgreSQL can do to an outbox: commit a lower position after a higher one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::Db;
use eventkit::outbox::{self, Horizon};
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::{Clock, EventPublisher, Origin, UnitOfWork};

use crate::fixture::{ACCOUNTS, AccountOpened, opened};
use crate::support::postgres;

async fn publisher() -> Option<EventPublisher> {
    let db = Db::open(&postgres()?).await.unwrap();
    outbox::migrate(&db).await.unwrap();
    Some(EventPublisher::new(db, "bank", Clock::system()))
}

fn keys(transport: &MemoryTransport) -> Vec<String> {
    let records = transport.records(ACCOUNTS);
    records.into_iter().map(|record| String::from_utf8(record.record.key.unwrap().to_vec()).unwrap()).collect()
}

/// Publishes, and has the event written now instead of with the commit.
async fn write(work: &mut UnitOfWork, account_id: i64) {
    work.publish(&opened(account_id)).await.unwrap();
    work.query("select 1 as one", &[]).await.unwrap();
}

#[tokio::test]
async fn a_lower_position_that_commits_later_is_not_skipped() {
    let Some(publisher) = publisher().await else { return };
    let mut early = publisher.begin(Origin::default());
    write(&mut early, 1).await;
    let mut late = publisher.begin(Origin::default());
    write(&mut late, 2).await;
    late.commit().await.unwrap();

    let mut horizon = Horizon::default();
    let reached = horizon.advance(publisher.db()).await.unwrap();
    let readable = outbox::read_after(publisher.db(), 0, reached, 10).await.unwrap();
    assert!(readable.is_empty(), "position 2 is read while position 1 may still come");
    assert!(horizon.is_held_back());

    let transport = Arc::new(MemoryTransport::new());
    let relay = relay::start(RelayConfig::new("bank", "copy-1"), publisher.clone(), transport.clone());
    early.commit().await.unwrap();
    eventually("both are published", async || (keys(&transport).len() == 2).then_some(())).await;
    relay.stop(Duration::from_secs(5)).await;
    let stored = outbox::read_after(publisher.db(), 0, i64::MAX, 10).await.unwrap();
    assert_eq!(stored.iter().map(|event| event.key.as_str()).collect::<Vec<_>>(), ["account-1", "account-2"]);
}

/// Keeps gauges by name and first label.
#[derive(Default)]
struct Gauges(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Gauges {
    fn read(&self, name: &str, label: &str) -> f64 {
        let gauges = self.0.lock().unwrap();
        gauges.get(&format!("{name} {label}")).map_or(0.0, |bits| f64::from_bits(bits.load(Ordering::SeqCst)))
    }
}

impl metrics::Recorder for Gauges {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::noop()
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        let label = key.labels().next().map_or("", |label| label.value());
        let name = format!("{} {label}", key.name());
        metrics::Gauge::from_arc(self.0.lock().unwrap().entry(name).or_default().clone())
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

#[test]
fn a_transaction_that_holds_events_back_is_told_of_until_it_ends() {
    let gauges = Gauges::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&gauges, || {
        runtime.block_on(async {
            let Some(publisher) = publisher().await else { return };
            let mut early = publisher.begin(Origin::default());
            write(&mut early, 1).await;
            let transport = Arc::new(MemoryTransport::new());
            let config =
                RelayConfig { held_back_max: Duration::from_millis(100), ..RelayConfig::new("bank", "copy-1") };
            let relay = relay::start(config, publisher.clone(), transport.clone());
            let mut late = publisher.begin(Origin::default());
            late.publish(&opened(2)).await.unwrap();
            late.commit().await.unwrap();
            let status = relay.status();
            eventually("it is told", async || status.held_back().map(drop)).await;
            let age = || gauges.read(eventkit::metrics::OLDEST_UNPUBLISHED_SECONDS, "bank");
            assert!(age() >= 0.1, "the oldest unpublished event's age is told as {}", age());
            assert!(keys(&transport).is_empty());
            early.commit().await.unwrap();
            eventually("both are published", async || (keys(&transport).len() == 2).then_some(())).await;
            eventually("nothing waits", async || (age() == 0.0 && status.held_back().is_none()).then_some(())).await;
            relay.stop(Duration::from_secs(5)).await;
        });
    });
}

#[tokio::test]
async fn an_older_transaction_that_takes_a_higher_position_does_not_hide_a_lower_one() {
    let Some(publisher) = publisher().await else { return };
    // The older transaction writes first and takes its position last.
    let mut older = publisher.begin(Origin::default());
    older.lock_entity("account-1").await.unwrap();
    let mut younger = publisher.begin(Origin::default());
    write(&mut younger, 2).await;
    write(&mut older, 1).await;
    older.commit().await.unwrap();
    let mut horizon = Horizon::default();
    let reached = horizon.advance(publisher.db()).await.unwrap();
    assert!(outbox::read_after(publisher.db(), 0, reached, 10).await.unwrap().is_empty());
    younger.commit().await.unwrap();
    // Transactions of others on the same server hold it back as well, so it may take a moment.
    let readable = eventually("both are readable", async || {
        let reached = publisher_horizon(&publisher).await;
        let readable = outbox::read_after(publisher.db(), 0, reached, 10).await.unwrap();
        (!readable.is_empty()).then_some(readable)
    })
    .await;
    assert_eq!(readable.len(), 2);
}

async fn publisher_horizon(publisher: &EventPublisher) -> i64 {
    Horizon::default().advance(publisher.db()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_lose_nothing_and_keep_the_order_of_each_key() {
    const WRITERS: i64 = 8;
    const ROUNDS: usize = 40;
    let Some(publisher) = publisher().await else { return };
    let transport = Arc::new(MemoryTransport::new());
    let relay = relay::start(RelayConfig::new("bank", "copy-1"), publisher.clone(), transport.clone());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let publisher = publisher.clone();
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let mut work = publisher.begin(Origin::default());
                // Two entities a unit, always in the same order: one of the writer's own, one that all share.
                work.publish(&AccountOpened { owner: round.to_string(), ..opened(writer) }).await.unwrap();
                work.publish(&AccountOpened { owner: writer.to_string(), ..opened(99) }).await.unwrap();
                work.commit().await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let expected = usize::try_from(WRITERS).unwrap() * ROUNDS * 2;
    eventually("every event is published", async || (keys(&transport).len() >= expected).then_some(())).await;
    relay.stop(Duration::from_secs(5)).await;
    assert_eq!(keys(&transport).len(), expected);
    let mut published: HashMap<String, Vec<String>> = HashMap::new();
    for record in transport.records(ACCOUNTS) {
        let key = String::from_utf8(record.record.key.clone().unwrap().to_vec()).unwrap();
        published.entry(key).or_default().push(record.record.header("ce_id").unwrap().to_owned());
    }
    let mut stored: HashMap<String, Vec<(i64, String)>> = HashMap::new();
    for event in outbox::read_after(publisher.db(), 0, i64::MAX, expected * 2).await.unwrap() {
        stored.entry(event.key).or_default().push((event.sequence, event.event_id));
    }
    for (key, mut events) in stored {
        events.sort_unstable();
        let ids: Vec<String> = events.into_iter().map(|(_, id)| id).collect();
        assert_eq!(published[&key], ids, "{key} is published in the order of its sequence");
    }
}
