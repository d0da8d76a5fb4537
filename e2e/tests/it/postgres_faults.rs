//! A PostgreSQL server that dies, and connections that are cut in the middle of units, under load: nothing that was
//! answered is lost, and nothing is told or done twice.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use db::Db;
use e2e::infrastructure::{Infrastructure, Metadata, REQUIRED, is_required};
use e2e::load::Load;
use e2e::promises::{self, arrived};
use e2e::system::{Layout, System};
use rustix::process::Signal;

use crate::background::LIBRARIES;

/// Requests that succeed or are refused in each act.
const REQUESTS: usize = 20;
const REFUSALS: usize = 5;
/// Units that lose their connection.
const CUTS: i64 = 10;

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
async fn a_postgres_that_dies_or_cuts_units_off_loses_no_event_and_repeats_none() {
    if !is_required() {
        eprintln!("no {REQUIRED}: this test with real servers is left out");
        return;
    }
    let infrastructure = Infrastructure::new(Metadata::KRaft, Path::new(LIBRARIES)).unwrap();
    infrastructure.start_postgres().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        format!("database.url={}", infrastructure.database_url()),
        "database.connections_max=4".to_owned(),
        "kafka.session_timeout_ms=6000".to_owned(),
    ];
    let system = System::start_with(Layout::Apart, folder.path(), &settings).await.unwrap();

    let load = Load::begin(&system, "cut").unwrap();
    load.more_acknowledged(1).await.unwrap();
    cut_units_off(&infrastructure.database_url()).await;
    load.more_acknowledged(REQUESTS).await.unwrap();

    // What a crash of the server is to its clients; it recovers from its log at the next start.
    infrastructure.signal("postgres", Signal::QUIT).unwrap();
    load.more_refused(REFUSALS).await.unwrap();
    infrastructure.start_postgres().await.unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();

    let answers = load.end().await;
    promises::check_all(&system, &answers.acknowledged).await.unwrap();
    system.stop().await.unwrap();
}

/// Cuts connections while they are inside a unit, of whichever part.
async fn cut_units_off(url: &str) {
    let db = Db::open(&db::Config { connections_max: 2, ..db::Config::new(url) }).await.unwrap();
    let cut = AtomicI64::new(0);
    arrived("units lose their connection", async || {
        let row = db
            .query_one(
                "with busy as materialized (
                     select pid from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid() and state = 'idle in transaction')
                 select count(*) as cut from busy where pg_terminate_backend(pid)",
                &[],
            )
            .await?;
        let more = row.get::<i64>("cut")?;
        Ok((cut.fetch_add(more, Ordering::Relaxed) + more >= CUTS).then_some(()))
    })
    .await
    .unwrap();
    db.close().await;
}
