//! What routes cost that have nothing to do.

use std::time::Duration;

use super::contender::{Contender, container};
use super::job;
use super::table::{self, Figures};
use crate::process;

/// How many routes are idle.
const ROUTES: usize = 200;
/// How many routes are idle that take from topics: each is a member of a group of its own.
const KAFKA_ROUTES: usize = 20;
/// How long the container is left alone, and then watched.
const REST: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(20);

/// The container with no routes but its own, then with many that wait for calls, then with some that wait for records.
pub(super) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    for (what, memory, files) in [
        (table::IDLE_WITHOUT, table::RSS_WITHOUT, Vec::new()),
        (table::IDLE_WITH, table::RSS_WITH, vec![("idle.yaml".to_owned(), idle_routes())]),
        (table::IDLE_WITH_KAFKA, table::RSS_WITH_KAFKA, vec![("idle-kafka.yaml".to_owned(), idle_kafka_routes())]),
    ] {
        let folder = tempfile::tempdir()?;
        let mut system = super::broker(folder.path()).await?;
        let process_id = container(&mut system, &files).await?;
        tokio::time::sleep(REST).await;
        let before = process::cpu_seconds(process_id)?;
        tokio::time::sleep(WATCHED).await;
        let cpu = process::cpu_seconds(process_id)? - before;
        figures.add(Contender::Techleet, what, cpu / WATCHED.as_secs_f64() * 1_000.0);
        figures.add(Contender::Techleet, memory, process::rss_mib(process_id)?);
        system.stop().await?;
    }
    Ok(())
}

/// Routes that are called, that take from queues and that answer requests.
fn idle_routes() -> String {
    let from = |number: usize| match number % 3 {
        0 => format!("direct:idle-{number}"),
        1 => format!("seda:idle-{number}"),
        _ => format!("platform-http:/idle-{number}"),
    };
    (0..ROUTES).map(|number| route(number, &from(number))).collect()
}

/// Routes that take from a topic on which nothing is.
fn idle_kafka_routes() -> String {
    let from = |number: usize| format!("kafka:{}?groupId=idle-{number}", job::TOPICS[0]);
    (0..KAFKA_ROUTES).map(|number| route(number, &from(number))).collect()
}

fn route(number: usize, from: &str) -> String {
    format!(
        "- route: {{ id: idle-{number}, from: {{ uri: \"{from}\", steps: [ {{ setBody: {{ constant: x }} }} ] }} }}\n"
    )
}
