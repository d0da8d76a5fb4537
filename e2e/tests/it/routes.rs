//! Route files on the real program: deployed by writing them, listed and taken back by the command line, and killed with
//! `kill -9` while records go through.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::program::Ran;
use e2e::system::{Layout, System};
use eventkit::testing::eventually;
use eventkit::transport::kafka::{KafkaConfig, KafkaWriter};
use eventkit::transport::{ConsumedRecord, Record};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::topics::read_until;

const RECORDS: usize = 2_000;
pub(crate) const KEYS: usize = 20;
const KILLS: usize = 6;
/// The container lives this long before it is killed, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 50..900;
const SEED: u64 = 8;

const COPY: &str = r#"- route:
    id: copy
    from:
      uri: kafka:orders
      parameters: { groupId: copying, autoOffsetReset: earliest }
      steps:
        - setBody: { simple: "MARK ${body}" }
        - to: kafka:copies
"#;

async fn run(system: &System, args: &[&str]) -> Ran {
    let ran = system.run("container", args).await.unwrap();
    assert!(ran.status.success(), "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

async fn list(system: &System) -> Value {
    serde_json::from_str(run(system, &["routes", "list", "--format", "json"]).await.stdout.trim()).unwrap()
}

/// Waits until a file runs in this revision.
pub(crate) async fn until_revision(system: &System, file: &str, revision: i64) {
    eventually(&format!("{file} runs as {revision}"), async || {
        let listed = list(system).await;
        let found = listed["files"].as_array()?.iter().any(|one| one["file"] == file && one["revision"] == revision);
        found.then_some(())
    })
    .await;
}

fn write(folder: &Path, mark: &str) {
    std::fs::write(folder.join("copy.yaml"), COPY.replace("MARK", mark)).unwrap();
}

async fn start(folder: &Path) -> (System, PathBuf) {
    let system = System::start(Layout::Apart, folder).await.unwrap();
    let routes = prepare(&system).await;
    (system, routes)
}

/// Makes the topics, and gives the folder for route files.
pub(crate) async fn prepare(system: &System) -> PathBuf {
    for topic in ["orders", "copies", "orders.dlq"] {
        run(system, &["topics", "create", topic, "--partitions", "3"]).await;
    }
    system.data_dir("container").join("routes")
}

pub(crate) async fn put(system: &System, numbers: std::ops::Range<usize>) {
    let kafka = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let writer = KafkaWriter::new(&kafka, &[]).unwrap();
    let mut under_way = Vec::new();
    for number in numbers {
        let record = Record {
            topic: "orders".to_owned(),
            key: Some(format!("k{}", number % KEYS).into()),
            value: Some(number.to_string().into()),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        under_way.push(writer.send(&record, None).await.unwrap());
    }
    for record in under_way {
        record.acknowledged().await.unwrap();
    }
}

/// Which record a copy is of.
fn number(copy: &ConsumedRecord) -> usize {
    let text = String::from_utf8(copy.record.value.clone().unwrap().to_vec()).unwrap();
    text.strip_prefix("copy ").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_deployed_refused_and_taken_back_on_the_real_program() {
    let folder = tempfile::tempdir().unwrap();
    let (system, routes) = start(folder.path()).await;
    write(&routes, "first");
    until_revision(&system, "copy.yaml", 1).await;
    put(&system, 0..3).await;
    let copies = read_until(&system.broker(), "copies", |records| records.len() == 3).await;
    assert!(copies.iter().all(|copy| copy.record.value.as_ref().unwrap().starts_with(b"first ")));
    std::fs::write(routes.join("copy.yaml"), COPY.replace("kafka:copies", "kafkaa:copies")).unwrap();
    eventually("it is refused", async || {
        let text = run(&system, &["routes", "list"]).await.stdout;
        (text.contains("old-running") && text.contains("did you mean `kafka`")).then_some(())
    })
    .await;
    write(&routes, "second");
    until_revision(&system, "copy.yaml", 2).await;
    let rolled = run(&system, &["routes", "rollback", "copy.yaml", "--to", "1"]).await;
    assert!(rolled.stderr.contains("as revision 3"), "{}", rolled.stderr);
    put(&system, 3..6).await;
    read_until(&system.broker(), "copies", |records| {
        records.iter().filter(|copy| copy.record.value.as_ref().unwrap().starts_with(b"first ")).count() == 6
    })
    .await;
    run(&system, &["routes", "stop", "copy"]).await;
    run(&system, &["routes", "start", "copy"]).await;
    it_is_seen(&system).await;
    let refused = system.run("container", &["routes", "start", "nothing"]).await.unwrap();
    assert!(!refused.status.success() && refused.stderr.contains("there is no route `nothing`"), "{}", refused.stderr);
    system.stop().await.unwrap();
}

/// What the route is, what its steps have done, and what becomes of a record in it.
async fn it_is_seen(system: &System) {
    let shown = run(system, &["routes", "show", "copy"]).await.stdout;
    assert!(shown.contains("copy.yaml, revision 3") && shown.contains("kafka:orders"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("to:8") && line.ends_with("kafka:copies")), "{shown}");
    let trace = run(system, &["routes", "trace", "copy"]);
    let traced = tokio::select! {
        traced = trace => traced,
        () = async { loop { put(system, 6..7).await } } => unreachable!("it goes on"),
    };
    assert!(traced.stdout.contains("body 6 (string, 1 byte)"), "{}", traced.stdout);
    assert!(traced.stdout.contains("-> first 6 (string, 7 bytes)"), "{}", traced.stdout);
    assert!(traced.stderr.contains("1 exchange followed: as many as were asked for"), "{}", traced.stderr);
    let stats = run(system, &["routes", "stats", "copy", "--format", "json"]).await.stdout;
    let stats: Value = serde_json::from_str(stats.trim()).unwrap();
    let steps: Vec<_> = stats["steps"].as_array().unwrap().iter().map(|step| step["total"].as_u64().unwrap()).collect();
    assert!(steps.len() == 2 && steps.iter().all(|total| *total > 0), "{stats}");
    let table = run(system, &["routes", "stats"]).await.stdout;
    assert!(table.starts_with("ROUTE") && table.contains("setBody:7"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_container_is_killed_while_records_go_through() {
    let folder = tempfile::tempdir().unwrap();
    let (mut system, routes) = start(folder.path()).await;
    write(&routes, "copy");
    until_revision(&system, "copy.yaml", 1).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let each = RECORDS / KILLS;
    for kill in 0..KILLS {
        put(&system, kill * each..(kill + 1) * each).await;
        let life = Duration::from_millis(random.random_range(LIFE_MS));
        // The wait is the experiment: at any moment, while records go through.
        let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
        system.kill("container").await.unwrap();
        system.start_process("container").await.unwrap();
    }
    let wanted = each * KILLS;
    let copies = read_until(&system.broker(), "copies", move |copies| {
        copies.iter().map(number).collect::<BTreeSet<_>>().len() == wanted
    })
    .await;
    let mut ids: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let mut firsts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for copy in &copies {
        let number = number(copy);
        let is_first = ids.entry(number).or_default().is_empty();
        ids.entry(number).or_default().insert(copy.record.header("ce_id").unwrap().to_owned());
        if is_first {
            firsts.entry(number % KEYS).or_default().push(number);
        }
    }
    // What was done again is the same, and first copies of a key are in order.
    assert!(ids.values().all(|ids| ids.len() == 1));
    assert_eq!(ids.values().flatten().collect::<BTreeSet<_>>().len(), wanted);
    assert!(firsts.values().all(|numbers| numbers.is_sorted()));
    system.stop().await.unwrap();
}
