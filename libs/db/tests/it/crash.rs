//! Processes that are killed, and processes that share a file. The other process is this test binary again.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use db::{Config, Db, Migration, Tx, params};

use crate::support::told;

/// Tells the other process which file to write to, from which number on, and how many.
const FILE: &str = "DB_TEST_CHILD_FILE";
const RANGE: &str = "DB_TEST_CHILD_RANGE";

const PAIRS: [Migration; 1] = [Migration {
    version: 1,
    name: "create_pairs",
    sql: "create table one (n bigint primary key); create table two (n bigint primary key)",
}];

fn child(path: &str, from: i64, to: i64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_other_process", "--nocapture"])
        .env(FILE, path)
        .env(RANGE, format!("{from} {to}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Writes pairs of rows from many tasks, and names each number once its unit has been answered.
#[test]
fn the_other_process() {
    let Some(path) = told(FILE) else {
        // an ordinary test run: there is nothing to do
        return;
    };
    let range = told(RANGE).unwrap();
    let (from, to) = range.split_once(' ').unwrap();
    let (from, to): (i64, i64) = (from.parse().unwrap(), to.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = Config::new(format!("sqlite:{path}"));
        config.busy_timeout_ms = 60_000;
        config.turn_timeout_ms = 60_000;
        let db = Db::open(&config).await.unwrap();
        db.migrate("pairs", &PAIRS).await.unwrap();
        let next = Arc::new(AtomicI64::new(from));
        let tasks: Vec<_> = (0..16).map(|_| tokio::spawn(write_pairs(db.clone(), Arc::clone(&next), to))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        db.close().await;
    });
}

async fn write_pairs(db: Db, next: Arc<AtomicI64>, to: i64) {
    loop {
        let n = next.fetch_add(1, Ordering::SeqCst);
        if n >= to {
            return;
        }
        db.unit(async |tx: &mut Tx| {
            tx.execute("insert into one (n) values ($1)", &params![n]).await?;
            tx.execute("insert into two (n) values ($1)", &params![n]).await
        })
        .await
        .unwrap();
        // one write per line, so that the lines of tasks do not mix
        std::io::stdout().lock().write_all(format!("answered {n}\n").as_bytes()).unwrap();
    }
}

fn answered(line: &str) -> Option<i64> {
    line.rsplit_once("answered ")?.1.trim().parse().ok()
}

async fn numbers(db: &Db, table: &str) -> HashSet<i64> {
    let rows = db.query(&format!("select n from {table}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get("n").unwrap()).collect()
}

#[tokio::test]
async fn answered_units_survive_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let path = format!("{}/crash.db", dir.path().display());
    let mut promised = HashSet::new();
    for round in 0..5 {
        let from = round * 1_000_000;
        let mut child = child(&path, from, from + 1_000_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        let enough = 200 + 137 * round;
        while heard < enough {
            let line = lines.next().expect("the other process goes on").unwrap();
            heard += i64::from(answered(&line).is_some_and(|n| promised.insert(n)));
        }
        // SIGKILL, somewhere in the middle of units and commits
        child.kill().unwrap();
        child.wait().unwrap();
        promised.extend(lines.filter_map(|line| answered(&line.ok()?)));

        let db = Db::open(&Config::new(format!("sqlite:{path}"))).await.unwrap();
        let (one, two) = (numbers(&db, "one").await, numbers(&db, "two").await);
        let lost: Vec<_> = promised.difference(&one).collect();
        assert!(lost.is_empty(), "round {round}: answered but lost: {lost:?}");
        assert_eq!(one, two, "round {round}: half a unit was kept");
        let check = db.query_one("pragma integrity_check", &[]).await.unwrap();
        assert_eq!(check.get::<String>("integrity_check").unwrap(), "ok");
        db.close().await;
    }
}

#[tokio::test]
async fn two_processes_share_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = format!("{}/shared.db", dir.path().display());
    // both migrate too, at the same time
    let children = [child(&path, 0, 300), child(&path, 1_000, 1_300)];
    for child in children {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
        assert_eq!(told.lines().filter_map(answered).count(), 300);
    }
    let db = Db::open(&Config::new(format!("sqlite:{path}"))).await.unwrap();
    assert_eq!(numbers(&db, "one").await.len(), 600);
    assert_eq!(numbers(&db, "two").await.len(), 600);
}
