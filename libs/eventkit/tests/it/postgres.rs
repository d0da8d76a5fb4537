//! What only PostgreSQL can do to an outbox: commit a lower position after a higher one.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::Db;
use eventkit::outbox::{self, Horizon};
use eventkit::relay::{self, RelayConfig};
use eventkit::testing::eventually;
use eventkit::transport::memory::MemoryTransport;
use eventkit::{Clock, Envelope, EventPublisher, Origin, UnitOfWork};
use tokio::task::JoinSet;

use crate::doors::{Doors, Refusal};
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
            let mut condition = relay.condition();
            let told = condition.wait_for(|now| now.held_back_since.is_some()).await.unwrap().complaint().unwrap();
            assert!(told.contains("the log names its session"), "{told}");
            let age = || gauges.read(eventkit::metrics::OLDEST_UNPUBLISHED_SECONDS, "bank");
            assert!(age() >= 0.1, "the oldest unpublished event's age is told as {}", age());
            assert!(keys(&transport).is_empty());
            early.commit().await.unwrap();
            eventually("both are published", async || (keys(&transport).len() == 2).then_some(())).await;
            condition.wait_for(|now| now.complaint().is_none()).await.unwrap();
            eventually("nothing waits", async || (age() == 0.0).then_some(())).await;
            relay.stop(Duration::from_secs(5)).await;
        });
    });
}

#[tokio::test]
async fn what_is_told_of_a_relay_does_not_outlive_its_cause() {
    let Some(publisher) = publisher().await else { return };
    let doors = Doors::shut(Refusal::ForNow);
    let moment = Duration::from_millis(50);
    let config = RelayConfig {
        held_back_max: moment,
        lease: 10 * moment,
        poll_interval: moment,
        ..RelayConfig::new("bank", "copy-1")
    };
    let relay = relay::start(config, publisher.clone(), doors);
    let mut condition = relay.condition();
    let mut first = publisher.begin(Origin::default());
    write(&mut first, 1).await;
    first.commit().await.unwrap();
    condition.wait_for(|now| now.failing.is_some()).await.unwrap();
    // What failed is gone, and what comes next may not be published yet.
    let mut early = publisher.begin(Origin::default());
    write(&mut early, 2).await;
    let mut late = publisher.begin(Origin::default());
    late.publish(&opened(3)).await.unwrap();
    late.execute("delete from event_store where position = 1", &[]).await.unwrap();
    late.commit().await.unwrap();
    condition.wait_for(|now| now.held_back_since.is_some()).await.unwrap();
    condition.wait_for(|now| now.failing.is_none()).await.unwrap();
    let sql = "update relay_cursors set owner = 'copy-2', expires_at = expires_at + 60000, lasts_ms = 60000";
    let taken_over: eventkit::Result<u64> = publisher.db().unit(async |tx| Ok(tx.execute(sql, &[]).await?)).await;
    taken_over.unwrap();
    condition.wait_for(|now| now.complaint().is_none()).await.unwrap();
    early.rollback().await;
    relay.stop(Duration::from_secs(5)).await;
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

#[tokio::test]
async fn what_another_copy_stores_wakes_the_relay_that_publishes() {
    let Some(config) = postgres() else { return };
    let (owner, other) = (copy(&config).await, copy(&config).await);
    let transport = Arc::new(MemoryTransport::new());
    // Nobody looks by itself while this test lasts.
    let start = |publisher: &EventPublisher, name: &str| {
        let config = RelayConfig {
            poll_interval: Duration::from_secs(3_600),
            lease: Duration::from_secs(7_200),
            ..RelayConfig::new("bank", name)
        };
        relay::start(config, publisher.clone(), transport.clone())
    };
    let publishing = start(&owner, "copy-1");
    owner.publish_event(ACCOUNTS, "account-0", envelope(0)).await.unwrap();
    eventually("the first copy has the lease", async || (keys(&transport).len() == 1).then_some(())).await;
    let waiting = start(&other, "copy-2");
    for account_id in 1..=3 {
        other.publish_event(ACCOUNTS, &format!("account-{account_id}"), envelope(account_id)).await.unwrap();
        let expected = 1 + usize::try_from(account_id).unwrap();
        eventually("the owner publishes it", async || (keys(&transport).len() == expected).then_some(())).await;
    }
    // Its connection is cut; it makes another one, and looks once.
    let cut = "select count(pg_terminate_backend(pid)) as cut from pg_stat_activity
               where query like 'listen %' and datname = current_database() and pid <> pg_backend_pid()";
    owner.db().query_one(cut, &[]).await.unwrap();
    other.publish_event(ACCOUNTS, "account-4", envelope(4)).await.unwrap();
    eventually("it hears again", async || (keys(&transport).len() == 5).then_some(())).await;
    waiting.stop(Duration::from_secs(5)).await;
    publishing.stop(Duration::from_secs(5)).await;
}

async fn copy(config: &db::Config) -> EventPublisher {
    let db = Db::open(config).await.unwrap();
    outbox::migrate(&db).await.unwrap();
    EventPublisher::new(db, "bank", Clock::system())
}

fn envelope(account_id: i64) -> Envelope {
    Envelope::of(&opened(account_id)).unwrap()
}

const WRITERS: i64 = 16;
const ROUNDS: usize = 100;
const EVENTS: usize = 16 * ROUNDS * 2;
/// Publishes go on for so many events before the relay's owner is killed and another copy has to take over.
const LIFE: usize = EVENTS / 8;

/// Writes from many units at a time: each stores an event of its writer's own entity and one of an entity that all share.
fn write_all(publisher: &EventPublisher) -> JoinSet<()> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let publisher = publisher.clone();
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let mut work = publisher.begin(Origin::default());
                work.publish(&AccountOpened { owner: round.to_string(), ..opened(writer) }).await.unwrap();
                // Half of them have their position long before they commit.
                if round % 2 == 0 {
                    work.query("select pg_sleep(0.002)::text as slept", &[]).await.unwrap();
                }
                work.publish(&AccountOpened { owner: writer.to_string(), ..opened(99) }).await.unwrap();
                work.commit().await.unwrap();
            }
        });
    }
    writers
}

/// The stored events by key, in the order of their sequence.
async fn stored(publisher: &EventPublisher) -> HashMap<String, Vec<String>> {
    let mut stored: HashMap<String, Vec<(i64, String)>> = HashMap::new();
    for event in outbox::read_after(publisher.db(), 0, i64::MAX, EVENTS * 2).await.unwrap() {
        stored.entry(event.key).or_default().push((event.sequence, event.event_id));
    }
    let in_order = |mut events: Vec<(i64, String)>| {
        events.sort_unstable();
        events.into_iter().map(|(_, id)| id).collect()
    };
    stored.into_iter().map(|(key, events)| (key, in_order(events))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_and_changing_owners_skip_nothing_and_keep_the_order_of_each_key() {
    let Some(config) = postgres() else { return };
    let (writing, copies) = (copy(&config).await, [copy(&config).await, copy(&config).await]);
    let transport = Arc::new(MemoryTransport::new());
    let start = |index: usize| {
        let config = RelayConfig {
            batch_max: 50,
            lease: Duration::from_millis(200),
            poll_interval: Duration::from_millis(20),
            ..RelayConfig::new("bank", &format!("copy-{index}"))
        };
        relay::start(config, copies[index].clone(), transport.clone())
    };
    let mut relays = [0, 1].map(start);
    let mut writers = write_all(&writing);
    for kill in 1..=4 {
        eventually("the relays get on", async || (keys(&transport).len() >= kill * LIFE).then_some(())).await;
        let killed = kill % 2;
        std::mem::replace(&mut relays[killed], start(killed)).abort();
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    let stored = stored(&writing).await;
    assert_eq!(stored.values().map(Vec::len).sum::<usize>(), EVENTS);
    eventually("every event is published, first occurrences in the order of their sequence", async || {
        (first_occurrences(&transport) == stored).then_some(())
    })
    .await;
    for relay in relays {
        relay.stop(Duration::from_secs(5)).await;
    }
}

fn first_occurrences(transport: &MemoryTransport) -> HashMap<String, Vec<String>> {
    let (mut published, mut seen) = (HashMap::<String, Vec<String>>::new(), HashSet::new());
    for record in transport.records(ACCOUNTS) {
        let key = String::from_utf8(record.record.key.clone().unwrap().to_vec()).unwrap();
        let id = record.record.header("ce_id").unwrap().to_owned();
        if seen.insert(id.clone()) {
            published.entry(key).or_default().push(id);
        }
    }
    published
}

/// Reads the store to its end while it is being written, as a relay does.
async fn follow(publisher: &EventPublisher, mut horizon: impl AsyncFnMut(&Db) -> i64) -> usize {
    let mut writers = write_all(publisher);
    let (mut position, mut read) = (0, 0);
    loop {
        let is_over = writers.try_join_next().is_none() && writers.is_empty();
        let reached = horizon(publisher.db()).await;
        let events = outbox::read_after(publisher.db(), position, reached, 50).await.unwrap();
        read += events.len();
        match events.last() {
            Some(last) => position = last.position,
            // Writers of other tests hold the horizon back for a moment.
            None if is_over && position == i64::try_from(EVENTS).unwrap() => return read,
            None => tokio::task::yield_now().await,
        }
    }
}

/// The load above can tell: a reader that goes by what it sees, and not by the horizon, misses events under it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_without_a_horizon_skips_events_under_this_load_and_one_with_it_none() {
    let (Some(sound), Some(broken)) = (publisher().await, publisher().await) else { return };
    let mut horizon = Horizon::default();
    assert_eq!(follow(&sound, async |db| horizon.advance(db).await.unwrap()).await, EVENTS);
    assert!(follow(&broken, async |_| i64::MAX).await < EVENTS, "the load is too light to show what is skipped");
}
