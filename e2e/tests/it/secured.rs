//! Apache Kafka as in production: over TLS, with logins and access rules. Our client gets in by each way, strangers do
//! not; the whole system runs with no more rights than the list gives it, and no secret shows.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use contracts::traffic::{Resource, TRAFFIC};
use demo::Plan;
use e2e::end_state;
use e2e::infrastructure::{BACKGROUND, Infrastructure, Login, Metadata, REQUIRED, is_required, run_tool};
use e2e::load::{Answers, Load, REQUEST_PREFIX};
use e2e::program;
use e2e::promises::{self, arrived};
use e2e::stage;
use e2e::system::{BROKER, Layout, PARTS, System, login_settings};
use eventkit::testing::transport_suite;
use eventkit::transport::kafka::admin::{TopicSpec, ensure_topics};
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::{ConsumedRecord, Record, Transport};
use serde_json::Value;

use crate::background::LIBRARIES;
use crate::topics::{read_until_on, value};

const ADMIN: &str = "admin";
const USERS: &str = "user-service";
/// Each part comes in by another way.
const LOGINS: [Login; 4] = [Login::Scram, Login::Scram, Login::Plain, Login::Certificate];
const REQUESTS: usize = 20;
/// How often an event may be on its topic when another topic was found out to take nothing.
const COPIES_MAX: usize = 3;

#[test]
fn list_of_rights_is_the_table_of_the_contracts() {
    let mut expected = String::from(
        "# User, operation, resources: the table in crates/contracts/src/traffic.rs, which a test holds this list against.\n",
    );
    for traffic in TRAFFIC {
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        for right in traffic.rights() {
            let (kind, name) = match right.resource {
                Resource::Topic(name) => ("topic", name),
                Resource::Groups(name) => ("group-prefix", name),
            };
            let line = format!("{} {} {kind}", traffic.part, right.operation.name());
            match lines.iter_mut().find(|(found, _)| *found == line) {
                Some((_, names)) => names.push(name),
                None => lines.push((line, vec![name])),
            }
        }
        let order = |line: &str| (line.ends_with("group-prefix"), line.contains(" Write "));
        lines.sort_by_key(|(line, _)| order(line));
        for (line, names) in lines {
            expected.push_str(&format!("{line} {}\n", names.join(" ")));
        }
    }
    let found = std::fs::read_to_string(Path::new(BACKGROUND).join("access.list")).unwrap();
    assert_eq!(found, expected, "background/access.list must read:\n{expected}");
}

#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
fn is_left_out() -> bool {
    if !is_required() {
        eprintln!("no {REQUIRED}: this test with real servers is left out");
    }
    !is_required()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_transport_keeps_its_contract_over_tls_with_each_login_and_strangers_stay_out() {
    if is_left_out() {
        return;
    }
    let infrastructure = Infrastructure::new(Metadata::KRaft, Path::new(LIBRARIES)).unwrap().secured();
    infrastructure.start_kafka().await.unwrap();
    for login in [Login::Scram, Login::Plain, Login::Certificate] {
        let config = infrastructure.login(ADMIN, login);
        let create = async |name: String| {
            let topic = TopicSpec { name, partitions: 3, settings: Default::default() };
            ensure_topics(&config, &[topic]).await.unwrap();
        };
        transport_suite(Arc::new(KafkaTransport::new(config.clone()).unwrap()), create).await;
    }
    for stranger in strangers(&infrastructure) {
        let stranger = KafkaConfig { delivery_timeout_ms: 3_000, ..stranger };
        let transport = KafkaTransport::new(stranger.clone()).unwrap();
        transport.publish(vec![record()]).await.expect_err(&format!("{stranger:?} is let in"));
        arrived("it does not take the cluster for one that answers", async || Ok(transport.is_away().then_some(())))
            .await
            .unwrap();
    }
}

/// A wrong password, another authority, no certificate, and no TLS at all.
fn strangers(infrastructure: &Infrastructure) -> [KafkaConfig; 4] {
    let known = infrastructure.login(USERS, Login::Scram);
    let other_password = infrastructure.login("company-service", Login::Scram).sasl_password_file;
    let certified = infrastructure.login(USERS, Login::Certificate);
    [
        KafkaConfig { sasl_password_file: other_password, ..known.clone() },
        KafkaConfig { ssl_ca: String::new(), ..known.clone() },
        KafkaConfig { ssl_certificate: String::new(), ssl_key: String::new(), ..certified },
        KafkaConfig { security_protocol: "SASL_PLAINTEXT".to_owned(), ssl_ca: String::new(), ..known },
    ]
}

fn record() -> Record {
    Record { topic: "user-events".to_owned(), key: None, value: None, headers: Vec::new(), timestamp_ms: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_on_a_secured_kafka_with_kraft_and_a_topic_that_is_refused_waits_alone() {
    whole_system(Metadata::KRaft).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_on_a_secured_kafka_with_zookeeper_and_a_topic_that_is_refused_waits_alone() {
    whole_system(Metadata::ZooKeeper).await;
}

async fn whole_system(metadata: Metadata) {
    if is_left_out() {
        return;
    }
    let infrastructure = Infrastructure::new(metadata, Path::new(LIBRARIES)).unwrap().secured();
    infrastructure.start_kafka().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::prepare(Layout::Apart, folder.path(), &settings()).await.unwrap();
    system.stand_on(infrastructure.login(ADMIN, Login::Scram));
    system.keep_logs(folder.path().to_owned());
    system.configure("log.filter=debug");
    for ((part, _), login) in PARTS.into_iter().zip(LOGINS) {
        let login = infrastructure.login(part, login);
        system.configure_process(part, format!("kafka.brokers={}", login.brokers));
        for setting in login_settings(&login) {
            system.configure_process(part, setting);
        }
    }
    system.start_all().await.unwrap();
    let plan = Plan { companies: 1, employees: 6, jobs: 1, applications: 6, ..Plan::default() };
    let told = demo::tell(stage::story(&system, plan).unwrap()).await.unwrap();
    end_state::check(&system, &mut [told]).await.unwrap();
    let rule = ["--allow-principal", "User:user-service", "--operation", "Write", "--topic", "audit-events"];
    refused_topic(
        &system,
        async || {
            infrastructure.tool("kafka-acls", &[&["--remove", "--force"], &rule[..]].concat()).await.unwrap();
        },
        async || {
            infrastructure.tool("kafka-acls", &[&["--add"], &rule[..]].concat()).await.unwrap();
        },
    )
    .await;
    no_secret_shows(&system, &infrastructure, folder.path()).await;
    system.stop().await.unwrap();
}

fn settings() -> Vec<String> {
    [
        "kafka.session_timeout_ms=6000",
        "kafka.delivery_timeout_ms=5000",
        "auth.operator_token=the operator's own secret token of this test",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The embedded broker has logins and rules, too; Kafka's own tools set them.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_refused_waits_alone_on_the_embedded_broker() {
    if is_left_out() {
        return;
    }
    let tools = Infrastructure::new(Metadata::KRaft, Path::new(LIBRARIES)).unwrap();
    let bin = tools.tools().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::prepare(Layout::Apart, folder.path(), &settings()).await.unwrap();
    let (open, closed) = (system.broker(), format!("127.0.0.1:{}", tools.port("kafka")));
    for setting in [
        format!("broker.security.listeners=PLAINTEXT://{open},SASL_PLAINTEXT://{closed}"),
        "broker.security.authorize=true".to_owned(),
        "broker.security.super_users=User:ANONYMOUS".to_owned(),
    ] {
        system.configure_process(BROKER, setting);
    }
    system.start_process(BROKER).await.unwrap();
    ensure_topics(&system.kafka(), &required_topics()).await.unwrap();
    let server = ["--bootstrap-server", &open];
    for (part, _) in PARTS {
        let password = folder.path().join(format!("{part}.password"));
        std::fs::write(&password, format!("the password of {part}\n")).unwrap();
        let scram = folder.path().join(format!("{part}.scram"));
        std::fs::write(&scram, format!("SCRAM-SHA-512=password=the password of {part}\n")).unwrap();
        let user = ["--alter", "--entity-type", "users", "--entity-name", part, "--add-config-file"];
        run_tool(&bin, "kafka-configs", &[&server, &user[..], &[&scram.display().to_string()]].concat()).await.unwrap();
        let login = KafkaConfig {
            security_protocol: "SASL_PLAINTEXT".to_owned(),
            sasl_mechanism: "SCRAM-SHA-512".to_owned(),
            sasl_username: part.to_owned(),
            sasl_password_file: password.display().to_string(),
            ..KafkaConfig::default()
        };
        system.configure_process(part, format!("kafka.brokers={closed}"));
        for setting in login_settings(&login) {
            system.configure_process(part, setting);
        }
    }
    grant(&bin, &server).await;
    for (part, _) in PARTS {
        system.start_process(part).await.unwrap();
    }
    let rule = ["--allow-principal", "User:user-service", "--operation", "Write", "--topic", "audit-events"];
    let acls = async |what: &[&str]| {
        run_tool(&bin, "kafka-acls", &[&server, what, &rule[..]].concat()).await.unwrap();
    };
    refused_topic(&system, async || acls(&["--remove", "--force"]).await, async || acls(&["--add"]).await).await;
    system.stop().await.unwrap();
}

fn required_topics() -> Vec<TopicSpec> {
    let all = contracts::topics::required_topics().into_iter();
    all.map(|topic| TopicSpec { name: topic.name, partitions: topic.partitions, settings: topic.settings }).collect()
}

async fn grant(bin: &Path, server: &[&str]) {
    let path = format!("{}:{}", bin.display(), program::path_variable());
    let mut command = tokio::process::Command::new(Path::new(BACKGROUND).join("grant-access.sh"));
    let output = command.args(server).env("PATH", path).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The user-service loses the right to write one topic for a while: requests go on, health tells, other topics go on and
/// are not told everything again and again, and all follows in the end.
async fn refused_topic(system: &System, revoke: impl AsyncFn(), allow: impl AsyncFn()) {
    let mut answers = Answers::default();
    let load = Load::begin(system, "refused").unwrap();
    load.more_acknowledged(1).await.unwrap();
    revoke().await;
    relay_is(system, "degraded").await;
    load.more_acknowledged(REQUESTS).await.unwrap();
    let held = system.run(USERS, &["events", "held", "list", "--format", "json"]).await.unwrap();
    assert!(held.stdout.contains("\"audit-events\""), "{}{}", held.stdout, held.stderr);
    assert!(!held.stdout.contains("\"user-events\""), "{}", held.stdout);
    answers.extend(load.end().await);
    let all = answers.acknowledged.len();
    let records = read_until_on(system.kafka(), "user-events", move |records| told_of(records).len() >= all).await;
    let most = told_of(&records).into_values().max();
    assert!(most <= Some(COPIES_MAX), "an event is {most:?} times on a topic that takes all");
    allow().await;
    relay_is(system, "ready").await;
    let load = Load::begin(system, "allowed").unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    answers.extend(load.end().await);
    assert_eq!(answers.refused, 0, "requests do not need Kafka");
    promises::check_all(system, &answers.acknowledged).await.unwrap();
}

/// How often each event of a load is on the topic.
fn told_of(records: &[ConsumedRecord]) -> HashMap<String, usize> {
    let mut told = HashMap::new();
    for event in records.iter().map(value) {
        let is_of_load = event["correlationId"].as_str().is_some_and(|id| id.starts_with(REQUEST_PREFIX));
        if is_of_load {
            *told.entry(event["eventId"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    told
}

async fn relay_is(system: &System, word: &str) {
    let url = format!("{}/health/ready", system.url(USERS));
    arrived(&format!("the relay is {word}"), async || {
        let answer = reqwest::get(&url).await?;
        assert_eq!(answer.status(), 200, "requests go on");
        let body: Value = answer.json().await?;
        let relay = &body["checks"]["relay"];
        let is_named = word == "ready" || relay["reason"].as_str().is_some_and(|said| said.contains("audit-events"));
        Ok((relay["status"] == word && is_named).then_some(()))
    })
    .await
    .unwrap();
}

/// Neither in what the parts log at their most talkative, nor in what they print of their configuration, nor on any
/// command line of this machine.
async fn no_secret_shows(system: &System, infrastructure: &Infrastructure, folder: &Path) {
    let mut secrets = vec![system.operator_token(USERS).unwrap()];
    for (part, _) in PARTS {
        let path = infrastructure.secrets().join(format!("{part}.password"));
        secrets.push(std::fs::read_to_string(path).unwrap().trim().to_owned());
    }
    let printed = system.run(USERS, &["config", "print"]).await.unwrap();
    assert!(printed.status.success(), "{}", printed.stderr);
    let mut places = vec![("config print".to_owned(), printed.stdout)];
    for (part, _) in PARTS {
        let log = std::fs::read_to_string(folder.join(format!("{part}.log"))).unwrap();
        assert!(log.contains("DEBUG"), "{part} logs little: {log}");
        places.push((format!("the log of {part}"), log));
        let line = std::fs::read(format!("/proc/{}/cmdline", system.process_id(part).unwrap())).unwrap();
        places.push((format!("the command line of {part}"), String::from_utf8_lossy(&line).into_owned()));
    }
    let log = std::fs::read_to_string(infrastructure.folder().join("kafka/log")).unwrap();
    places.push(("the log of Kafka".to_owned(), log));
    places.push(("a command line".to_owned(), command_lines()));
    for (place, text) in places {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "a secret shows in {place}");
    }
}

/// Of every process.
fn command_lines() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok());
    // One that ends meanwhile has none any more.
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}
