//! What the script asks of Docker, seen by a program of that name that writes down what it is asked: no engine is needed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use contracts::topics::required_topics;
use e2e::infrastructure::BACKGROUND;
use e2e::program;
use tokio::process::Command;

/// It answers as an engine does on which everything is healthy, but for the part that `$SICK` names, and remembers topics.
const DOCKER: &str = r#"#!/usr/bin/env bash
printf '%s\n' "$*" >>"$RECORD"
all="$*"
case $all in
    inspect*"techleet-$SICK") echo unhealthy ;;
    inspect*) echo healthy ;;
    "volume ls"*) printf '%s\n' techleet_kafka-data techleet_redis-data ;;
    *" --describe") cat "$RECORD.topics" 2>/dev/null || true ;;
    *" --create "*)
        topic=; partitions=; configs=
        while (($# > 0)); do
            case $1 in
                --topic) topic=$2 ;;
                --partitions) partitions=$2 ;;
                --config) configs+=${configs:+,}$2 ;;
            esac
            shift
        done
        printf 'Topic: %s\tTopicId: x\tPartitionCount: %s\tReplicationFactor: 1\tConfigs: %s\n' \
            "$topic" "$partitions" "$configs" >>"$RECORD.topics"
        ;;
esac
"#;

struct Docker {
    folder: tempfile::TempDir,
}

struct Asked {
    code: Option<i32>,
    printed: String,
    /// What Docker was asked, but for questions that change nothing.
    asked: Vec<String>,
}

impl Docker {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker");
        std::fs::write(&program, DOCKER).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    async fn run(&self, args: &[&str], sick: &str) -> Asked {
        let _ = std::fs::remove_file(self.record());
        let mut command = Command::new("bash");
        command.arg(Path::new(BACKGROUND).join("start-infrastructure.sh")).args(args);
        command.env("PATH", format!("{}:{}", self.folder.path().display(), program::path_variable()));
        command.env("RECORD", self.record()).env("SICK", sick).kill_on_drop(true);
        let output = command.output().await.unwrap();
        // Where the script refuses at once there is none.
        let asked = std::fs::read_to_string(self.record()).unwrap_or_default();
        let is_question =
            |line: &&str| ["info", "compose version", "inspect", "volume ls"].iter().any(|q| line.starts_with(q));
        Asked {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
            asked: asked.lines().filter(|line| !is_question(line)).map(str::to_owned).collect(),
        }
    }
}

fn compose(file: &str, rest: &str) -> String {
    format!("compose -f {} {rest}", Path::new(BACKGROUND).canonicalize().unwrap().join(file).display())
}

#[tokio::test]
async fn start_brings_every_part_up_makes_the_topics_once_and_ends_with_the_summary() {
    let docker = Docker::new();
    let first = docker.run(&["start"], "").await;
    assert_eq!(first.code, Some(0), "{}", first.printed);
    let up = "up -d zookeeper kafka kafka-ui redis postgres user-service container";
    assert_eq!(first.asked[0], compose("kafka.docker-compose.yaml", up), "Docker answers, so it is used");
    let topics = std::fs::read_to_string(docker.folder.path().join("record.topics")).unwrap();
    for topic in required_topics() {
        let line = topics.lines().find(|line| line.starts_with(&format!("Topic: {}\t", topic.name))).unwrap();
        assert!(line.contains(&format!("PartitionCount: {}\t", topic.partitions)), "{line}");
        assert!(topic.settings.iter().all(|(name, value)| line.contains(&format!("{name}={value}"))), "{line}");
    }
    for line in [
        "Kafka UI    http://localhost:8080",
        "Container   http://localhost:8181",
        "Redis       localhost:6379 (password: techleet123",
    ] {
        assert!(first.printed.contains(line), "{line} is missing in: {}", first.printed);
    }
    let second = docker.run(&["start", "--kraft"], "").await;
    let up = "up -d kafka kafka-ui redis postgres user-service container";
    let describe = "exec techleet-kafka kafka-topics --bootstrap-server kafka:29092 --describe";
    assert_eq!(second.asked, [compose("kafka-kraft.docker-compose.yaml", up), describe.to_owned()]);
}

#[tokio::test]
async fn status_fails_where_a_part_is_not_healthy() {
    let docker = Docker::new();
    assert_eq!(docker.run(&["status", "--docker"], "").await.code, Some(0));
    let sick = docker.run(&["status", "--docker"], "redis").await;
    assert_eq!(sick.code, Some(3));
    assert!(sick.printed.contains("redis          unhealthy"), "{}", sick.printed);
}

#[tokio::test]
async fn logs_stop_and_reset_concern_the_parts_that_are_named_or_all() {
    let docker = Docker::new();
    let file = "kafka.docker-compose.yaml";
    for (args, expected) in [
        (&["logs", "kafka", "-f"][..], vec![compose(file, "logs -f kafka")]),
        (&["stop"], vec![compose(file, "down")]),
        (&["stop", "--only", "redis,kafka"], vec![compose(file, "rm --stop --force redis kafka")]),
        (&["reset"], vec![compose(file, "down -v")]),
        (
            &["reset", "--only", "redis"],
            vec![compose(file, "rm --stop --force redis"), "volume rm techleet_redis-data".to_owned()],
        ),
    ] {
        let ran = docker.run(args, "").await;
        assert_eq!((ran.code, ran.asked), (Some(0), expected), "{args:?}: {}", ran.printed);
    }
    let refused = docker.run(&["start", "--secured", "--docker"], "").await;
    assert!(refused.code == Some(1) && refused.printed.contains("docs/guide/production.md"), "{}", refused.printed);
}
