// The script that starts real Kafka, Redis and PostgreSQL without Docker: run, run again, broken, mended, stopped.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use contracts::topics::required_topics;
use e2e::infrastructure::{Infrastructure, Metadata, REQUIRED, is_required, runs};
use e2e::program;
use eventkit::testing::eventually;
use rustix::process::Pid;
use serde_json::Value;

/// Kafka's programs are fetched once for all runs.
pub(crate) const LIBRARIES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/infrastructure");
const NOT_RUNNING: Option<i32> = Some(3);

#[tokio::test(flavor = "multi_thread")]
async fn kafka_with_zookeeper_starts_is_mended_and_stops_without_a_trace() {
    life(Metadata::ZooKeeper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_with_kraft_starts_is_mended_and_stops_without_a_trace() {
    life(Metadata::KRaft).await;
}

#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
async fn life(metadata: Metadata) {
    if !is_required() {
        eprintln!("no {REQUIRED}: this test with real servers is left out");
        return;
    }
    let infrastructure = Infrastructure::new(metadata, Path::new(LIBRARIES)).unwrap();
    let printed = infrastructure.start().await.unwrap();
    assert_summary(&infrastructure, metadata, &printed);
    logs_are_shown(&infrastructure).await;
    assert_topics(&infrastructure).await;

    second_start_changes_nothing(&infrastructure).await;
    topics_are_mended(&infrastructure).await;
    killed_part_is_started_again(&infrastructure).await;
    stop_leaves_nothing(&infrastructure).await;
    stranger_is_left_alone(&infrastructure).await;
    reset_deletes_the_data(&infrastructure).await;
}

/// As the seed's script ends: what runs, where, with which password, and how it is stopped.
fn assert_summary(infrastructure: &Infrastructure, metadata: Metadata, printed: &str) {
    let (_, summary) = printed.split_once("\nTechLeet's infrastructure runs (native).\n\n").unwrap();
    let lines: Vec<&str> = summary.lines().filter(|line| !line.is_empty()).map(str::trim).collect();
    let port = |part| infrastructure.port(part);
    let mut expected = vec![
        format!("Kafka       localhost:{} (internal: {})", port("kafka"), port("kafka-internal")),
        format!("ZooKeeper   localhost:{}", port("zookeeper")),
        format!(
            "Redis       localhost:{} (password: techleet123, or REDIS_PASSWORD at the first start)",
            port("redis")
        ),
        format!("PostgreSQL  localhost:{} (user and database: techleet)", port("postgres")),
    ];
    if metadata == Metadata::KRaft {
        expected.remove(1);
    }
    assert_eq!(lines[..expected.len()], expected);
    let place = infrastructure.folder().display();
    for (line, command) in lines[expected.len()..].iter().zip(["stop", "logs [part] [-f]", "reset"]) {
        assert!(line.contains(&format!("start-infrastructure.sh {command} --state-dir {place}")), "{line}");
    }
}

async fn logs_are_shown(infrastructure: &Infrastructure) {
    let of_kafka = infrastructure.run_with("logs", &["kafka"]).await.unwrap();
    assert!(of_kafka.status.success() && of_kafka.stdout.contains("(kafka."), "{}", of_kafka.stdout);
    let of_all = infrastructure.run("logs").await.unwrap().stdout;
    for part in infrastructure.parts() {
        assert!(of_all.contains(&format!("{part}/log <==")), "nothing of {part} in {of_all}");
    }
    let of_none = infrastructure.run_with("logs", &["karaf"]).await.unwrap();
    assert!(of_none.stderr.contains("there is no part karaf; there are: zookeeper kafka"), "{}", of_none.stderr);
}

/// What the script itself calls is there, and what it would start is not.
#[tokio::test]
async fn what_is_missing_is_said_in_one_line_with_the_command_that_installs_it() {
    let bin = tempfile::tempdir().unwrap();
    for program in ["bash", "awk", "dirname", "grep", "ls", "mkdir", "paste", "ps", "tr", "sed"] {
        let path = program::path_variable();
        let found = path.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, bin.path().join(program)).unwrap();
    }
    let infrastructure = Infrastructure::new(Metadata::ZooKeeper, Path::new(LIBRARIES)).unwrap();
    let parts = ["--only", "zookeeper,kafka,redis"];
    let ran = infrastructure.run_found_in(bin.path(), "start", &parts).await.unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(
        ran.stderr,
        "== missing: java mvn redis-server redis-cli; install: \
         sudo apt-get install -y default-jdk-headless maven redis-server redis-tools\n"
    );
    assert!(!infrastructure.folder().join("settings").exists(), "nothing is begun");
}

async fn second_start_changes_nothing(infrastructure: &Infrastructure) {
    let before = pids(infrastructure);
    let printed = infrastructure.start().await.unwrap();
    assert_eq!(pids(infrastructure), before);
    for verb in ["starting", "making", "setting", "giving"] {
        assert!(!printed.contains(verb), "{printed}");
    }
}

/// The seed's cure for "topic not found": start again.
async fn topics_are_mended(infrastructure: &Infrastructure) {
    for topic in ["user-events", "audit-events"] {
        techleet(infrastructure, &["topics", "delete", topic, "--yes"]).await;
        eventually("the topic is gone", async || (!topics(infrastructure).await.contains_key(topic)).then_some(()))
            .await;
    }
    let wrong = ["topics", "create", "audit-events", "--partitions", "1"];
    techleet(infrastructure, &wrong).await;

    let printed = infrastructure.start().await.unwrap();
    assert!(printed.contains("making the topic user-events\n"), "{printed}");
    assert!(printed.contains("giving the topic audit-events 3 partitions"), "{printed}");
    assert!(printed.contains("setting retention.ms=7776000000 on the topic audit-events"), "{printed}");
    assert_topics(infrastructure).await;
}

async fn killed_part_is_started_again(infrastructure: &Infrastructure) {
    let before = pids(infrastructure);
    infrastructure.kill("kafka").unwrap();
    eventually("kafka is dead", async || (!runs(before["kafka"])).then_some(())).await;
    let status = infrastructure.run("status").await.unwrap();
    assert_eq!(status.status.code(), NOT_RUNNING, "{}", status.stdout);

    infrastructure.start().await.unwrap();
    let after = pids(infrastructure);
    for part in infrastructure.parts() {
        assert_eq!(after[part] == before[part], *part != "kafka", "{part}");
    }
    let status = infrastructure.run("status").await.unwrap();
    assert!(status.status.success(), "{}", status.stdout);
    assert_topics(infrastructure).await;
}

async fn stop_leaves_nothing(infrastructure: &Infrastructure) {
    let before = pids(infrastructure);
    let stop = infrastructure.run("stop").await.unwrap();
    assert!(stop.status.success(), "{}", stop.stderr);
    for (part, pid) in before {
        // Whoever inherits an ended process may take a moment to notice.
        eventually(&format!("{part} is gone"), async || (!runs(pid)).then_some(())).await;
        assert_eq!(infrastructure.pid(part), None);
        assert!(TcpStream::connect(("127.0.0.1", infrastructure.port(part))).is_err(), "{part} still listens");
    }
    assert_eq!(infrastructure.run("status").await.unwrap().status.code(), NOT_RUNNING);
    assert!(infrastructure.run("stop").await.unwrap().status.success(), "nothing to stop is no failure");
}

/// A pid may have gone to another process since it was written down.
async fn stranger_is_left_alone(infrastructure: &Infrastructure) {
    let mut stranger = tokio::process::Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = stranger.id().unwrap();
    std::fs::write(infrastructure.folder().join("redis/pid"), pid.to_string()).unwrap();
    assert!(infrastructure.run("stop").await.unwrap().status.success());
    assert!(stranger.try_wait().unwrap().is_none(), "it was killed");
    assert_eq!(infrastructure.pid("redis"), None, "the stale file is gone");
}

async fn reset_deletes_the_data(infrastructure: &Infrastructure) {
    assert!(infrastructure.run("reset").await.unwrap().status.success());
    for part in infrastructure.parts() {
        assert!(!infrastructure.folder().join(part).exists(), "{part}");
    }
}

fn pids(infrastructure: &Infrastructure) -> BTreeMap<&'static str, Pid> {
    let pid = |part: &&'static str| (*part, infrastructure.pid(part).unwrap_or_else(|| panic!("{part} has no pid")));
    infrastructure.parts().iter().map(pid).collect()
}

/// The topics are those of the table, with its partitions and retention.
async fn assert_topics(infrastructure: &Infrastructure) {
    let expected: BTreeMap<String, (i64, i64)> = required_topics()
        .into_iter()
        .map(|topic| (topic.name, (i64::from(topic.partitions), topic.settings["retention.ms"].parse().unwrap())))
        .collect();
    assert_eq!(topics(infrastructure).await, expected);
}

/// Each topic's partitions and retention.
async fn topics(infrastructure: &Infrastructure) -> BTreeMap<String, (i64, i64)> {
    let printed = techleet(infrastructure, &["topics", "list", "--format", "json"]).await;
    let topics: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("no number in {printed}"));
    topics
        .iter()
        .map(|topic| {
            let name = topic["name"].as_str().unwrap().to_owned();
            (name, (number(&topic["partitions"]), number(&topic["retentionMs"])))
        })
        .collect()
}

async fn techleet(infrastructure: &Infrastructure, args: &[&str]) -> String {
    let brokers = format!("kafka.brokers={}", infrastructure.brokers());
    let ran = program::run(&[args, &["--set", &brokers]].concat()).await.unwrap();
    assert!(ran.status.success(), "{args:?}: {}", ran.stderr);
    ran.stdout
}
