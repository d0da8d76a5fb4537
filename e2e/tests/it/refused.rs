//! An event larger than its topic takes, on the way from an event store to the embedded broker.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{path::Path, sync::Arc};

use broker::{Broker, Config};
use db::Db;
use eventkit::relay::{self, RelayConfig, held};
use eventkit::testing::eventually;
use eventkit::transport::kafka::admin::{KafkaAdmin, TopicSpec, ensure_topics};
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, KafkaTransport, Next, Start};
use eventkit::{Clock, Envelope, EventPublisher, Origin};

const TOPIC: &str = "accounts";
const FOLLOWERS: usize = 200;
/// How large each of those is: together they go out in more requests than one.
const FOLLOWER_BYTES: usize = 16 * 1024;
/// What the topic takes at first, which is what brokers take by default; the large event is above it.
const LIMIT: usize = 1_048_588;

async fn store(publisher: &EventPublisher, key: &str, name: &str, bytes: usize) {
    let data = "x".repeat(bytes);
    let envelope = format!(r#"{{"eventType":"account.told","data":{{"name":"{name}","filler":"{data}"}}}}"#);
    let mut work = publisher.begin(Origin::default());
    work.publish_event(TOPIC, key, Envelope::read(envelope.as_bytes()).unwrap()).await.unwrap();
    work.commit().await.unwrap();
}

/// The names told of a key, in the order in which they came first.
async fn told(config: &KafkaConfig, key: &'static str) -> Vec<String> {
    let config = config.clone();
    let read = move || {
        let reader = KafkaReader::open(&config, TOPIC, None, Start::Beginning).unwrap();
        let mut told: Vec<String> = Vec::new();
        loop {
            match reader.next_or_end(Duration::from_secs(10)).unwrap() {
                Next::Record(consumed) if consumed.record.key.as_deref() == Some(key.as_bytes()) => {
                    let value: serde_json::Value = serde_json::from_slice(&consumed.record.value.unwrap()).unwrap();
                    let name = value["data"]["name"].as_str().unwrap().to_owned();
                    if !told.contains(&name) {
                        told.push(name);
                    }
                }
                Next::Record(_) => {}
                Next::Nothing | Next::End => return told,
            }
        }
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

async fn publisher(folder: &Path) -> EventPublisher {
    let db = Db::open(&db::Config::new(format!("sqlite:{}", folder.join("bank.db").display()))).await.unwrap();
    eventkit::outbox::migrate(&db).await.unwrap();
    EventPublisher::new(db, "bank", Clock::system())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_behind_one_that_is_too_large_wait_and_follow_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        Config { listen: "127.0.0.1:0".parse().unwrap(), data_dir: folder.path().join("broker"), ..Config::default() };
    let broker = Broker::start(config).await.unwrap();
    let config = KafkaConfig { brokers: broker.address().to_string(), ..KafkaConfig::default() };
    let limited = BTreeMap::from([("max.message.bytes".to_owned(), LIMIT.to_string())]);
    let spec = TopicSpec { name: TOPIC.to_owned(), partitions: 1, settings: limited };
    ensure_topics(&config, &[spec]).await.unwrap();

    let publisher = publisher(folder.path()).await;
    store(&publisher, "account-1", "before", 10).await;
    store(&publisher, "account-1", "large", LIMIT).await;
    let names: Vec<String> = (0..FOLLOWERS).map(|number| number.to_string()).collect();
    for name in &names {
        store(&publisher, "account-1", name, FOLLOWER_BYTES).await;
    }
    store(&publisher, "account-2", "other", 10).await;
    let transport = Arc::new(KafkaTransport::new(config.clone()).unwrap());
    let relay_config =
        RelayConfig { held_retry_interval: Duration::from_millis(50), ..RelayConfig::new("bank", "copy-1") };
    let relay = relay::start(relay_config, publisher.clone(), transport);
    eventually("the other key goes on", async || (told(&config, "account-2").await == ["other"]).then_some(())).await;
    eventually("it is tried again", async || {
        let held = held::list(publisher.db(), "bank").await.unwrap();
        (held.len() == FOLLOWERS + 1 && held[0].attempts > 2).then_some(())
    })
    .await;
    assert_eq!(told(&config, "account-1").await, ["before"]);

    let raised = BTreeMap::from([("max.message.bytes".to_owned(), (LIMIT * 2).to_string())]);
    KafkaAdmin::new(config.clone()).unwrap().alter_topic_settings(TOPIC, &raised).await.unwrap();
    eventually("all follow", async || held::list(publisher.db(), "bank").await.unwrap().is_empty().then_some(())).await;
    let mut expected = vec!["before".to_owned(), "large".to_owned()];
    expected.extend(names);
    assert_eq!(told(&config, "account-1").await, expected);
    relay.stop(Duration::from_secs(5)).await;
    broker.shutdown().await.unwrap();
}
