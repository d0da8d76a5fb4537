//! The contract that holds on SQLite and on PostgreSQL alike.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use db::{Db, Dialect, Error, Tx, Value, params};

use crate::support::{ENDLESS, both, count, eventually};

const INSERT: &str = "insert into employee (email) values ($1)";

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    for db in both(|_| ()).await {
        let id: i64 = db
            .unit(async |tx: &mut Tx| {
                let sql = "insert into employee (email, age, active, rating, photo) \
                     values ($1, $2, $3, $4, $5) returning id";
                let values = params!["ä@b.c", i64::MAX, false, 1.5, vec![0_u8, 255]];
                tx.query_one(sql, &values).await?.get("id")
            })
            .await
            .unwrap();
        let row = db.query_one("select * from employee where id = $1", &params![id]).await.unwrap();
        assert_eq!(row.get::<String>("email").unwrap(), "ä@b.c");
        assert_eq!(row.get::<i64>("age").unwrap(), i64::MAX);
        assert!(!row.get::<bool>("active").unwrap());
        assert!((row.get::<f64>("rating").unwrap() - 1.5).abs() < f64::EPSILON);
        assert_eq!(row.get::<Vec<u8>>("photo").unwrap(), [0, 255]);
        assert_eq!(row.get::<Option<i64>>("company").unwrap(), None);
        assert!(matches!(row.get::<i64>("email"), Err(Error::Column { found: "text", .. })));
    }
}

#[tokio::test]
async fn nulls_go_in_for_every_type() {
    for db in both(|_| ()).await {
        db.unit(async |tx: &mut Tx| {
            let sql = "insert into employee (email, age, rating, photo) values ($1, $2, $3, $4)";
            tx.execute(sql, &params!["a", Value::Null, None::<f64>, None::<Vec<u8>>]).await
        })
        .await
        .unwrap();
        let row = db.query_one("select * from employee", &[]).await.unwrap();
        assert_eq!(row.get::<Option<f64>>("rating").unwrap(), None);
        assert_eq!(row.get::<Option<Vec<u8>>>("photo").unwrap(), None);
        assert_eq!(row.value("age"), Some(&Value::Null));
    }
}

#[tokio::test]
async fn sums_and_counts_are_integers() {
    for db in both(|_| ()).await {
        for (email, age) in [("a", 20), ("b", -50)] {
            db.unit(async |tx: &mut Tx| {
                let sql = "insert into employee (email, age) values ($1, $2)";
                tx.execute(sql, &params![email, age]).await
            })
            .await
            .unwrap();
        }
        let sql = "select sum(age) as sum, count(*) as n, avg(rating) as mean from employee";
        let row = db.query_one(sql, &[]).await.unwrap();
        assert_eq!(row.get::<i64>("sum").unwrap(), -30);
        assert_eq!(row.get::<i64>("n").unwrap(), 2);
        assert_eq!(row.get::<Option<f64>>("mean").unwrap(), None);
    }
}

#[tokio::test]
async fn execute_counts_changed_rows() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        for email in ["a", "b", "c"] {
            assert_eq!(tx.execute(INSERT, &params![email]).await.unwrap(), 1);
        }
        let update = "update employee set age = $2 where email <> $1";
        assert_eq!(tx.execute(update, &params!["a", None::<i64>]).await.unwrap(), 2);
        assert_eq!(tx.execute("select id from employee", &[]).await.unwrap(), 0);
        let skip = "insert into employee (email) values ($1) on conflict (email) do nothing";
        assert_eq!(tx.execute(skip, &params!["a"]).await.unwrap(), 0);
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn statements_for_later_are_done_in_order_before_the_next_one_and_before_the_commit() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        // More than are kept at a time.
        for age in 0..150 {
            tx.execute_later(INSERT, params![format!("{age}")]).await.unwrap();
            let set = "update employee set age = $2 where email = $1";
            tx.execute_later(set, params![format!("{age}"), age]).await.unwrap();
        }
        let sum = tx.query_one("select sum(age) as sum from employee", &[]).await.unwrap();
        assert_eq!(sum.get::<i64>("sum").unwrap(), (0..150).sum::<i64>());
        tx.execute_later("delete from employee where age > $1", params![0]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn a_statement_for_later_that_fails_takes_the_whole_unit_with_it() {
    // One that the server refuses, and one that cannot even be sent.
    for (sql, value) in [(INSERT, Value::from("a")), ("update employee set age = $1", Value::from("no number"))] {
        for db in both(|_| ()).await {
            if db.dialect() == Dialect::Sqlite && sql != INSERT {
                continue; // SQLite takes any value for any type
            }
            for is_last in [true, false] {
                let mut tx = db.begin().await.unwrap();
                tx.execute_later(INSERT, params!["a"]).await.unwrap();
                let mut failed = tx.execute_later(sql, [value.clone()]).await.is_err();
                if !is_last {
                    failed |= tx.execute(INSERT, &params!["b"]).await.is_err();
                    assert!(failed);
                }
                let committed = tx.commit().await;
                assert!(committed.is_err(), "{sql}");
                if sql == INSERT && is_last && !failed {
                    assert!(committed.unwrap_err().violates("employee", "email"));
                }
                assert_eq!(count(&db).await, 0);
                // The connection, or another in its place, goes on.
                db.unit(async |tx: &mut Tx| tx.execute("select 1", &[]).await).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn statements_for_later_are_forgotten_with_their_unit() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        tx.execute_later(INSERT, params!["a"]).await.unwrap();
        tx.rollback().await;
        let mut tx = db.begin().await.unwrap();
        tx.execute_later(INSERT, params!["b"]).await.unwrap();
        drop(tx);
        db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params!["c"]).await).await.unwrap();
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn a_unit_sees_its_own_changes_and_others_only_after_its_commit() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        let own = tx.query("select id from employee", &[]).await.unwrap();
        assert_eq!(own.len(), 1);
        assert_eq!(count(&db).await, 0);
        tx.commit().await.unwrap();
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn an_error_undoes_the_whole_unit() {
    #[derive(Debug)]
    enum Own {
        No,
        Db,
    }
    impl From<Error> for Own {
        fn from(_: Error) -> Self {
            Self::Db
        }
    }
    for db in both(|_| ()).await {
        let refused: Result<(), Own> = db
            .unit(async |tx: &mut Tx| {
                tx.execute(INSERT, &params!["a"]).await?;
                Err(Own::No)
            })
            .await;
        assert!(matches!(refused, Err(Own::No)));
        let broken: Result<u64, Own> =
            db.unit(async |tx: &mut Tx| Ok(tx.execute("insert into nowhere values (1)", &[]).await?)).await;
        assert!(matches!(broken, Err(Own::Db)));
        assert_eq!(count(&db).await, 0);
        assert_eq!(db.stats().units_committed, 0);
        assert_eq!(db.stats().units_rolled_back, 2);
    }
}

#[tokio::test]
async fn unique_violations_name_table_and_column() {
    for db in both(|_| ()).await {
        let twice = db
            .unit(async |tx: &mut Tx| {
                tx.execute(INSERT, &params!["a"]).await?;
                tx.execute(INSERT, &params!["a"]).await
            })
            .await
            .unwrap_err();
        assert!(twice.violates("employee", "email"), "{twice:?}");
        assert!(!twice.violates("employee", "age"));
        assert!(!twice.is_transient());
        assert!(!format!("{twice:?}").contains("(a)"), "no values in errors");

        let twice = db
            .unit(async |tx: &mut Tx| {
                tx.execute("insert into company (id) values (7)", &[]).await?;
                let sql = "insert into employee (email, company, age) values ($1, 7, 30)";
                tx.execute(sql, &params!["b"]).await?;
                tx.execute(sql, &params!["c"]).await
            })
            .await
            .unwrap_err();
        assert!(twice.violates("employee", "company") && twice.violates("employee", "age"));
        assert!(!twice.violates("employee", "email"));

        let twice = db
            .unit(async |tx: &mut Tx| {
                tx.execute("insert into company (id) values (8)", &[]).await?;
                tx.execute("insert into company (id) values (8)", &[]).await
            })
            .await
            .unwrap_err();
        assert!(twice.violates("company", "id"), "{twice:?}");
    }
}

#[tokio::test]
async fn foreign_keys_are_kept() {
    for db in both(|_| ()).await {
        let orphan = db
            .unit(async |tx: &mut Tx| {
                let sql = "insert into employee (email, company) values ($1, $2)";
                tx.execute(sql, &params!["a", 99]).await
            })
            .await;
        assert!(matches!(orphan, Err(Error::ForeignKeyViolation)));
    }
}

#[tokio::test]
async fn after_a_failed_statement_a_unit_can_only_be_rolled_back() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        assert!(tx.execute(INSERT, &params!["a"]).await.is_err());
        assert!(matches!(tx.execute(INSERT, &params!["b"]).await, Err(Error::UnitBroken)));
        assert!(matches!(tx.commit().await, Err(Error::UnitBroken)));
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn a_swallowed_failure_is_not_committed() {
    for db in both(|_| ()).await {
        let result: Result<(), Error> = db
            .unit(async |tx: &mut Tx| {
                tx.execute(INSERT, &params!["a"]).await?;
                let _ = tx.execute("insert into nowhere values (1)", &[]).await;
                Ok(())
            })
            .await;
        assert!(matches!(result, Err(Error::UnitBroken)));
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn wrong_numbers_of_parameters_and_rows_are_told() {
    for db in both(|config| config.rows_max = 3).await {
        assert!(matches!(
            db.query("select id from employee where email = $1", &[]).await,
            Err(Error::Parameters { expected: 1, given: 0, .. })
        ));
        let none = db.query_one("select id from employee", &[]).await;
        assert!(matches!(none, Err(Error::NoRow { .. })));
        assert!(db.query_opt("select id from employee", &[]).await.unwrap().is_none());
        let three = "select 1 as n union all select 2 union all select 3";
        assert_eq!(db.query(three, &[]).await.unwrap().len(), 3);
        let four = "select 1 as n union all select 2 union all select 3 union all select 4";
        assert!(matches!(db.query(four, &[]).await, Err(Error::TooManyRows { rows_max: 3, .. })));
        assert!(matches!(db.query_opt(three, &[]).await, Err(Error::TooManyRows { rows_max: 1, .. })));
        assert_eq!(db.query(three, &[]).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn statements_cannot_end_the_transaction_under_the_unit() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        for sql in ["commit", "ROLLBACK", " /* x */ release unit", "begin"] {
            assert!(matches!(tx.execute(sql, &[]).await, Err(Error::TransactionControl { .. })));
        }
        // a refused word reaches no database, so the unit is still whole
        tx.commit().await.unwrap();
        assert_eq!(count(&db).await, 1);
        assert!(db.query("begin", &[]).await.is_err());
    }
}

#[tokio::test]
async fn two_statements_in_one_text_are_refused() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        let two = "insert into company (id) values (1); insert into company (id) values (2)";
        assert!(matches!(tx.execute(two, &[]).await, Err(Error::Statement { .. })));
    }
}

#[tokio::test]
async fn queries_outside_units_cannot_write() {
    for db in both(|_| ()).await {
        let sql = "insert into employee (email) values ($1) returning id";
        assert!(matches!(db.query(sql, &params!["a"]).await, Err(Error::Statement { .. } | Error::Unavailable { .. })));
        assert_eq!(count(&db).await, 0);
    }
}

#[tokio::test]
async fn hooks_run_after_the_commit_and_never_after_a_rollback() {
    for db in both(|_| ()).await {
        let ran = Arc::new(AtomicU32::new(0));
        let hook = |add: u32| {
            let ran = Arc::clone(&ran);
            move || {
                ran.fetch_add(add, Ordering::SeqCst);
            }
        };
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        tx.on_commit(hook(1));
        tx.on_commit(hook(10));
        assert_eq!(ran.load(Ordering::SeqCst), 0);
        tx.commit().await.unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 11);

        let mut tx = db.begin().await.unwrap();
        tx.on_commit(hook(100));
        tx.rollback().await;
        let mut tx = db.begin().await.unwrap();
        tx.on_commit(hook(100));
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        tx.on_commit(hook(100));
        let _ = tx.execute("insert into nowhere values (1)", &[]).await;
        assert!(tx.commit().await.is_err());
        db.close().await;
        assert_eq!(ran.load(Ordering::SeqCst), 11);
    }
}

#[tokio::test]
async fn a_hook_that_panics_harms_nobody() {
    for db in both(|_| ()).await {
        let ran = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&ran);
        let mut tx = db.begin().await.unwrap();
        tx.on_commit(|| panic!("on purpose"));
        tx.on_commit(move || {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        tx.commit().await.unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 1);
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_hook_sees_the_unit_already_durable() {
    for db in both(|_| ()).await {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        let (runtime, reader) = (tokio::runtime::Handle::current(), db.db.clone());
        tx.on_commit(move || {
            runtime.spawn(async move { sender.send(count(&reader).await) });
        });
        let commit = tx.release();
        assert_eq!(receiver.await.unwrap(), 1);
        commit.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_unit_is_undone_and_others_go_on() {
    for db in both(|_| ()).await {
        let inside = db.db.clone();
        let panicked = tokio::spawn(async move {
            inside
                .unit(async |tx: &mut Tx| -> Result<(), Error> {
                    tx.execute(INSERT, &params!["a"]).await?;
                    panic!("on purpose")
                })
                .await
        });
        assert!(panicked.await.unwrap_err().is_panic());
        db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params!["b"]).await).await.unwrap();
        assert_eq!(emails(&db).await, ["b"]);
    }
}

#[tokio::test]
async fn a_dropped_unit_is_undone_and_leaves_no_open_transaction() {
    for db in both(|config| config.connections_max = 1).await {
        for _ in 0..3 {
            let mut tx = db.begin().await.unwrap();
            tx.execute(INSERT, &params!["a"]).await.unwrap();
            drop(tx);
        }
        // with one connection, an open transaction on it would make `begin` part of the old one
        let mut tx = db.begin().await.unwrap();
        assert!(tx.query("select id from employee", &[]).await.unwrap().is_empty());
        tx.execute(INSERT, &params!["b"]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(emails(&db).await, ["b"]);
    }
}

#[tokio::test]
async fn a_hanging_unit_is_undone_from_outside() {
    for db in both(|config| {
        config.unit_timeout_ms = 200;
        config.connections_max = 1;
    })
    .await
    {
        let mut hanging = db.begin().await.unwrap();
        hanging.execute(INSERT, &params!["a"]).await.unwrap();
        // on SQLite, and here on the one connection, it can only begin once the other is gone
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["b"]).await.unwrap();
        tx.commit().await.unwrap();
        for _ in 0..2 {
            assert!(matches!(hanging.execute(INSERT, &params!["c"]).await, Err(Error::UnitTimedOut)));
        }
        assert!(matches!(hanging.commit().await, Err(Error::UnitTimedOut)));
        assert_eq!(emails(&db).await, ["b"]);
        assert_eq!(db.stats().units_timed_out, 1);
        let mut silent = db.begin().await.unwrap();
        silent.execute(INSERT, &params!["d"]).await.unwrap();
        eventually("the unit has timed out", async || db.stats().units_timed_out == 2).await;
        assert!(matches!(silent.commit().await, Err(Error::UnitTimedOut)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_statements_come_to_an_end() {
    for db in both(|config| {
        config.statement_timeout_ms = 200;
        config.unit_timeout_ms = 1_000;
    })
    .await
    {
        assert!(matches!(db.query(ENDLESS, &[]).await, Err(Error::StatementTimedOut { .. })));
        let mut tx = db.begin().await.unwrap();
        let ended = tx.query(ENDLESS, &[]).await.unwrap_err();
        assert!(matches!(ended, Error::StatementTimedOut { .. }), "{ended:?}");
        assert!(ended.is_transient());
        drop(tx);
        db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params!["a"]).await).await.unwrap();
        assert_eq!(count(&db).await, 1);
    }
}

#[tokio::test]
async fn a_statement_abandoned_half_way_spoils_its_unit() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        let abandoned = tokio::time::timeout(Duration::ZERO, async { tx.execute(INSERT, &params!["a"]).await }).await;
        match (db.dialect(), abandoned) {
            // runs in place, so there is no half-way
            (Dialect::Sqlite, done) => {
                done.unwrap().unwrap();
                tx.commit().await.unwrap();
            }
            (Dialect::Postgres, abandoned) => {
                assert!(abandoned.is_err());
                assert!(matches!(tx.commit().await, Err(Error::UnitBroken)));
                assert_eq!(count(&db).await, 0);
            }
        }
    }
}

#[tokio::test]
async fn overload_is_answered() {
    for db in both(|config| {
        config.units_waiting_max = 2;
        config.connections_max = 1;
    })
    .await
    {
        let holder = db.begin().await.unwrap();
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let db = db.db.clone();
                tokio::spawn(async move { db.begin().await.map(drop) })
            })
            .collect();
        eventually("two units wait", async || db.stats().units_waiting == 2).await;
        assert!(matches!(db.begin().await, Err(Error::Overloaded)));
        drop(holder);
        for unit in waiting {
            unit.await.unwrap().unwrap();
        }
        drop(db.begin().await.unwrap());
        assert_eq!(db.stats().units_waiting, 0);
    }
}

#[tokio::test]
async fn waiting_for_a_turn_has_an_end() {
    for db in both(|config| {
        config.turn_timeout_ms = 50;
        config.connections_max = 1;
    })
    .await
    {
        let holder = db.begin().await.unwrap();
        assert!(matches!(db.begin().await, Err(Error::Overloaded)));
        drop(holder);
        drop(db.begin().await.unwrap());
    }
}

#[tokio::test]
async fn a_waiting_unit_that_is_cancelled_blocks_nobody() {
    for db in both(|config| config.connections_max = 1).await {
        let holder = db.begin().await.unwrap();
        let cancelled = tokio::spawn({
            let db = db.db.clone();
            async move { db.begin().await.map(drop) }
        });
        let patient = tokio::spawn({
            let db = db.db.clone();
            async move { db.begin().await.map(drop) }
        });
        eventually("both wait", async || db.stats().units_waiting == 2).await;
        cancelled.abort();
        assert!(cancelled.await.unwrap_err().is_cancelled());
        drop(holder);
        patient.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn units_begin_in_the_order_in_which_they_asked() {
    for db in both(|config| config.connections_max = 1).await {
        let holder = db.begin().await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut units = Vec::new();
        for number in 0..20 {
            let (inside, order) = (db.db.clone(), Arc::clone(&order));
            units.push(tokio::spawn(async move {
                inside
                    .unit(async |_: &mut Tx| {
                        order.lock().unwrap().push(number);
                        Ok::<_, Error>(())
                    })
                    .await
            }));
            eventually("it waits", async || db.stats().units_waiting == number + 1).await;
        }
        drop(holder);
        for unit in units {
            unit.await.unwrap().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn released_units_are_pipelined_and_become_durable() {
    for db in both(|_| ()).await {
        let mut commits = Vec::new();
        for number in 0..10 {
            let mut tx = db.begin().await.unwrap();
            tx.execute(INSERT, &params![format!("{number}")]).await.unwrap();
            commits.push(tx.release());
        }
        // the first one's answer is not waited for, and it is committed all the same
        drop(commits.remove(0));
        for commit in commits {
            commit.await.unwrap();
        }
        eventually("all are there", async || count(&db).await == 10).await;
    }
}

#[tokio::test]
async fn close_commits_what_is_pending_and_refuses_the_rest() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        let commit = tx.release();
        db.close().await;
        db.close().await;
        commit.await.unwrap();
        assert!(matches!(db.begin().await, Err(Error::Closed)));
        assert!(matches!(db.query("select 1 as n", &[]).await, Err(Error::Closed)));
        assert!(matches!(db.migrate("more", &[]).await, Err(Error::Closed)));
        let again = Db::open(&db.config).await.unwrap();
        assert_eq!(emails(&again).await, ["a"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_waits_for_units_that_are_at_work() {
    for db in both(|config| config.turn_timeout_ms = 20).await {
        let mut tx = db.begin().await.unwrap();
        tx.execute(INSERT, &params!["a"]).await.unwrap();
        let closing = tokio::spawn({
            let db = db.db.clone();
            async move { db.close().await }
        });
        eventually("no unit may begin any more", async || matches!(db.begin().await, Err(Error::Closed))).await;
        assert!(!closing.is_finished());
        tx.commit().await.unwrap();
        closing.await.unwrap();
        let again = Db::open(&db.config).await.unwrap();
        assert_eq!(count(&again).await, 1);
    }
}

async fn emails(db: &Db) -> Vec<String> {
    let rows = db.query("select email from employee order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get("email").unwrap()).collect()
}
