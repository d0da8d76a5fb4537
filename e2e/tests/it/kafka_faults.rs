//! Apache Kafka that is slow, stands still, dies, loses a topic or sees members come and go: requests go on, health tells,
//! no event is lost and no effect is had twice.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use e2e::infrastructure::{Infrastructure, Metadata, REQUIRED, is_required, postgres_url};
use e2e::load::{Answers, Load};
use e2e::promises::{self, arrived};
use e2e::slow_proxy::SlowProxy;
use e2e::system::{Layout, System};
use eventkit::transport::kafka::KafkaTransport;
use eventkit::transport::kafka::admin::KafkaAdmin;
use eventkit::transport::{GroupStart, Incoming, Interest, Transport};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::background::LIBRARIES;

const USERS: &str = "user-service";
const USERS_COPY: &str = "user-service-2";
/// Requests that succeed while something is wrong.
const REQUESTS: usize = 20;
/// Foreign members that join each group at a time, and how often.
const COMERS: usize = 2;
const WAVES: usize = 3;
/// The groups that they join, each with a topic that it reads.
const GROUPS: [(&str, &str); 4] = [
    ("company-service", "user-events"),
    ("container-router", "user-events"),
    ("container-mail", "notification-events"),
    ("container-audit", "audit-events"),
];
/// More than a record may wait for its acknowledgement.
const DELAY: Duration = Duration::from_secs(3);
/// How often one copy of a service freezes while it publishes.
const FREEZES: usize = 4;

struct Scene {
    infrastructure: Infrastructure,
    /// The way by which everybody comes to Kafka.
    way: SlowProxy,
    system: System,
    answers: Answers,
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_kafka_with_kraft_lose_no_event_and_repeat_no_effect() {
    faults(Metadata::KRaft).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_kafka_with_zookeeper_lose_no_event_and_repeat_no_effect() {
    faults(Metadata::ZooKeeper).await;
}

#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
fn is_left_out() -> bool {
    if !is_required() {
        eprintln!("no {REQUIRED}: this test with real servers is left out");
    }
    !is_required()
}

async fn faults(metadata: Metadata) {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(metadata, folder.path()).await;
    scene.it_stands_still().await;
    scene.check().await;
    scene.it_is_slow().await;
    scene.check().await;
    scene.it_dies().await;
    scene.check().await;
    scene.members_come_and_go().await;
    scene.check().await;
    scene.a_topic_is_deleted().await;
    scene.system.stop().await.unwrap();
}

impl Scene {
    async fn begin(metadata: Metadata, folder: &Path) -> Self {
        let infrastructure = Infrastructure::new(metadata, Path::new(LIBRARIES)).unwrap();
        let way = SlowProxy::start(([127, 0, 0, 1], infrastructure.port("kafka")).into()).await.unwrap();
        let infrastructure = infrastructure.behind(way.address().port());
        infrastructure.start_kafka().await.unwrap();
        let settings = ["kafka.session_timeout_ms=6000".to_owned(), "kafka.delivery_timeout_ms=2000".to_owned()];
        let kafka = Some(infrastructure.brokers());
        let system = System::start_at(kafka, Layout::Apart, folder, &settings).await.unwrap();
        Self { infrastructure, way, system, answers: Answers::default() }
    }

    fn load(&self, name: &str) -> Load {
        Load::begin_unhurried(&self.system, name).unwrap()
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

    /// Waits until the part says so of one thing, or of one of several, and of itself that requests can come.
    async fn says(&self, part: &str, things: &[&str], word: &str) {
        let url = format!("{}/health/ready", self.system.url(part));
        arrived(&format!("{part} says that one of {things:?} is {word}"), async || {
            let answer = reqwest::get(&url).await?;
            let is_ready = answer.status() == 200;
            let body: Value = answer.json().await?;
            let is_so = things.iter().any(|thing| body["checks"][thing]["status"] == word);
            Ok((is_ready && is_so).then_some(()))
        })
        .await
        .unwrap();
    }

    async fn it_stands_still(&mut self) {
        let load = self.load("still");
        load.more_acknowledged(1).await.unwrap();
        self.infrastructure.signal("kafka", Signal::STOP).unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.says(USERS, &["relay"], "degraded").await;
        self.infrastructure.signal("kafka", Signal::CONT).unwrap();
        self.says(USERS, &["relay"], "ready").await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }

    /// Every answer comes, and later than anybody waits for it.
    async fn it_is_slow(&mut self) {
        let load = self.load("slow");
        load.more_acknowledged(1).await.unwrap();
        self.way.delay(DELAY);
        self.says(USERS, &["relay"], "degraded").await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.way.delay(Duration::ZERO);
        self.says(USERS, &["relay"], "ready").await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }

    async fn it_dies(&mut self) {
        let parts = [USERS, "company-service", "recruitment-service", "container"];
        for part in parts {
            self.says(part, &["kafka"], "ready").await;
        }
        let load = self.load("dead");
        load.more_acknowledged(1).await.unwrap();
        self.infrastructure.kill("kafka").unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        for part in parts {
            self.says(part, &["kafka"], "degraded").await;
        }
        self.infrastructure.start_kafka().await.unwrap();
        for part in parts {
            self.says(part, &["kafka"], "ready").await;
        }
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }

    async fn members_come_and_go(&mut self) {
        let load = self.load("storm");
        load.more_acknowledged(1).await.unwrap();
        let transport = Arc::new(KafkaTransport::new(self.system.kafka()).unwrap());
        for _ in 0..WAVES {
            let mut comers = JoinSet::new();
            for (group, topic) in GROUPS {
                for _ in 0..COMERS {
                    comers.spawn(come_and_go(transport.clone(), group, topic));
                }
            }
            while let Some(gone) = comers.join_next().await {
                gone.unwrap();
            }
        }
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
    }

    /// What was on it and not handled yet is told again by an operator, from the service's store.
    async fn a_topic_is_deleted(&mut self) {
        let load = self.load("deleted");
        load.more_acknowledged(REQUESTS).await.unwrap();
        KafkaAdmin::new(self.system.kafka()).unwrap().delete_topic("user-events").await.unwrap();
        self.says(USERS, &["relay", "topics"], "degraded").await;
        load.more_acknowledged(REQUESTS).await.unwrap();
        self.end(load).await;
        for thing in ["relay", "topics"] {
            self.says(USERS, &[thing], "ready").await;
        }
        for told in ["user.created", "user.updated"] {
            let args = ["--service", USERS, "--type", told, "--to-topic", "user-events", "--yes"];
            let ran = self.system.run(USERS, &[&["events", "replay"], &args[..]].concat()).await.unwrap();
            assert!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
        }
        promises::check_effects(&self.system, &self.answers.acknowledged).await.unwrap();
    }
}

/// It takes its share and goes without having done anything.
async fn come_and_go(transport: Arc<KafkaTransport>, group: &str, topic: &str) {
    let interest = Interest {
        group: group.to_owned(),
        topics: vec![topic.to_owned()],
        instance: None,
        drain_max: Duration::from_secs(1),
        start: GroupStart::Earliest,
    };
    let mut member = transport.subscribe(interest).await.unwrap();
    let assigned = async { while !matches!(member.next().await.unwrap(), Incoming::Assigned(_)) {} };
    tokio::time::timeout(Duration::from_secs(60), assigned).await.expect("it gets partitions");
    member.close().await;
}

/// A copy of a service stands still while it publishes, until another has taken its lease and published what it had, and
/// then goes on as if nothing had been.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_comes_back_after_another_took_over_repeats_no_effect_and_breaks_no_order() {
    let Some(url) = postgres_url() else { return };
    if is_left_out() {
        return;
    }
    let infrastructure = Infrastructure::new(Metadata::KRaft, Path::new(LIBRARIES)).unwrap();
    infrastructure.start_kafka().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = uuid::Uuid::now_v7().simple().to_string();
    let settings = [
        format!("database.url={url}"),
        format!("database.schema=e2e_{run}_{{part}}"),
        "database.connections_max=4".to_owned(),
        "auth.operator_token=an operator token for all the copies".to_owned(),
        "eventkit.relay_lease_ms=3000".to_owned(),
        "kafka.session_timeout_ms=6000".to_owned(),
    ];
    let kafka = Some(infrastructure.brokers());
    let system = System::start_at(kafka, Layout::Copies, folder.path(), &settings).await.unwrap();
    let mut answers = Answers::default();
    for freeze in 0..FREEZES {
        let load = Load::begin(&system, &format!("before{freeze}")).unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        let (zombie, other) = publishing(&system, &load).await;
        // Only now, so that no answer waits for the copy that stands still.
        answers.extend(load.end().await);
        let load = Load::begin_at(&system, &format!("frozen{freeze}"), &system.url_of_process(other)).unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        system.freeze(zombie).await.unwrap();
        let before = published(&system, other).await.unwrap();
        arrived("the other copy publishes", async || Ok((published(&system, other).await? > before).then_some(())))
            .await
            .unwrap();
        system.thaw(zombie).unwrap();
        load.more_acknowledged(REQUESTS).await.unwrap();
        answers.extend(load.end().await);
    }
    promises::check_all(&system, &answers.acknowledged).await.unwrap();
    system.stop().await.unwrap();
}

/// The copy that publishes under this load, and the other one.
async fn publishing(system: &System, load: &Load) -> (&'static str, &'static str) {
    let before = [published(system, USERS).await.unwrap(), published(system, USERS_COPY).await.unwrap()];
    arrived("one copy publishes", async || {
        load.more_acknowledged(1).await?;
        let now = [published(system, USERS).await?, published(system, USERS_COPY).await?];
        Ok(match (now[0] > before[0], now[1] > before[1]) {
            (true, _) => Some((USERS, USERS_COPY)),
            (_, true) => Some((USERS_COPY, USERS)),
            _ => None,
        })
    })
    .await
    .unwrap()
}

/// How many events a copy has published since its start.
async fn published(system: &System, process: &str) -> anyhow::Result<u64> {
    let text = reqwest::get(format!("{}/metrics", system.url_of_process(process))).await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("eventkit_published_total{"));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0))
}
