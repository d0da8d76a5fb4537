//! A database, a transport and an event to play with.

use std::sync::Arc;

use db::{Config, Db, Migration, params};
use eventkit::relay::{self, RelayConfig, RelayHandle};
use eventkit::transport::memory::MemoryTransport;
use eventkit::{Clock, Event, EventPublisher, Origin};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::support::postgres;

pub(crate) const ACCOUNTS: &str = "accounts";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[serde(rename_all = "camelCase")]
#[event(type = "account.opened", topic = ACCOUNTS, key = "account-{account_id}")]
pub(crate) struct AccountOpened {
    pub(crate) account_id: i64,
    pub(crate) owner: String,
}

pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) publisher: EventPublisher,
    pub(crate) transport: Arc<MemoryTransport>,
    folder: TempDir,
}

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "accounts",
    sql: "create table accounts (account_id bigint primary key, effects bigint not null);
          create table history (position {{identity}}, account_id bigint not null, owner text not null);
          create table owners (account_id bigint primary key, owner text not null);
          create table books (account_id bigint primary key, owner text not null, story text not null);",
}];

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with_clock(Clock::system()).await
    }

    /// One on SQLite, and one on PostgreSQL where there is a server.
    pub(crate) async fn all() -> Vec<Self> {
        let mut fixtures = vec![Self::new().await];
        if let Some(config) = postgres() {
            fixtures.push(Self::over(config, tempfile::tempdir().unwrap(), Clock::system()).await);
        }
        fixtures
    }

    /// As [`Fixture::all`], each with a clock that stands at `start`.
    pub(crate) async fn all_with_clock(start: Timestamp) -> Vec<(Self, Clock)> {
        let clock = Clock::manual(start);
        let mut fixtures = vec![(Self::with_clock(clock.clone()).await, clock)];
        if let Some(config) = postgres() {
            let clock = Clock::manual(start);
            fixtures.push((Self::over(config, tempfile::tempdir().unwrap(), clock.clone()).await, clock));
        }
        fixtures
    }

    pub(crate) async fn with_clock(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { busy_timeout_ms: 20, ..Config::new(Self::url(&folder)) };
        Self::over(config, folder, clock).await
    }

    async fn over(config: Config, folder: TempDir, clock: Clock) -> Self {
        let db = Db::open(&config).await.unwrap();
        eventkit::outbox::migrate(&db).await.unwrap();
        db.migrate("fixture", MIGRATIONS).await.unwrap();
        let publisher = EventPublisher::new(db.clone(), "bank", clock);
        Self { db, publisher, transport: Arc::new(MemoryTransport::new()), folder }
    }

    /// The same file, opened as another process would.
    pub(crate) async fn open_again(&self) -> Db {
        Db::open(&Config::new(Self::url(&self.folder))).await.unwrap()
    }

    fn url(folder: &TempDir) -> String {
        format!("sqlite:{}", folder.path().join("test.db").display())
    }

    pub(crate) fn start_relay(&self) -> RelayHandle {
        relay::start(RelayConfig::new("bank", "copy-1"), self.publisher.clone(), self.transport.clone())
    }

    /// Opens an account: its row and its event.
    pub(crate) async fn open(&self, account_id: i64) -> String {
        let mut work = self.publisher.begin(Origin::default());
        work.execute("insert into accounts (account_id, effects) values ($1, 0)", &params![account_id]).await.unwrap();
        let event_id = work.publish(&opened(account_id)).await.unwrap();
        work.commit().await.unwrap();
        event_id
    }

    /// How often the account's event has had its effect.
    pub(crate) async fn effects(&self, account_id: i64) -> i64 {
        let sql = "select effects from accounts where account_id = $1";
        self.db.query_one(sql, &params![account_id]).await.unwrap().get("effects").unwrap()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let row = self.db.query_one(&format!("select count(*) as n from {table}"), &[]).await.unwrap();
        row.get("n").unwrap()
    }
}

pub(crate) fn opened(account_id: i64) -> AccountOpened {
    AccountOpened { account_id, owner: format!("owner {account_id}") }
}
