//! Databases to test on, and waiting without sleeping for luck.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use db::{Config, Db, Migration};
use tempfile::TempDir;

/// The table that most tests use.
pub(crate) const TABLES: [Migration; 1] = [Migration {
    version: 1,
    name: "create_employee",
    sql: "create table company (id bigint primary key);
          create table employee (
              id {{identity}},
              email text not null unique,
              age bigint,
              active boolean not null default true,
              rating double precision,
              photo bytea,
              company bigint references company (id),
              unique (company, age)
          )",
}];

/// A database of its own for one test; it goes away with the test.
pub(crate) struct TestDb {
    pub(crate) db: Db,
    pub(crate) config: Config,
    _dir: Option<TempDir>,
}

impl Deref for TestDb {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.db
    }
}

/// An empty SQLite database, with the tables.
pub(crate) async fn sqlite(change: impl FnOnce(&mut Config)) -> TestDb {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(format!("sqlite:{}/test.db", dir.path().display()));
    change(&mut config);
    let db = Db::open(&config).await.unwrap();
    db.migrate("test", &TABLES).await.unwrap();
    TestDb { db, config, _dir: Some(dir) }
}

/// An empty PostgreSQL schema, with the tables; nothing where no server is given, which is said.
pub(crate) async fn postgres(change: impl FnOnce(&mut Config)) -> Option<TestDb> {
    let mut config = Config::new(postgres_url()?);
    config.schema = Some(schema());
    change(&mut config);
    let db = Db::open(&config).await.unwrap();
    db.migrate("test", &TABLES).await.unwrap();
    Some(TestDb { db, config, _dir: None })
}

/// Both databases, as far as they are there.
pub(crate) async fn both(change: impl Fn(&mut Config)) -> Vec<TestDb> {
    let mut all = vec![sqlite(&change).await];
    all.extend(postgres(&change).await);
    all
}

/// A schema name that no other test and no other run uses.
pub(crate) fn schema() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let started = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("t{}_{}_{}", std::process::id(), started % 1_000_000_000, LAST.fetch_add(1, Ordering::Relaxed))
}

/// What a test process told the other one that it started.
#[allow(clippy::disallowed_methods, reason = "the one place where these tests read the environment")]
pub(crate) fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The one place where the environment is read.
#[allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a test that does not run says so")]
pub(crate) fn postgres_url() -> Option<String> {
    let url = std::env::var("TECHLEET_TEST_POSTGRES_URL").ok();
    if url.is_none() {
        assert!(std::env::var("REQUIRE_INFRA").is_err(), "TECHLEET_TEST_POSTGRES_URL must name a PostgreSQL server");
        eprintln!("no TECHLEET_TEST_POSTGRES_URL: the PostgreSQL half of this test is left out");
    }
    url
}

/// Waits until something has become true, and fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut looks = tokio::time::interval(Duration::from_millis(2));
        while !holds().await {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "in vain waited until {what}");
}

/// How many employees there are, as everybody sees them.
pub(crate) async fn count(db: &Db) -> i64 {
    db.query_one("select count(*) as n from employee", &[]).await.unwrap().get("n").unwrap()
}

/// An SQL statement that never ends by itself, in both databases.
pub(crate) const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n where i > 0) \
     select count(*) as n from n where i < 0";
