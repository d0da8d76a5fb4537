//! Migrations on both databases: once each, whole sets or nothing, by many copies at once.

use db::{Db, Error, Migration};

use crate::support::both;

const ONE: Migration =
    Migration { version: 1, name: "create_note", sql: "create table note (id {{identity}}, words text not null)" };
const TWO: Migration = Migration { version: 2, name: "add_author", sql: "alter table note add column author text" };
const BROKEN: Migration = Migration {
    version: 3,
    name: "broken",
    sql: "create table half (id bigint); alter table nowhere add column x text",
};

#[tokio::test]
async fn steps_are_applied_once_and_in_order() {
    for db in both(|_| ()).await {
        db.migrate("notes", &[ONE]).await.unwrap();
        db.migrate("notes", &[TWO, ONE]).await.unwrap();
        db.migrate("notes", &[ONE, TWO]).await.unwrap();
        let row = db.query_one("select count(*) as n from notes_migrations", &[]).await.unwrap();
        assert_eq!(row.get::<i64>("n").unwrap(), 2);
        db.query("select id, words, author from note", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn changed_and_missing_steps_are_refused() {
    for db in both(|_| ()).await {
        db.migrate("notes", &[ONE, TWO]).await.unwrap();
        let changed = Migration { sql: "create table note (id {{identity}}, words text)", ..ONE };
        for set in [&[changed, TWO][..], &[ONE][..]] {
            assert!(matches!(
                db.migrate("notes", set).await,
                Err(Error::Migration { set, .. }) if set == "notes"
            ));
        }
    }
}

#[tokio::test]
async fn a_failing_step_leaves_nothing_of_its_set() {
    for db in both(|_| ()).await {
        let failed = db.migrate("notes", &[ONE, TWO, BROKEN]).await.unwrap_err();
        assert!(matches!(failed, Error::Migration { .. }));
        assert!(db.query("select id from half", &[]).await.is_err());
        assert!(db.query("select id from note", &[]).await.is_err());
        // mended, the whole set is applied
        let mended = Migration { sql: "create table half (id bigint)", ..BROKEN };
        db.migrate("notes", &[ONE, TWO, mended]).await.unwrap();
        db.query("select id from half", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn sets_do_not_know_each_other() {
    for db in both(|_| ()).await {
        db.migrate("notes", &[ONE]).await.unwrap();
        let other = Migration { sql: "create table other (id bigint)", ..ONE };
        db.migrate("others", &[other]).await.unwrap();
        db.query("select id from other", &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_copies_may_migrate_at_once() {
    for db in both(|_| ()).await {
        let copies: Vec<_> = (0..6)
            .map(|_| {
                let config = db.config.clone();
                tokio::spawn(async move {
                    let db = Db::open(&config).await?;
                    db.migrate("notes", &[ONE, TWO]).await?;
                    db.close().await;
                    Ok::<_, Error>(())
                })
            })
            .collect();
        for copy in copies {
            copy.await.unwrap().unwrap();
        }
        db.query("select author from note", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn migrating_waits_for_the_unit_at_work_and_keeps_it() {
    for db in both(|_| ()).await {
        let mut tx = db.begin().await.unwrap();
        let sql = "insert into employee (email) values ('a')";
        tx.execute(sql, &[]).await.unwrap();
        let commit = tx.release();
        db.migrate("notes", &[ONE]).await.unwrap();
        commit.await.unwrap();
        assert_eq!(crate::support::count(&db).await, 1);
    }
}
