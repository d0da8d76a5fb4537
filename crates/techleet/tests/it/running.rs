//! A part that runs on a broker of this process: what it does to topics, and what it says when the broker is away.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use broker::{Broker, Config};
use ops::Kafka;
use tokio::process::Child;

use crate::support::{Fixture, program};

/// How long anything may take on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(90);
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How long the broker is away: longer than sessions of its groups live.
const AWAY: Duration = Duration::from_secs(12);
/// How many lines one part may write about that.
const LINES_MAX: usize = 8;

/// A part with what it says in a file.
struct Part {
    _process: Child,
    said: PathBuf,
}

impl Part {
    fn start(name: &str, brokers: &str, folder: &Path) -> Self {
        let said = folder.join("said");
        let mut command = program(&[]);
        for part in ["user_service", "company_service", "recruitment_service", "container"] {
            command.arg("--set").arg(format!("{part}.listen=127.0.0.1:0"));
        }
        command.arg("--set").arg(format!("kafka.brokers={brokers}")).arg("--data-dir").arg(folder.join("part"));
        command.args(["run", name]).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&said).unwrap()).kill_on_drop(true);
        Self { _process: command.spawn().unwrap(), said }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    async fn says(&self, words: &str) {
        until(words, async || self.said().contains(words)).await;
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(LOOK_PAUSE);
    let waiting = tokio::time::timeout(WAIT_MAX, async {
        while !holds().await {
            looks.tick().await;
        }
    });
    assert!(waiting.await.is_ok(), "in vain waited for: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_keeps_records_longer_where_the_table_says_so_and_tells_how_to_mend_the_rest() {
    let fixture = Fixture::start().await;
    for command in [
        "topics create user-events --partitions 1 --setting retention.ms=1000 --setting max.message.bytes=2000000",
        "topics create audit-events --partitions 3 --setting retention.ms=-1",
    ] {
        assert_eq!(fixture.techleet(&command.split(' ').collect::<Vec<_>>(), "").await.code, 0);
    }
    let part = Part::start("company-service", &fixture.config.brokers, fixture.dir.path());
    part.says("techleet topics alter user-events --partitions 3; keys move").await;
    part.says("techleet topics alter audit-events --setting retention.ms=7776000000").await;
    let kafka = Kafka::connect(fixture.config.clone()).await.unwrap();
    let setting = async |topic: &str, name: &str| {
        let settings = kafka.describe_topic(topic).await.unwrap().settings;
        settings.into_iter().find(|setting| setting.name == name).unwrap().value.unwrap()
    };
    assert_eq!(setting("user-events", "retention.ms").await, "604800000");
    assert_eq!(setting("user-events", "max.message.bytes").await, "2000000");
    assert_eq!(setting("audit-events", "retention.ms").await, "-1");
    // What it says to do mends it.
    for command in
        ["topics alter user-events --partitions 3", "topics alter audit-events --setting retention.ms=7776000000"]
    {
        assert_eq!(fixture.techleet(&command.split(' ').collect::<Vec<_>>(), "").await.code, 0);
    }
    let findings = kafka.check_topics(&kafka.cluster().await.unwrap()).await.unwrap();
    assert!(findings.iter().all(|finding| finding.advice.is_none()), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_is_told_once_and_so_is_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = |listen| Config { listen, data_dir: folder.path().join("broker"), ..Config::default() };
    let broker = Broker::start(config("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let address = broker.address();
    let part = Part::start("container", &address.to_string(), folder.path());
    let kafka = eventkit::transport::kafka::KafkaConfig { brokers: address.to_string(), ..Default::default() };
    let kafka = Kafka::connect(kafka).await.unwrap();
    until("the part's groups read", async || {
        let groups = kafka.list_groups().await.unwrap_or_default();
        groups.len() == 6 && groups.iter().all(|group| group.members == 1 && group.state == "Stable")
    })
    .await;
    drop(kafka);
    let before = part.said().lines().count();
    broker.shutdown().await.unwrap();
    part.says("kafka is away").await;
    // The outage is the experiment.
    let _ = tokio::time::timeout(AWAY, std::future::pending::<()>()).await;
    let broker = Broker::start(config(address)).await.unwrap();
    part.says("kafka is back").await;
    let said = part.said();
    let lines: Vec<&str> = said.lines().skip(before).collect();
    assert!(lines.len() <= LINES_MAX, "{} lines:\n{}", lines.len(), lines.join("\n"));
    let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!((count("kafka is away"), count("kafka is back")), (1, 1), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("away_ms=")), "{lines:?}");
    broker.shutdown().await.unwrap();
}
