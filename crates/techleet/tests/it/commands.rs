//! What the commands print and how they end.

use std::process::Stdio;
use std::time::Duration;

use eventkit::dead_letter::{Cause, letter};
use eventkit::transport::kafka::KafkaWriter;
use eventkit::transport::{ConsumedRecord, Record};

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Fixture, program, run};

/// How long the broker may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs commands one after the other and keeps what they print, as a transcript.
async fn transcript(fixture: &Fixture, commands: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (command, stdin) in commands {
        let args: Vec<&str> = command.split(' ').collect();
        let ran = fixture.techleet(&args, stdin).await;
        text.push_str(&format!("$ techleet {command}\n{}", ran.stdout));
        for line in ran.stderr.lines() {
            text.push_str(&format!("! {line}\n"));
        }
        text.push_str(&format!("= {}\n\n", ran.code));
    }
    fixture.masked(&text)
}

#[tokio::test]
async fn topics_are_created_filled_shown_and_deleted() {
    let fixture = Fixture::start().await;
    let commands = [
        ("topics create trials --partitions 2 --setting retention.ms=86400000", ""),
        ("topics create trials", ""),
        ("produce trials --key-separator : --header source=test", "a:1\nb:2\nno key\nc:3\n"),
        ("produce trials --partition 0 --format json", "x\ny\n"),
        ("produce nowhere", "x\n"),
        ("topics list", ""),
        ("topics list --format json", ""),
        ("topics describe trials", ""),
        ("topics describe nowhere", ""),
        ("topics alter trials", ""),
        ("topics alter trials --partitions 1", ""),
        ("topics alter trials --partitions 3 --setting retention.ms=1000", ""),
        ("topics alter nowhere --partitions 3", ""),
        ("consume trials --from-beginning --no-follow --partition 0 --keys --headers", ""),
        ("topics delete trials", ""),
        ("topics delete trials --yes", ""),
        ("topics list", ""),
    ];
    insta::assert_snapshot!(transcript(&fixture, &commands).await);
}

#[tokio::test]
async fn a_topics_setting_is_taken_or_refused_in_every_spelling() {
    let fixture = Fixture::start().await;
    let commands = [
        ("topics create spelled --setting cleanup.policy=compact", ""),
        ("topics create joined --setting=cleanup.policy=compact", ""),
        ("topics create twice --setting cleanup.policy=compact --setting retention.ms=1000", ""),
        ("topics create none --config cleanup.policy=compact", ""),
        ("topics create none --config=cleanup.policy=compact", ""),
        ("--config cleanup.policy=compact topics create none", ""),
        ("topics create none --setting cleanup.policy", ""),
        ("topics create none --setting =compact", ""),
        ("topics create none --setting =", ""),
        ("topics create none --setting cleanup.policy=", ""),
        ("topics create none --setting cleanup.policy=never", ""),
        ("topics create none --setting no.such.setting=1", ""),
        ("kafka-topics --create --topic tool --config cleanup.policy=compact --bootstrap-server BROKER", ""),
        ("kafka-topics --create --topic none --config cleanup.policy --bootstrap-server BROKER", ""),
        ("kafka-topics --create --topic none --config =compact --bootstrap-server BROKER", ""),
        ("topics list", ""),
    ];
    let commands = commands.map(|(command, stdin)| (command.replace("BROKER", &fixture.config.brokers), stdin));
    let commands: Vec<(&str, &str)> = commands.iter().map(|(command, stdin)| (command.as_str(), *stdin)).collect();
    let transcript = transcript(&fixture, &commands).await;
    assert!(!transcript.contains("panicked"), "{transcript}");
    insta::assert_snapshot!(fixture.masked(&transcript));
}

#[tokio::test]
async fn groups_are_shown_moved_and_deleted() {
    let fixture = Fixture::start().await;
    let commands = [
        ("topics create trials --partitions 1", ""),
        ("produce trials", "1\n2\n3\n"),
        ("consume trials --group readers --from-beginning --max-messages 2", ""),
        ("consume trials --group readers --from-beginning --max-messages 1", ""),
        ("groups list", ""),
        ("groups reset readers --shift-by -2", ""),
        ("groups describe readers --format json", ""),
        ("groups reset readers --topic trials:0 --to-earliest --execute", ""),
        ("groups describe readers", ""),
        ("groups reset readers", ""),
        ("groups delete readers", ""),
        ("groups delete readers --yes", ""),
        ("groups describe readers", ""),
    ];
    insta::assert_snapshot!(transcript(&fixture, &commands).await);
}

#[tokio::test]
async fn dead_letters_are_shown_and_sent_back_once() {
    let fixture = Fixture::start().await;
    transcript(&fixture, &[("topics create trials", ""), ("topics create trials.dlq", "")]).await;
    let record = Record {
        topic: "trials".to_owned(),
        key: Some("user-1".into()),
        value: Some(r#"{"eventId":"id-1","eventType":"user.created"}"#.into()),
        headers: vec![("traceparent".into(), "kept".into())],
        timestamp_ms: Some(1_700_000_000_000),
    };
    let cause = Cause {
        group: "audit",
        error: "the store is\u{1b}[2J full",
        kind: "transient",
        attempts: 8,
        first_failed_at_ms: 1_700_000_000_000,
        failed_at_ms: 1_700_000_060_000,
    };
    let writer = KafkaWriter::new(&fixture.config, &[]).unwrap();
    let dead = letter(&ConsumedRecord { record, partition: 1, offset: 41 }, &cause);
    writer.send(&dead, Some(1)).await.unwrap().acknowledged().await.unwrap();
    let commands = [
        ("dlq list", ""),
        ("dlq list --group other", ""),
        ("dlq show trials.dlq/1/0", ""),
        ("dlq show trials.dlq/1/9", ""),
        ("dlq redrive --topic trials", ""),
        ("dlq redrive --topic trials --execute", ""),
        ("dlq redrive --topic trials --execute", ""),
        ("consume trials --from-beginning --no-follow --partition 1 --headers --keys", ""),
    ];
    insta::assert_snapshot!(transcript(&fixture, &commands).await);
    // A second one is given up.
    writer.send(&dead, Some(1)).await.unwrap().acknowledged().await.unwrap();
    let commands = [
        ("dlq purge --error nothing", ""),
        ("dlq purge --error store", ""),
        ("dlq purge --error store --yes", ""),
        ("dlq list", ""),
        ("dlq redrive --topic trials --execute", ""),
    ];
    insta::assert_snapshot!("dead_letters_are_given_up", transcript(&fixture, &commands).await);
    // One of these two has lost its value.
    let valueless = eventkit::dead_letter::without_value(&dead);
    for letter in [&valueless, &dead] {
        writer.send(letter, Some(1)).await.unwrap().acknowledged().await.unwrap();
    }
    let commands = [
        ("dlq list --format json", ""),
        ("dlq redrive --topic trials", ""),
        ("dlq redrive --topic trials --execute", ""),
        ("dlq list", ""),
    ];
    insta::assert_snapshot!("dead_letters_without_values_stay", transcript(&fixture, &commands).await);
}

#[tokio::test]
async fn an_event_told_by_hand_is_found_by_its_entity() {
    let fixture = Fixture::start().await;
    let tell = "produce trials --key user-42 --event-type user.created";
    let told = [("topics create trials", ""), (tell, "{\"employeeId\":42}\n"), (tell, "no json\n")];
    let transcript = transcript(&fixture, &told).await;
    assert!(transcript.contains("line 1: the data is not JSON"), "{transcript}");
    let ran = fixture.techleet(&["events", "list", "trials", "--entity", "user-42", "--format", "json"], "").await;
    let event: serde_json::Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(event["eventType"], "user.created");
    assert_eq!((event["service"].as_str(), event["key"].as_str()), (Some("techleet-cli"), Some("user-42")));
}

#[tokio::test]
async fn doctor_ends_with_4_and_says_what_to_do() {
    let fixture = Fixture::start().await;
    let ran = fixture.techleet(&["doctor", "--watch-ms", "1"], "").await;
    assert_eq!(ran.code, 4);
    insta::assert_snapshot!(fixture.masked(&ran.stdout));
    let ran = fixture.techleet(&["doctor", "--watch-ms", "1", "--format", "json"], "").await;
    let findings: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(findings.iter().any(|finding| finding["check"] == "topic user-events" && finding["status"] == "wrong"));
}

#[tokio::test]
async fn without_a_broker_commands_end_with_3_and_the_way_out() {
    for command in ["topics list", "groups list", "dlq list", "events list", "produce trials", "consume trials"] {
        let args: Vec<&str> = ["--set", "kafka.brokers=127.0.0.1:1"].into_iter().chain(command.split(' ')).collect();
        let ran = run(program(&args), "").await;
        assert_eq!(ran.code, 3, "{command}: {}", ran.stderr);
        let start = "techleet: no broker answers on 127.0.0.1:1; start one with `techleet up`";
        assert!(ran.stderr.starts_with(start), "{command}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[tokio::test]
async fn the_broker_starts_with_keys_of_kafka_and_tells_clients_what_it_was_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().display().to_string();
    let args = ["broker", "--listen", "127.0.0.1:0", "--data-dir", &data_dir, "--advertise", "localhost:0"];
    let keys = ["--config", "num.partitions=7", "--config", "connections_max=50"];
    let mut child =
        program(&[&args[..], &keys[..]].concat()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = line.strip_prefix("broker  ").unwrap();
    let topics = ["kafka-topics", "--bootstrap-server", address, "--topic", "trials"];
    let made = run(program(&[&topics[..], &["--create"]].concat()), "").await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let described = run(program(&[&topics[..], &["--describe"]].concat()), "").await.stdout;
    assert!(described.contains("PartitionCount: 7"), "{described}");
}

#[tokio::test]
async fn keys_of_the_broker_that_cannot_be_are_the_callers_mistake() {
    for (args, said) in [
        (&["broker", "--config", "no.such.key=1"][..], "there is no configuration key no.such.key; there are node_id"),
        (&["broker", "--config", "num.partitions=many"], "configuration key num.partitions is invalid: `many`"),
        (&["topics", "list", "--config", "num.partitions=1"], "--config num.partitions=1 is for `techleet broker`"),
        (&["topics", "list", "--config", "a.toml", "--config", "b.toml"], "--config names more than one file"),
    ] {
        let ran = run(program(args), "").await;
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with(&format!("techleet: {said}")), "{args:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_named_takes_no_filters() {
    for verb in ["redrive", "purge"] {
        for filter in [["--topic", "t"], ["--group", "g"], ["--kind", "panic"], ["--error", "e"], ["--since", "2h"]] {
            let ran = run(program(&[&["dlq", verb, "user-events.dlq/2/17"][..], &filter].concat()), "").await;
            assert_eq!(ran.code, 2, "{verb} {filter:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("cannot be used with") && ran.stderr.contains(filter[0]), "{}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn the_broker_alone_shows_metrics_and_health_where_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().display().to_string();
    let args = ["broker", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", &data_dir];
    let args = [&args[..], &["--config", "measure_interval_ms=10"]].concat();
    let mut child = program(&args).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    for head in ["broker  ", "http    "] {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        told.push(line.strip_prefix(head).unwrap().to_owned());
    }
    let brokers = format!("kafka.brokers={}", told[0]);
    for command in ["topics create trials --partitions 1", "produce trials"] {
        let args: Vec<&str> = ["--set", &brokers].into_iter().chain(command.split(' ')).collect();
        let ran = run(program(&args), "a record\n").await;
        assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
    }
    let ask = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", told[1])).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask("/health/live").await.0, 200);
    let (status, ready) = ask("/health/ready").await;
    assert_eq!((status, ready.contains("\"storage\":{\"status\":\"ready\"}")), (200, true), "{ready}");
    let (_, metrics) = ask("/metrics").await;
    for name in [
        "broker_appended_bytes_total{topic=\"trials\"}",
        "broker_appended_records_total{topic=\"trials\"} 1",
        "broker_requests_total{api=\"produce\"}",
        "broker_request_seconds_bucket{api=\"produce\"",
        "broker_sync_seconds_bucket",
        "broker_connections",
    ] {
        assert!(metrics.contains(name), "{name} in:\n{metrics}");
    }
}

#[tokio::test]
async fn the_broker_serves_metrics_on_loopback_alone_unless_it_is_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().display().to_string();
    let args = ["broker", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0", "--data-dir", &data_dir];
    let ran = run(program(&args), "").await;
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("broker_http.listen") && ran.stderr.contains("allow_public_bind"), "{}", ran.stderr);
}
