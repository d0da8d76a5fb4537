//! How fast a consumer handles events with inbox row and effect, from topics in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use db::params;
use eventkit::relay::{self, RelayConfig};
use eventkit::transport::memory::MemoryTransport;
use eventkit::{Consumer, Handle, HandleBatch, HandlerResult, Received, UnitOfWork};

use super::{AccountOpened, LOOK_EVERY, Lines, SERVICE, Stopwatch, Store};

const STOP_MAX: Duration = Duration::from_secs(5);
/// Events that are handled with a transaction each: more would take long and say the same.
const ALONE_MAX: u32 = 5_000;
/// How many events share a transaction at the most.
pub(crate) const BATCH_MAX: usize = 256;

const ADD: &str = "insert into accounts (account_id, effects) values ($1, $2)
                   on conflict (account_id) do update set effects = accounts.effects + excluded.effects";

/// Counts what happened to each account, and how many events it was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count(Arc<AtomicU32>);

impl Count {
    /// How many events were handled, committed or not.
    pub(crate) fn handled(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Handle<AccountOpened> for Count {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        work.execute(ADD, &params![received.event.account_id, 1_i64]).await?;
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl HandleBatch<AccountOpened> for Count {
    async fn handle_batch(&self, events: &[Received<AccountOpened>], work: &mut UnitOfWork) -> HandlerResult {
        let mut effects = BTreeMap::new();
        for received in events {
            *effects.entry(received.event.account_id).or_insert(0_i64) += 1;
        }
        for (account_id, count) in effects {
            work.execute(ADD, &params![account_id, count]).await?;
        }
        self.0.fetch_add(u32::try_from(events.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        Ok(())
    }
}

/// On each database: a transaction an event, transactions shared by events, and handlers of batches.
pub(crate) async fn measure(events: u32) -> anyhow::Result<Lines> {
    let mut lines = Vec::new();
    for store in Store::both().await? {
        let transport = publish(&store, events).await?;
        let new = |group| (Consumer::new(group), Count::default());
        let ((alone, one), (shared, some), (batch, many)) = (new("alone"), new("shared"), new("batch"));
        let alone = alone.on::<AccountOpened>(one.clone());
        let shared = shared.on::<AccountOpened>(some.clone()).share_units().batch_max(BATCH_MAX);
        let batch = batch.on_batch::<AccountOpened>(many.clone()).batch_max(BATCH_MAX);
        let consumers = [
            ("alone", ALONE_MAX.min(events), alone, one),
            ("shared", events, shared, some),
            ("batch", events, batch, many),
        ];
        for (group, events, consumer, count) in consumers {
            let watch = Stopwatch::begin()?;
            let running = consumer.start(store.publisher.clone(), transport.clone());
            wait_until_handled(&store, group, &count, events).await?;
            lines.push(watch.end(&store, &format!("consume, {group}"), events)?);
            running.stop().await;
        }
        store.publisher.db().close().await;
    }
    Ok(Lines(lines))
}

/// Waits until a group's inbox has so many events; it is only counted when that is likely, since counting costs too.
pub(crate) async fn wait_until_handled(store: &Store, group: &str, count: &Count, events: u32) -> anyhow::Result<()> {
    let sql = "select count(*) as n from inbox where group_name = $1";
    while count.handled() < events
        || store.publisher.db().query_one(sql, &params![group]).await?.get::<i64>("n")? < events.into()
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Topics in memory with this many events.
async fn publish(store: &Store, events: u32) -> anyhow::Result<Arc<MemoryTransport>> {
    store.fill(events).await?;
    let transport = Arc::new(MemoryTransport::new());
    let relay = relay::start(RelayConfig::new(SERVICE, SERVICE), store.publisher.clone(), transport.clone());
    while transport.total() < usize::try_from(events)? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    relay.stop(STOP_MAX).await;
    Ok(transport)
}
