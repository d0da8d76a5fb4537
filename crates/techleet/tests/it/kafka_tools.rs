//! Kafka's tools by their names print what Apache's own do: both are compared with one record of the latter.
//!
//! The record was made by Apache Kafka 4.3.1's tools over the embedded broker; to make it anew, set
//! `TECHLEET_TEST_KAFKA_TOOLS` to a folder with their jars, and `TECHLEET_RECORD_KAFKA_TOOLS=1`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eventkit::testing::eventually;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::{GroupStart, Interest, Subscription, Transport};
use ops::Kafka;
use tokio::process::Command;

use crate::support::{Fixture, is_recording, kafka_tools_folder, program, run};

const RECORD: &str = "tests/it/kafka_tools/apache_kafka_4.3.1.txt";
/// A group with a member for as long as a scenario runs.
const LIVE: &str = "live";

/// Commands in order, with what they read from stdin.
const SCENARIO: &[(&str, &str)] = &[
    ("kafka-topics --create --topic trials --partitions 2 --replication-factor 1 --config retention.ms=86400000", ""),
    ("kafka-topics --create --topic trials", ""),
    ("kafka-topics --create --topic trials --if-not-exists", ""),
    ("kafka-topics --create --topic with.dot --partitions 1", ""),
    ("kafka-topics --list --exclude-internal", ""),
    ("kafka-topics --describe --topic trials", ""),
    ("kafka-topics --describe --topic trials|with.*", ""),
    ("kafka-topics --describe --topic nowhere", ""),
    ("kafka-topics --describe --topic trials --topics-with-overrides", ""),
    ("kafka-topics --describe --topic trials --under-replicated-partitions", ""),
    ("kafka-topics --delete --topic nowhere", ""),
    ("kafka-topics --delete --topic nowhere --if-exists", ""),
    (
        "kafka-console-producer --topic with.dot --reader-property parse.key=true --reader-property key.separator=:",
        "a:1\nb:2\n",
    ),
    ("kafka-console-producer --topic with.dot", "3\n"),
    ("kafka-console-producer --topic with.dot --reader-property parse.key=true", "no key\n"),
    ("kafka-console-producer --topic with.dot --reader-property parse.headers=true", "h:1,i:2\t4\n"),
    ("kafka-console-consumer --topic with.dot --from-beginning --max-messages 4", ""),
    (
        "kafka-console-consumer --topic with.dot --partition 0 --offset 2 --max-messages 2 --formatter-property print.headers=true",
        "",
    ),
    (
        "kafka-console-consumer --topic with.dot --from-beginning --max-messages 3 --group readers --formatter-property print.key=true --formatter-property print.offset=true --formatter-property print.partition=true --formatter-property print.timestamp=true",
        "",
    ),
    ("kafka-consumer-groups --list", ""),
    ("kafka-consumer-groups --list --state", ""),
    ("kafka-consumer-groups --list --type", ""),
    ("kafka-consumer-groups --describe --group readers", ""),
    ("kafka-consumer-groups --describe --group readers --members", ""),
    ("kafka-consumer-groups --describe --group readers --state", ""),
    ("kafka-consumer-groups --describe --group live", ""),
    ("kafka-consumer-groups --describe --group live --members", ""),
    ("kafka-consumer-groups --describe --group live --members --verbose", ""),
    ("kafka-consumer-groups --describe --group live --state", ""),
    ("kafka-consumer-groups --describe --group nobody", ""),
    ("kafka-consumer-groups --reset-offsets --group readers --all-topics --to-earliest", ""),
    ("kafka-consumer-groups --reset-offsets --group readers --topic with.dot --shift-by -1 --execute", ""),
    ("kafka-consumer-groups --reset-offsets --group readers --topic with.dot:0 --to-offset 99 --dry-run", ""),
    ("kafka-consumer-groups --reset-offsets --group readers --all-topics --to-current --export --dry-run", ""),
    ("kafka-consumer-groups --reset-offsets --group live --all-topics --to-earliest --execute", ""),
    ("kafka-consumer-groups --delete --group live", ""),
    ("kafka-consumer-groups --delete --group nobody", ""),
    ("kafka-consumer-groups --delete --group readers", ""),
    ("kafka-topics --delete --topic with.dot", ""),
    ("kafka-topics --list --exclude-internal", ""),
];

#[tokio::test]
async fn ours_print_what_kafkas_tools_print() {
    let printed = play(&|tool| program(&[tool])).await;
    assert_eq!(printed, std::fs::read_to_string(record()).unwrap());
}

#[tokio::test]
async fn kafkas_tools_print_what_was_recorded_of_them() {
    let Some(folder) = kafka_tools_folder() else { return };
    let printed = play(&|tool| java(&folder, tool)).await;
    if is_recording() {
        std::fs::create_dir_all(record().parent().unwrap()).unwrap();
        std::fs::write(record(), &printed).unwrap();
    }
    assert_eq!(printed, std::fs::read_to_string(record()).unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_of_a_tools_name_is_that_tool() {
    let fixture = Fixture::start().await;
    let link = fixture.dir.path().join("kafka-topics.sh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_techleet"), &link).unwrap();
    let mut command = Command::new(&link);
    command.args(["--bootstrap-server", &fixture.config.brokers, "--create", "--topic", "trials"]);
    assert_eq!(run(command, "").await.stdout, "Created topic trials.\n");
}

#[tokio::test]
async fn mistakes_of_the_caller_end_with_1() {
    for (tool, args, said) in [
        ("kafka-topics", "--list", "--bootstrap-server must be specified"),
        ("kafka-topics", "--bootstrap-server x", "Command must include exactly one action"),
        ("kafka-topics", "--bootstrap-server x --alter --topic trials", r#"Missing required argument "[partitions]""#),
        (
            "kafka-topics",
            "--bootstrap-server x --alter --topic trials --partitions 3 --config a=b",
            r#"can't be used with option "[alter]""#,
        ),
        ("kafka-consumer-groups", "--bootstrap-server x", "Command must include exactly one action"),
        ("kafka-console-consumer", "--bootstrap-server x", "Exactly one of the following arguments is required"),
        ("kafka-console-producer", "--nope", "unexpected argument '--nope'"),
    ] {
        let mut command = program(&[tool]);
        command.args(args.split(' '));
        let ran = run(command, "").await;
        assert_eq!(ran.code, 1, "{tool} {args}");
        assert!(ran.stderr.contains(said), "{tool} {args}: {}", ran.stderr);
    }
}

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORD)
}

/// The scenario with these tools, as a transcript.
async fn play(tool: &dyn Fn(&str) -> Command) -> String {
    let fixture = Fixture::start().await;
    let mut member = None;
    let mut text = String::new();
    for (line, stdin) in SCENARIO {
        if line.contains("--group live") && member.is_none() {
            member = Some(join(&fixture).await);
        }
        let mut words = line.split(' ');
        let mut command = tool(words.next().unwrap());
        command.args(["--bootstrap-server", &fixture.config.brokers]).args(words);
        let ran = run(command, stdin).await;
        text.push_str(&format!("$ {line}\n{}= {}\n\n", masked(&fixture, &ran.stdout), ran.code));
    }
    text
}

async fn join(fixture: &Fixture) -> Box<dyn Subscription> {
    let config = KafkaConfig { client_id: "reader".to_owned(), ..fixture.config.clone() };
    let (group, topics) = (LIVE.to_owned(), vec!["trials".to_owned()]);
    let interest =
        Interest { group, topics, instance: None, drain_max: Duration::from_secs(1), start: GroupStart::Earliest };
    let member = KafkaTransport::new(config).unwrap().subscribe(interest).await.unwrap();
    let kafka = Kafka::connect(fixture.config.clone()).await.unwrap();
    eventually("the member reads", async || {
        let group = kafka.describe_group(LIVE).await.ok()?;
        (group.state == "Stable" && group.partitions.len() == 2).then_some(())
    })
    .await;
    member
}

/// Without what differs from run to run, and without what ours does not know.
fn masked(fixture: &Fixture, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(masked_line).collect();
    // Kafka's tool makes a group for each console consumer, under a number of its own.
    lines.retain(|line| !line.starts_with("console-consumer-"));
    lines.iter().map(|line| format!("{}\n", fixture.masked(line))).collect()
}

fn masked_line(line: &str) -> String {
    let mut line = line.to_owned();
    // The client library does not tell the ids of topics.
    if let Some((before, rest)) = line.split_once("\tTopicId: ") {
        let (_, after) = rest.split_once('\t').unwrap_or_default();
        line = format!("{before}\t{after}");
    }
    if let Some((before, rest)) = line.split_once("CreateTime:") {
        line = format!("{before}CreateTime:TIME{}", rest.trim_start_matches(|char: char| char.is_ascii_digit()));
    }
    if let Some((before, rest)) = line.split_once("reader-").filter(|(_, rest)| rest.len() >= 36) {
        line = format!("{before}reader-{}{}", "U".repeat(36), &rest[36..]);
    }
    // What the broker says beside an error's name is the broker's; and a table's width follows made-up names.
    for known in ["GroupIdNotFoundException", "Error while executing topic command"] {
        if let Some((before, _)) = line.split_once(known).filter(|_| !line.contains("does not exist as expected")) {
            line = format!("{before}{known} : WORDS");
        }
    }
    if ["STATE", "TYPE", "Empty", "Stable", "Classic"].iter().any(|word| line.trim_end().ends_with(word)) {
        line = line.split_whitespace().collect::<Vec<_>>().join("  ");
    }
    visible(&line)
}

/// What the eye does not see, so that an editor does not take it away: tabs, and spaces at the end.
fn visible(line: &str) -> String {
    let end = if line.ends_with(' ') { "|" } else { "" };
    format!("{}{end}", line.replace('\t', "\\t"))
}

fn java(folder: &Path, tool: &str) -> Command {
    let class = match tool {
        "kafka-topics" => "TopicCommand",
        "kafka-console-consumer" => "consumer.ConsoleConsumer",
        "kafka-console-producer" => "ConsoleProducer",
        _ => "consumer.group.ConsumerGroupCommand",
    };
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF", "-cp"]);
    command.arg(folder.join("*")).arg(format!("org.apache.kafka.tools.{class}"));
    command
}
