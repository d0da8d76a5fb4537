//! What eventkit costs by itself, in this process: relay, consumers, and the way from a commit to the topic.

pub(crate) mod compare;
pub(crate) mod consume;
pub(crate) mod latency;
pub(crate) mod relay;
pub(crate) mod transport;
pub(crate) mod workers;

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use db::{Db, Migration};
use e2e::infrastructure::{Infrastructure, Metadata};
use eventkit::{Clock, Event, EventPublisher, Origin};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::process;
use crate::report::Rows;

const TOPIC: &str = "accounts";
const SERVICE: &str = "bench";
const KEYS: u32 = 1_000;
const EVENTS_PER_UNIT: u32 = 500;
/// How often is looked whether everything is done.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "account.opened", topic = TOPIC, key = "account-{account_id}")]
struct AccountOpened {
    account_id: i64,
    owner: String,
}

/// What a consumer's effect goes to.
const TABLES: &[Migration] = &[Migration {
    version: 1,
    name: "accounts",
    sql: "create table accounts (account_id bigint primary key, effects bigint not null)",
}];

/// A line of a result.
#[derive(Debug, Serialize)]
struct Line {
    database: &'static str,
    what: String,
    events: u32,
    events_per_second: f64,
    /// Processor time of this process, without that of PostgreSQL.
    cpu_micros_per_event: f64,
}

/// Lines as a table.
#[derive(Debug, Serialize)]
pub(crate) struct Lines(Vec<Line>);

/// An empty database with an outbox.
pub(crate) struct Store {
    name: &'static str,
    url: String,
    publisher: EventPublisher,
    _folder: TempDir,
    _server: Option<Infrastructure>,
}

impl Store {
    async fn sqlite() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite:{}", folder.path().join("bench.db").display());
        Self::open("SQLite", url, folder, None).await
    }

    /// Nothing, and a word of it, where PostgreSQL is missing.
    async fn postgres() -> anyhow::Result<Option<Self>> {
        let server = Infrastructure::new(Metadata::KRaft, Path::new("unused"))?;
        if let Err(why) = server.start_postgres().await {
            writeln!(std::io::stderr(), "left out: PostgreSQL: {why:#}")?;
            return Ok(None);
        }
        let url = server.database_url();
        Self::open("PostgreSQL", url, tempfile::tempdir()?, Some(server)).await.map(Some)
    }

    /// Both, as far as they are there.
    async fn both() -> anyhow::Result<Vec<Self>> {
        Ok([Some(Self::sqlite().await?), Self::postgres().await?].into_iter().flatten().collect())
    }

    async fn open(
        name: &'static str,
        url: String,
        folder: TempDir,
        server: Option<Infrastructure>,
    ) -> anyhow::Result<Self> {
        let db = Db::open(&db::Config::new(url.as_str())).await?;
        eventkit::outbox::migrate(&db).await?;
        db.migrate(SERVICE, TABLES).await?;
        let publisher = EventPublisher::new(db, SERVICE, Clock::system());
        Ok(Self { name, url, publisher, _folder: folder, _server: server })
    }

    /// Stores events under a thousand keys, 500 in a unit of work.
    async fn fill(&self, events: u32) -> anyhow::Result<()> {
        let mut stored = 0;
        while stored < events {
            let mut work = self.publisher.begin(Origin::default());
            for number in stored..(stored + EVENTS_PER_UNIT).min(events) {
                work.publish(&account(number)).await?;
            }
            work.commit().await?;
            stored += EVENTS_PER_UNIT;
        }
        Ok(())
    }
}

fn account(number: u32) -> AccountOpened {
    AccountOpened { account_id: (number % KEYS).into(), owner: format!("owner {number}") }
}

/// What something took, from `begin` to `end`.
struct Stopwatch {
    began: Instant,
    cpu_seconds: f64,
}

impl Stopwatch {
    fn begin() -> anyhow::Result<Self> {
        Ok(Self { began: Instant::now(), cpu_seconds: process::cpu_seconds(std::process::id())? })
    }

    fn end(self, store: &Store, what: &str, events: u32) -> anyhow::Result<Line> {
        let cpu_seconds = process::cpu_seconds(std::process::id())? - self.cpu_seconds;
        Ok(Line {
            database: store.name,
            what: what.to_owned(),
            events,
            events_per_second: f64::from(events) / self.began.elapsed().as_secs_f64(),
            cpu_micros_per_event: cpu_seconds * 1e6 / f64::from(events),
        })
    }
}

impl Rows for Lines {
    fn headings(&self) -> Vec<&'static str> {
        vec!["", "events", "events/s", "CPU µs per event"]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |line: &Line| {
            vec![
                format!("{}: {}", line.database, line.what),
                line.events.to_string(),
                format!("{:.0}", line.events_per_second),
                format!("{:.1}", line.cpu_micros_per_event),
            ]
        };
        self.0.iter().map(row).collect()
    }
}
