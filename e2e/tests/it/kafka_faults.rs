//! Apache Kafka that is slow, dies or sees members come and go: requests go on, health tells, no event is lost and no
//! effect is had twice.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use e2e::infrastructure::{Infrastructure, Metadata, REQUIRED, is_required};
use e2e::load::{Answers, Load};
use e2e::promises::{self, arrived};
use e2e::system::{Layout, System};
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::{GroupStart, Incoming, Interest, Transport};
use rustix::process::Signal;
use serde_json::Value;

use crate::background::LIBRARIES;

const USERS: &str = "user-service";
/// Requests that succeed while something is wrong.
const REQUESTS: usize = 20;
/// Members that join a group and leave it, one after the other.
const COMERS: usize = 4;

struct Scene {
    infrastructure: Infrastructure,
    system: System,
    answers: Answers,
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
async fn faults_of_apache_kafka_lose_no_event_and_repeat_no_effect() {
    if !is_required() {
        eprintln!("no {REQUIRED}: this test with real servers is left out");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(folder.path()).await;
    scene.it_stands_still().await;
    scene.check().await;
    scene.it_dies().await;
    scene.check().await;
    scene.members_come_and_go().await;
    scene.check().await;
    scene.system.stop().await.unwrap();
}

impl Scene {
    async fn begin(folder: &Path) -> Self {
        let infrastructure = Infrastructure::new(Metadata::KRaft, Path::new(LIBRARIES)).unwrap();
        infrastructure.start_kafka().await.unwrap();
        let settings = ["kafka.session_timeout_ms=6000".to_owned(), "kafka.delivery_timeout_ms=2000".to_owned()];
        let kafka = Some(infrastructure.brokers());
        let system = System::start_at(kafka, Layout::Apart, folder, &settings).await.unwrap();
        Self { infrastructure, system, answers: Answers::default() }
    }

    fn load(&self, name: &str) -> Load {
        Load::begin(&self.system, name).unwrap()
    }

    /// Ends a load that was not to notice anything.
    async fn end(&mut self, load: Load) {
        let answers = load.end().await;
        assert_eq!(answers.refused, 0, "requests do not need Kafka");
        self.answers.extend(answers);
    }

    /// Whether everything that was answered has come true. After each act, so that no more is on its way than one makes.
    async fn check(&mut self) {
        promises::check_all(&self.system, &self.answers.acknowledged).await.unwrap();
    }

    /// Waits until the user-service says so of Kafka, and of itself that requests can come.
    async fn kafka_is(&self, word: &str) {
        let url = format!("{}/health/ready", self.system.url(USERS));
        arrived(&format!("kafka is {word}"), async || {
            let answer = reqwest::get(&url).await?;
            let is_ready = answer.status() == 200;
            let body: Value = answer.json().await?;
            Ok((is_ready && body["checks"]["kafka"]["status"] == word).then_some(()))
        })
        .await
        .unwrap();
    }

    async fn it_stands_still(&mut self) {
        let load = self.load("slow");
        load.more_acknowledged(1).await.unwrap();
        self.infrastructure.signal("kafka", Signal::STOP).unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.infrastructure.signal("kafka", Signal::CONT).unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }

    async fn it_dies(&mut self) {
        self.kafka_is("ready").await;
        let load = self.load("dead");
        load.more_acknowledged(1).await.unwrap();
        self.infrastructure.kill("kafka").unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.kafka_is("degraded").await;
        self.infrastructure.start_kafka().await.unwrap();
        self.kafka_is("ready").await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }

    async fn members_come_and_go(&mut self) {
        let load = self.load("storm");
        load.more_acknowledged(1).await.unwrap();
        let config = KafkaConfig { brokers: self.system.broker(), ..KafkaConfig::default() };
        let transport = Arc::new(KafkaTransport::new(config).unwrap());
        for _ in 0..COMERS {
            let interest = Interest {
                group: "container-audit".to_owned(),
                topics: vec!["audit-events".to_owned()],
                instance: None,
                drain_max: Duration::from_secs(1),
                start: GroupStart::Earliest,
            };
            let mut member = transport.subscribe(interest).await.unwrap();
            // It takes its share and goes without having done anything.
            let assigned = async { while !matches!(member.next().await.unwrap(), Incoming::Assigned(_)) {} };
            tokio::time::timeout(Duration::from_secs(60), assigned).await.expect("it gets partitions");
            member.close().await;
        }
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }
}
