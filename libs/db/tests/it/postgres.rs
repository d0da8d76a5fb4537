//! What PostgreSQL adds: types of its own, lost connections, deadlocks, checks at the commit.

use std::sync::Arc;
use std::time::Duration;

use db::{Config, Db, Error, Migration, Tx, params};
use tokio::sync::Barrier;
use tokio::time::timeout;

use crate::support::{count, eventually, postgres, postgres_url, schema};

const INSERT: &str = "insert into employee (email) values ($1)";

#[tokio::test]
async fn json_uuid_and_time_columns_are_text() {
    let Some(db) = postgres(|_| ()).await else {
        return;
    };
    let step = Migration {
        version: 1,
        name: "create_odd",
        sql: "create table odd (id uuid, at timestamptz, doc jsonb, small smallint, whole integer, short real)",
    };
    db.migrate("odd", &[step]).await.unwrap();
    let id = "01935c6e-7b1a-7c7e-9c1d-3f0d6a0f2b11";
    let at = "2026-11-24T02:05:27.123Z";
    db.unit(async |tx: &mut Tx| {
        let sql = "insert into odd values ($1, $2, $3, $4, $5, $6)";
        tx.execute(sql, &params![id, at, "{\"a\": 1}", 7, 8, 1.5]).await
    })
    .await
    .unwrap();
    let row = db.query_one("select * from odd where id = $1", &params![id]).await.unwrap();
    assert_eq!(row.get::<String>("id").unwrap(), id);
    assert_eq!(row.get::<String>("at").unwrap(), at);
    assert_eq!(row.get::<String>("doc").unwrap(), "{\"a\": 1}");
    assert_eq!(row.get::<i32>("small").unwrap(), 7);
    assert_eq!(row.get::<i32>("whole").unwrap(), 8);
    assert!((row.get::<f64>("short").unwrap() - 1.5).abs() < f64::EPSILON);
    let out_of_range = db.query("select 1 as n from odd where small = $1", &params![70_000]).await;
    assert!(matches!(out_of_range, Err(Error::Statement { .. })));
}

#[tokio::test]
async fn a_cut_connection_is_transient_and_the_pool_recovers() {
    let Some(db) = postgres(|config| config.connections_max = 1).await else {
        return;
    };
    let mut tx = db.begin().await.unwrap();
    tx.execute(INSERT, &params!["a"]).await.unwrap();
    let pid: i64 = tx.query_one("select pg_backend_pid() as pid", &[]).await.unwrap().get("pid").unwrap();
    let cut = "select pg_terminate_backend($1) as cut";
    db.query_one(cut, &params![pid]).await.unwrap();
    let error = tx.execute(INSERT, &params!["b"]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.is_transient());
    drop(tx);
    eventually("a unit succeeds again", async || {
        db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params!["c"]).await).await.is_ok()
    })
    .await;
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_connection_cut_before_the_commit_is_not_answered_ok() {
    let Some(db) = postgres(|_| ()).await else {
        return;
    };
    let mut tx = db.begin().await.unwrap();
    tx.execute(INSERT, &params!["a"]).await.unwrap();
    let pid: i64 = tx.query_one("select pg_backend_pid() as pid", &[]).await.unwrap().get("pid").unwrap();
    let cut = "select pg_terminate_backend($1) as cut";
    db.query_one(cut, &params![pid]).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
    assert_eq!(count(&db).await, 0);
    assert_eq!(db.stats().units_failed, 1);
}

#[tokio::test]
async fn a_deadlock_is_transient_for_its_victim() {
    let Some(db) = postgres(|_| ()).await else {
        return;
    };
    for email in ["a", "b"] {
        db.unit(async |tx: &mut Tx| tx.execute(INSERT, &params![email]).await).await.unwrap();
    }
    let both_hold = Arc::new(Barrier::new(2));
    let units: Vec<_> = [("a", "b"), ("b", "a")]
        .into_iter()
        .map(|(first, second)| {
            let (db, both_hold) = (db.db.clone(), Arc::clone(&both_hold));
            tokio::spawn(async move {
                db.unit(async |tx: &mut Tx| {
                    let sql = "update employee set age = 1 where email = $1";
                    tx.execute(sql, &params![first]).await?;
                    both_hold.wait().await;
                    tx.execute(sql, &params![second]).await
                })
                .await
            })
        })
        .collect();
    let mut victims = 0;
    for unit in units {
        if let Err(error) = unit.await.unwrap() {
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
            victims += 1;
        }
    }
    assert_eq!(victims, 1);
}

#[tokio::test]
async fn a_check_at_the_commit_names_what_it_found() {
    let Some(db) = postgres(|_| ()).await else {
        return;
    };
    let step = Migration { version: 1, name: "create_late", sql: "create table late (n bigint unique deferrable)" };
    db.migrate("late", &[step]).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute("set constraints all deferred", &[]).await.unwrap();
    for _ in 0..2 {
        tx.execute("insert into late values (1)", &[]).await.unwrap();
    }
    let error = tx.commit().await.unwrap_err();
    assert!(error.violates("late", "n"), "{error:?}");
    assert!(db.query("select n from late", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_heals_with_a_retry() {
    let Some(db) = postgres(|config| {
        config.readers_max = 1;
    })
    .await
    else {
        return;
    };
    let sql = "select * from employee";
    assert!(db.query(sql, &[]).await.unwrap().is_empty());
    let step = Migration { version: 1, name: "add_phone", sql: "alter table employee add column phone text" };
    db.migrate("more", &[step]).await.unwrap();
    if let Err(error) = db.query(sql, &[]).await {
        assert!(error.is_transient(), "{error:?}");
        assert!(db.query(sql, &[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn schemas_keep_databases_apart() {
    let Some(one) = postgres(|_| ()).await else {
        return;
    };
    let two = postgres(|_| ()).await.unwrap();
    one.unit(async |tx: &mut Tx| tx.execute(INSERT, &params!["a"]).await).await.unwrap();
    assert_eq!(count(&one).await, 1);
    assert_eq!(count(&two).await, 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_transient_and_its_password_is_not_shown() {
    // nothing listens on the port of a listener that was closed
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("postgres://me:s3cret@127.0.0.1:{port}/x");
    let error = Db::open(&Config::new(url)).await.unwrap_err();
    assert!(matches!(error, Error::Open { .. }));
    assert!(error.is_transient());
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_not_transient() {
    let Some(url) = postgres_url() else {
        return;
    };
    let (server, _) = url.rsplit_once('/').unwrap();
    let error = Db::open(&Config::new(format!("{server}/{}", schema()))).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_listener_hears_its_own_channel_of_its_own_schema_also_after_its_connection_was_cut() {
    let (Some(db), Some(elsewhere)) = (postgres(|_| ()).await, postgres(|_| ()).await) else {
        return;
    };
    let (listener, other) = (db.listen("news"), db.listen("other news"));
    let soon = Duration::from_secs(30);
    // Whoever begins to listen looks once.
    timeout(soon, listener.heard()).await.expect("it listens");
    timeout(soon, other.heard()).await.expect("it listens");
    elsewhere.notify("news").await.unwrap();
    db.notify("news").await.unwrap();
    timeout(soon, listener.heard()).await.expect("it hears");
    let cut = "select count(pg_terminate_backend(pid)) as cut from pg_stat_activity
               where query like 'listen %' and datname = current_database()";
    db.query_one(cut, &[]).await.unwrap();
    timeout(soon, listener.heard()).await.expect("it listens again");
    // Others heard neither channel until then: what was waiting is the new beginning alone.
    timeout(soon, other.heard()).await.expect("it listens again");
    db.notify("other news").await.unwrap();
    timeout(soon, other.heard()).await.expect("it hears");
}
