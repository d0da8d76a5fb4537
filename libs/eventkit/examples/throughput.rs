//! How fast a relay works off a backlog, and how fast a consumer handles events with inbox row and effect:
//! `throughput [EVENTS] [DATABASE_URL]`, over topics in memory, so that eventkit and the database alone are measured.
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use db::{Db, Migration, params};
use eventkit::relay::{self, RelayConfig};
use eventkit::transport::memory::MemoryTransport;
use eventkit::{
    Clock, Consumer, Event, EventPublisher, Handle, HandleBatch, HandlerResult, Origin, Received, UnitOfWork,
};
use serde::{Deserialize, Serialize};

const EVENTS: i64 = 50_000;
const KEYS: i64 = 1_000;
const EVENTS_PER_UNIT: i64 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "account.opened", topic = "accounts", key = "account-{account_id}")]
struct AccountOpened {
    account_id: i64,
    owner: String,
}

const TABLES: &[Migration] = &[Migration {
    version: 1,
    name: "accounts",
    sql: "create table accounts (account_id bigint primary key, effects bigint not null)",
}];

struct Count;

const ADD: &str = "insert into accounts (account_id, effects) values ($1, $2)
                   on conflict (account_id) do update set effects = accounts.effects + excluded.effects";

impl Handle<AccountOpened> for Count {
    async fn handle(&self, received: &Received<AccountOpened>, work: &mut UnitOfWork) -> HandlerResult {
        work.execute(ADD, &params![received.event.account_id, 1_i64]).await?;
        Ok(())
    }
}

impl HandleBatch<AccountOpened> for Count {
    async fn handle_batch(&self, events: &[Received<AccountOpened>], work: &mut UnitOfWork) -> HandlerResult {
        let mut effects = std::collections::BTreeMap::new();
        for received in events {
            *effects.entry(received.event.account_id).or_insert(0_i64) += 1;
        }
        for (account_id, count) in effects {
            work.execute(ADD, &params![account_id, count]).await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let events: i64 = arguments.next().map_or(Ok(EVENTS), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let url = arguments.next().unwrap_or_else(|| format!("sqlite:{}", folder.path().join("bench.db").display()));
    let schema = url.starts_with("postgres").then(|| format!("throughput_{}", std::process::id()));
    let db = Db::open(&db::Config { schema, ..db::Config::new(url) }).await?;
    eventkit::outbox::migrate(&db).await?;
    db.migrate("throughput", TABLES).await?;
    let publisher = EventPublisher::new(db.clone(), "bench", Clock::system());
    let transport = Arc::new(MemoryTransport::new());

    let started = Instant::now();
    for first in (0..events).step_by(usize::try_from(EVENTS_PER_UNIT)?) {
        let mut work = publisher.begin(Origin::default());
        for number in first..(first + EVENTS_PER_UNIT).min(events) {
            work.publish(&AccountOpened { account_id: number % KEYS, owner: format!("owner {number}") }).await?;
        }
        work.commit().await?;
    }
    tell("store, 500 a unit", events, started);

    let started = Instant::now();
    let relay = relay::start(RelayConfig::new("bench", "bench"), publisher.clone(), transport.clone());
    while i64::try_from(transport.total())? < events {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tell("relay", events, started);
    relay.stop(Duration::from_secs(5)).await;

    let consumers = [
        ("alone", 5_000.min(events), Consumer::new("alone").on::<AccountOpened>(Count)),
        ("shared", events, Consumer::new("shared").on::<AccountOpened>(Count).share_units().batch_max(256)),
        ("batch", events, Consumer::new("batch").on_batch::<AccountOpened>(Count).batch_max(256)),
    ];
    for (group, events, consumer) in consumers {
        let started = Instant::now();
        let running = consumer.start(publisher.clone(), transport.clone());
        let sql = "select count(*) as n from inbox where group_name = $1";
        while db.query_one(sql, &params![group]).await?.get::<i64>("n")? < events {
            tokio::time::sleep(LOOK_EVERY * 10).await;
        }
        tell(&format!("consume {group}"), events, started);
        running.stop().await;
    }
    db.close().await;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "events of a benchmark fit a float's 52 bits")]
fn tell(what: &str, events: i64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what:<24} {events:>8} events  {:>9.0} events/s", events as f64 / seconds);
}
