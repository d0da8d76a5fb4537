//! How long a start takes on an empty and on a used data directory, and how much memory an idle system holds.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::Backbone;
use serde::Serialize;
use serde_json::json;

use crate::process;
use crate::report::Rows;
use crate::summary::Spread;

/// How long a system is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Both kinds of start.
#[derive(Debug, Serialize)]
pub(crate) struct Starts {
    rounds: u16,
    users: u32,
    empty: Kind,
    used: Kind,
}

/// The starts on one kind of data directory.
#[derive(Debug, Serialize)]
struct Kind {
    /// From the start of the process to the line that says that it is ready.
    ready_ms: Spread,
    rss_idle_mib: Spread,
}

/// One start.
struct Started {
    ready_ms: f64,
    rss_idle_mib: f64,
}

/// Starts it `rounds` times on a new data directory, each time creates `users` employees, and starts it again there.
pub(crate) async fn measure(rounds: u16, users: u32) -> anyhow::Result<Starts> {
    let (mut empty, mut used) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let (started, backbone) = start(folder.path()).await?;
        empty.push(started);
        create(&backbone, users).await?;
        stop(backbone).await?;
        let (started, backbone) = start(folder.path()).await?;
        used.push(started);
        stop(backbone).await?;
    }
    Ok(Starts { rounds, users, empty: kind(&empty)?, used: kind(&used)? })
}

async fn start(folder: &Path) -> anyhow::Result<(Started, Backbone)> {
    let began = Instant::now();
    let backbone = Backbone::start(folder).await?;
    let ready_ms = began.elapsed().as_secs_f64() * 1000.0;
    tokio::time::sleep(IDLE).await;
    let rss_idle_mib = process::rss_mib(backbone.process_id()?)?;
    Ok((Started { ready_ms, rss_idle_mib }, backbone))
}

async fn create(backbone: &Backbone, users: u32) -> anyhow::Result<()> {
    for number in 0..users {
        let body = json!({"firstName": "An", "lastName": "Tran", "email": format!("an{number}@example.com")});
        backbone.post_user(&body).send().await?.error_for_status()?;
    }
    Ok(())
}

async fn stop(backbone: Backbone) -> anyhow::Result<()> {
    let status = backbone.interrupt().await?;
    ensure!(status.success(), "techleet up ended with {status}");
    Ok(())
}

fn kind(starts: &[Started]) -> anyhow::Result<Kind> {
    let spread = |value: fn(&Started) -> f64| Spread::of(starts.iter().map(value).collect()).context("no start");
    Ok(Kind { ready_ms: spread(|start| start.ready_ms)?, rss_idle_mib: spread(|start| start.rss_idle_mib)? })
}

impl Rows for Starts {
    fn headings(&self) -> Vec<&'static str> {
        vec!["", "median", "min", "max"]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: String, spread: Spread| {
            let numbers = [spread.median, spread.min, spread.max].map(|number| format!("{number:.1}"));
            [name].into_iter().chain(numbers).collect()
        };
        let used = format!("used by {} employees", self.users);
        let rows = [("empty", &self.empty), (&*used, &self.used)].into_iter().flat_map(|(name, kind)| {
            [
                row(format!("ready, data directory {name}, ms"), kind.ready_ms),
                row(format!("RSS idle, data directory {name}, MiB"), kind.rss_idle_mib),
            ]
        });
        rows.collect()
    }
}
