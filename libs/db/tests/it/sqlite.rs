//! What SQLite's shared writer adds: batches, neighbours that are not touched, full disks, other processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use db::{Config, Db, Error, Result, Tx, params};
use tokio::task::JoinHandle;

use crate::support::{TestDb, count, eventually, sqlite};

const INSERT: &str = "insert into employee (email) values ($1)";

/// Begins a unit that keeps the writer, so that others line up behind it.
async fn hold(db: &Db) -> Tx {
    let mut tx = db.begin().await.unwrap();
    tx.execute(INSERT, &params!["holder"]).await.unwrap();
    tx
}

/// Lines up a unit that inserts one employee, and waits until it stands in the queue.
async fn line_up(db: &TestDb, email: &'static str) -> JoinHandle<Result<u64>> {
    let place = db.stats().units_waiting + 1;
    let unit = tokio::spawn({
        let db = db.db.clone();
        async move { db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params![email]).await).await }
    });
    eventually("the unit waits", async || db.stats().units_waiting == place).await;
    unit
}

#[tokio::test]
async fn one_commit_makes_all_waiting_units_durable() {
    let db = sqlite(|_| ()).await;
    let before = db.stats();
    let holder = hold(&db).await;
    let mut units = Vec::new();
    for number in 0..64 {
        let email: &'static str = format!("{number}").leak();
        units.push(line_up(&db, email).await);
    }
    holder.commit().await.unwrap();
    for unit in units {
        unit.await.unwrap().unwrap();
    }
    let after = db.stats();
    assert_eq!(after.units_committed - before.units_committed, 65);
    assert_eq!(after.commits - before.commits, 1);
    assert_eq!(count(&db).await, 65);
}

#[tokio::test]
async fn a_full_batch_is_committed_at_once() {
    let db = sqlite(|config| config.batch_units_max = 10).await;
    let holder = hold(&db).await;
    let mut units = Vec::new();
    for number in 0..64 {
        let email: &'static str = format!("{number}").leak();
        units.push(line_up(&db, email).await);
    }
    holder.commit().await.unwrap();
    for unit in units {
        unit.await.unwrap().unwrap();
    }
    assert_eq!(db.stats().units_committed, 65);
    assert_eq!(db.stats().commits, 7);
    assert_eq!(count(&db).await, 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_units_share_commits_and_none_is_lost() {
    let db = sqlite(|_| ()).await;
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let db = db.db.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params![format!("{task}-{number}")]).await)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = db.stats();
    assert_eq!(stats.units_committed, 64 * 20);
    assert_eq!(count(&db).await, 64 * 20);
    assert!(stats.commits * 4 < stats.units_committed, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_hanging_cancelled_and_panicking_units_do_not_touch_their_batch() {
    let db = sqlite(|config| config.unit_timeout_ms = 1_000).await;
    let holder = hold(&db).await;
    let first = line_up(&db, "first").await;
    let twice = line_up(&db, "first").await;

    let hanging = tokio::spawn({
        let db = db.db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            tx.execute(INSERT, &params!["hanging"]).await.unwrap();
            std::future::pending::<()>().await;
        }
    });
    eventually("it waits", async || db.stats().units_waiting == 3).await;
    let panicking = tokio::spawn({
        let db = db.db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            tx.execute(INSERT, &params!["panicking"]).await.unwrap();
            panic!("on purpose");
        }
    });
    eventually("it waits", async || db.stats().units_waiting == 4).await;
    let inside = Arc::new(AtomicU32::new(0));
    let cancelled = tokio::spawn({
        let (db, inside) = (db.db.clone(), Arc::clone(&inside));
        async move {
            let mut tx = db.begin().await.unwrap();
            tx.execute(INSERT, &params!["cancelled"]).await.unwrap();
            inside.store(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    });
    eventually("it waits", async || db.stats().units_waiting == 5).await;
    let last = line_up(&db, "last").await;

    holder.commit_later().await;
    eventually("the unit is at work", async || inside.load(Ordering::SeqCst) == 1).await;
    cancelled.abort();
    first.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert!(twice.await.unwrap().unwrap_err().violates("employee", "email"));
    assert!(panicking.await.unwrap_err().is_panic());
    hanging.abort();

    let stats = db.stats();
    assert_eq!((stats.commits, stats.units_committed), (1, 3), "{stats:?}");
    assert_eq!((stats.units_timed_out, stats.units_rolled_back), (1, 3), "{stats:?}");
    assert_eq!(emails(&db).await, ["holder", "first", "last"]);
}

/// Releases without waiting, so that the test can go on beside it.
trait CommitLater {
    async fn commit_later(self);
}

impl CommitLater for Tx {
    async fn commit_later(self) {
        drop(self.release());
    }
}

#[tokio::test]
async fn no_unit_can_put_a_check_off_to_the_commit_that_others_share() {
    let db = sqlite(|_| ()).await;
    let mut tx = db.begin().await.unwrap();
    let refused = tx.execute("pragma defer_foreign_keys = on", &[]).await.unwrap_err();
    assert!(matches!(refused, Error::TransactionControl { .. }), "{refused:?}");
    let sql = "insert into employee (email, company) values ($1, $2)";
    let refused = tx.execute(sql, &params!["orphan", 99]).await.unwrap_err();
    assert!(matches!(refused, Error::ForeignKeyViolation), "{refused:?}");
    tx.rollback().await;
    assert_eq!(count(&db).await, 0);
}

async fn line_up_free(db: &Db, email: &str) -> Result<u64> {
    db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params![email]).await).await
}

#[tokio::test]
async fn a_unit_that_finds_the_disk_full_fails_alone() {
    let db = sqlite(|config| config.file_pages_max = 60).await;
    let mut first = hold(&db).await;
    let ran = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&ran);
    first.on_commit(move || {
        seen.fetch_add(1, Ordering::SeqCst);
    });
    let second = line_up(&db, "second").await;
    let big = tokio::spawn({
        let db = db.db.clone();
        async move {
            db.unit(async |tx: &mut Tx| {
                let sql = "insert into employee (email, photo) values ($1, $2)";
                tx.execute(sql, &params!["big", vec![7_u8; 1_000_000]]).await
            })
            .await
        }
    });
    eventually("it waits", async || db.stats().units_waiting == 2).await;
    let after = line_up(&db, "after").await;

    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    let big = big.await.unwrap().unwrap_err();
    assert!(matches!(big, Error::Unavailable { .. }), "{big:?}");
    after.await.unwrap().unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    assert_eq!(emails(&db).await, ["holder", "second", "after"]);
    let stats = db.stats();
    assert_eq!((stats.units_rolled_back, stats.units_committed), (1, 3), "{stats:?}");
}

/// Everybody's, in the order in which they came.
async fn emails(db: &Db) -> Vec<String> {
    let rows = db.query("select email from employee order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get("email").unwrap()).collect()
}

/// Lines up a unit that writes without end.
async fn line_up_endless(db: &TestDb) -> JoinHandle<Result<u64>> {
    let place = db.stats().units_waiting + 1;
    let unit = tokio::spawn({
        let db = db.db.clone();
        async move {
            db.unit(async |tx: &mut Tx| {
                let sql = "insert into company (id) with recursive n(i) as \
                     (select 1 union all select i + 1 from n) select i from n";
                tx.execute(sql, &[]).await
            })
            .await
        }
    });
    eventually("it waits", async || db.stats().units_waiting == place).await;
    unit
}

#[tokio::test]
async fn an_endless_write_is_interrupted_and_its_neighbours_are_kept() {
    let db = sqlite(|config| config.statement_timeout_ms = 100).await;
    let mut first = hold(&db).await;
    let sql = "insert into employee (email) values ('second') returning id";
    let id: i64 = first.query_one(sql, &[]).await.unwrap().get("id").unwrap();
    let sql = "update employee set age = $1 where id = $2";
    first.execute(sql, &params![7, id]).await.unwrap();
    let before = line_up(&db, "before").await;
    let endless = [line_up_endless(&db).await, line_up_endless(&db).await];
    let after = line_up(&db, "after").await;
    first.commit().await.unwrap();
    for neighbour in [before, after] {
        neighbour.await.unwrap().unwrap();
    }
    for unit in endless {
        let error = unit.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::StatementTimedOut { .. }), "{error:?}");
    }
    assert_eq!(emails(&db).await, ["holder", "second", "before", "after"]);
    let row = db.query_one("select age from employee where id = $1", &params![id]).await.unwrap();
    assert_eq!(row.get::<i64>("age").unwrap(), 7);
    let companies = db.query_one("select count(*) as n from company", &[]).await.unwrap();
    assert_eq!(companies.get::<i64>("n").unwrap(), 0);
    let stats = db.stats();
    assert_eq!((stats.commits, stats.units_committed, stats.units_failed), (1, 3, 0), "{stats:?}");
}

#[tokio::test]
async fn what_cannot_be_done_again_alike_is_told_and_not_kept() {
    let db = sqlite(|config| config.statement_timeout_ms = 100).await;
    let mut first = hold(&db).await;
    let sql = "insert into employee (email) values (random()) returning email";
    first.query(sql, &[]).await.unwrap();
    let neighbour = line_up(&db, "neighbour").await;
    let endless = line_up_endless(&db).await;
    let after = line_up(&db, "after").await;
    let first = first.commit().await.unwrap_err();
    assert!(matches!(first, Error::BatchLost { .. }) && first.is_transient(), "{first:?}");
    let neighbour = neighbour.await.unwrap().unwrap_err();
    assert!(matches!(neighbour, Error::BatchLost { .. }), "{neighbour:?}");
    assert!(endless.await.unwrap().is_err());
    after.await.unwrap().unwrap();
    assert_eq!(emails(&db).await, ["after"]);
    assert_eq!(db.stats().units_failed, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_queries_hold_up_neither_units_nor_the_runtime() {
    let db = sqlite(|config| {
        config.statement_timeout_ms = 2_000;
        config.readers_max = 2;
    })
    .await;
    let done = Arc::new(AtomicU64::new(0));
    let scans: Vec<_> = (0..2)
        .map(|_| {
            let (db, done) = (db.db.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let sql = crate::support::ENDLESS;
                let result = db.query(sql, &[]).await;
                done.fetch_add(1, Ordering::SeqCst);
                result
            })
        })
        .collect();
    for number in 0..50 {
        line_up_free(&db, &format!("{number}")).await.unwrap();
    }
    assert_eq!(done.load(Ordering::SeqCst), 0, "the scans still run");
    for scan in scans {
        assert!(matches!(scan.await.unwrap(), Err(Error::StatementTimedOut { .. })));
    }
}

#[tokio::test]
async fn too_many_waiting_queries_are_answered_with_overload() {
    let db = sqlite(|config| {
        config.readers_max = 1;
        config.units_waiting_max = 1;
        config.statement_timeout_ms = 500;
        config.turn_timeout_ms = 100;
    })
    .await;
    let scan = tokio::spawn({
        let db = db.db.clone();
        async move { db.query(crate::support::ENDLESS, &[]).await }
    });
    tokio::task::yield_now().await;
    let (one, two) = tokio::join!(db.query("select 1 as n", &[]), db.query("select 1 as n", &[]));
    assert!(matches!(one, Err(Error::Overloaded)));
    assert!(matches!(two, Err(Error::Overloaded)));
    assert!(scan.await.unwrap().is_err());
    assert_eq!(db.query("select 1 as n", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_locked_by_another_is_waited_for_and_then_reported() {
    let db = sqlite(|config| config.busy_timeout_ms = 100).await;
    let other = Db::open(&Config::new(db.config.url.clone())).await.unwrap();
    let holder = hold(&other).await;
    let refused = line_up_free(&db, "a").await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }) && refused.is_transient());
    holder.rollback().await;
    line_up_free(&db, "a").await.unwrap();

    // an idle neighbour must hold no lock: neither after a commit nor after a rollback
    line_up_free(&other, "b").await.unwrap();
    let rolled_back = hold(&db).await;
    drop(rolled_back);
    line_up_free(&other, "c").await.unwrap();
    assert_eq!(count(&db).await, 3);

    let patient = Config { busy_timeout_ms: 10_000, ..Config::new(db.config.url.clone()) };
    let patient = Db::open(&patient).await.unwrap();
    let holder = hold(&other).await;
    let mut waiting = tokio::spawn(async move { line_up_free(&patient, "d").await });
    let early = tokio::time::timeout(Duration::from_millis(20), &mut waiting).await;
    assert!(early.is_err(), "it did not wait for the file");
    holder.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(count(&db).await, 5);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/no/such/dir/x.db", dir.path().display());
    let error = Db::open(&Config::new(url)).await.unwrap_err();
    assert!(matches!(&error, Error::Open { database, .. } if database.ends_with("x.db")));
}

#[test]
fn units_commits_and_waits_are_told_to_the_metrics_recorder() {
    let recorder = Recorder::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let db = sqlite(|_| ()).await;
            line_up_free(&db, "a").await.unwrap();
            drop(hold(&db).await);
            db.close().await;
        });
    });
    let read = |name: &str| recorder.0.lock().unwrap()[name].load(Ordering::SeqCst);
    assert_eq!(read("db_units_total test committed"), 1);
    assert_eq!(read("db_units_total test rolled_back"), 1);
    assert_eq!(read("db_units_total test timed_out"), 0);
    for name in ["db_commit_seconds test", "db_batch_units test", "db_units_waiting test"] {
        assert!(recorder.0.lock().unwrap().contains_key(name), "{name}");
    }
}

/// Keeps counters by name and labels.
#[derive(Default)]
struct Recorder(std::sync::Mutex<std::collections::HashMap<String, Arc<AtomicU64>>>);

impl Recorder {
    fn cell(&self, key: &metrics::Key) -> Arc<AtomicU64> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            name = format!("{name} {}", label.value());
        }
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        self.cell(key);
        metrics::Histogram::noop()
    }
}

#[test]
fn a_new_file_may_be_opened_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..40 {
        let url = format!("sqlite:{}/new-{round}.db", dir.path().display());
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|threads| {
            let openers: Vec<_> = (0..4)
                .map(|_| {
                    threads.spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                        runtime.block_on(async {
                            let config = Config::new(&url);
                            together.wait();
                            Db::open(&config).await.map(drop)
                        })
                    })
                })
                .collect();
            for opener in openers {
                opener.join().unwrap().unwrap();
            }
        });
    }
}
