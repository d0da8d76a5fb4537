//! What tests share: a broker of their own, clients of it, a clock to set, and waiting for a state.

pub(crate) mod administration;
pub(crate) mod batch;
pub(crate) mod child;
pub(crate) mod disk;
pub(crate) mod gated;
pub(crate) mod history;
pub(crate) mod lines;
pub(crate) mod look;
pub(crate) mod member;
pub(crate) mod soak;
pub(crate) mod story;
pub(crate) mod txn;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use broker::{Broker, Clock, Config, TopicSpec};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tempfile::TempDir;

use wire::Wire;

/// How long [`eventually`] waits before it gives up, and a client for one answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Asks again and again until the answer is `Some`.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = tokio::time::timeout(PATIENCE, async {
        let mut every = tokio::time::interval(Duration::from_millis(5));
        loop {
            every.tick().await;
            if let Some(reached) = ask().await {
                return reached;
            }
        }
    });
    asking.await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn at(now_ms: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now_ms)))
    }

    pub(crate) fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A running broker on a free port and in a directory of its own.
#[derive(Debug)]
pub(crate) struct Running {
    broker: Broker,
    config: Config,
    /// Removed with it, unless somebody else owns its directory.
    dir: Option<TempDir>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Started with a configuration that differs from the usual.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config =
            Config { listen: "127.0.0.1:0".parse().unwrap(), data_dir: dir.path().join("data"), ..Config::default() };
        change(&mut config);
        let broker = Broker::start(config.clone()).await.unwrap();
        Self { broker, config, dir: Some(dir) }
    }

    /// One that was started elsewhere.
    pub(crate) fn of(broker: Broker, config: Config) -> Self {
        Self { broker, config, dir: None }
    }

    /// Stopped with care.
    pub(crate) async fn stop(self) {
        self.broker.shutdown().await.unwrap();
    }

    /// Stopped with care and started again on the same directory, on another port.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { broker, mut config, dir } = self;
        broker.shutdown().await.unwrap();
        change(&mut config);
        let broker = Broker::start(config.clone()).await.unwrap();
        Self { broker, config, dir }
    }

    pub(crate) fn data_dir(&self) -> &std::path::Path {
        &self.config.data_dir
    }

    pub(crate) fn address(&self) -> String {
        self.broker.address().to_string()
    }

    /// Where a listener is, by its name.
    pub(crate) fn address_of(&self, listener: &str) -> String {
        self.broker.address_of(listener).unwrap().to_string()
    }

    /// A topic with these settings.
    pub(crate) async fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs: BTreeMap<String, String> =
            configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let spec = TopicSpec { name: name.to_owned(), partitions, configs };
        self.ensure(&spec).await;
    }

    pub(crate) async fn ensure(&self, spec: &TopicSpec) {
        self.broker.ensure_topic(spec).await.unwrap();
    }

    /// Whether the topic could be made.
    pub(crate) async fn try_ensure(&self, spec: &TopicSpec) -> bool {
        self.broker.ensure_topic(spec).await.is_ok()
    }

    pub(crate) fn client(&self, settings: &[(&str, &str)]) -> ClientConfig {
        client(&self.address(), settings)
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> FutureProducer {
        self.client(settings).create().unwrap()
    }

    pub(crate) fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> StreamConsumer {
        consumer(&self.address(), group, settings)
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client(&[]).create().unwrap()
    }

    pub(crate) async fn wire(&self) -> Wire {
        Wire::connect(&self.address()).await
    }
}

/// Settings of a client of the broker at `address`.
pub(crate) fn client(address: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// A consumer from the beginning that commits only when told to.
pub(crate) fn consumer(address: &str, group: &str, settings: &[(&str, &str)]) -> StreamConsumer {
    let mut config = client(
        address,
        &[
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "45000"),
            ("heartbeat.interval.ms", "100"),
            ("fetch.wait.max.ms", "50"),
        ],
    );
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// Sends one record and waits for its acknowledgement; returns where it went.
pub(crate) async fn send(producer: &FutureProducer, topic: &str, partition: i32, value: &str) -> (i32, i64) {
    let record = FutureRecord::<(), str>::to(topic).partition(partition).payload(value);
    let delivered = producer.send(record, PATIENCE).await.map_err(|(error, _)| error).unwrap();
    (delivered.partition, delivered.offset)
}

/// The next record's partition, offset and value.
pub(crate) async fn receive(consumer: &StreamConsumer) -> (i32, i64, String) {
    let received = tokio::time::timeout(PATIENCE, consumer.recv()).await.expect("a record in time").unwrap();
    let value = String::from_utf8(received.payload().unwrap_or_default().to_vec()).unwrap();
    (received.partition(), received.offset(), value)
}

/// A consumer's partitions, sorted.
pub(crate) fn assigned(consumer: &StreamConsumer) -> Vec<(String, i32)> {
    let assignment = consumer.assignment().unwrap();
    let mut partitions: Vec<(String, i32)> =
        assignment.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
    partitions.sort();
    partitions
}

/// The folder with the jars of Apache Kafka's tools, or why a test has none to try.
#[allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests find their infrastructure and say what they skip"
)]
pub(crate) fn kafka_tools_folder() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("TECHLEET_TEST_KAFKA_TOOLS");
    if folder.is_none() {
        assert!(std::env::var_os("REQUIRE_INFRA").is_none(), "TECHLEET_TEST_KAFKA_TOOLS names no folder with jars");
        println!("skipped: TECHLEET_TEST_KAFKA_TOOLS names no folder with the jars of Apache Kafka's tools");
    }
    folder.map(std::path::PathBuf::from)
}

/// What the soak tells tests by the environment, if it is there.
#[allow(clippy::disallowed_methods, reason = "the soak tells tests how long to go on")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
