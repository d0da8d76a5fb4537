//! The Kafka transport keeps the contract of every transport, over the embedded broker and over Apache Kafka.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config};
use e2e::ground::Ground;
use eventkit::testing::{refusal_suite, transport_suite};
use eventkit::transport::kafka::admin::{TopicSpec, ensure_topics};
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::{
    GroupStart, Incoming, Interest, Record, Subscription, TopicPartition, Transaction, Transport,
};

use crate::background::LIBRARIES;
use crate::topics::read_until_on;

/// The year 2286.
const FAR_AHEAD_MS: i64 = 10_000_000_000_000;

async fn broker(data_dir: &Path) -> (Broker, Arc<KafkaTransport>) {
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), data_dir: data_dir.to_owned(), ..Config::default() };
    let broker = Broker::start(config).await.unwrap();
    let config = KafkaConfig { brokers: broker.address().to_string(), ..KafkaConfig::default() };
    (broker, Arc::new(KafkaTransport::new(config).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_transport_keeps_the_contract_on_the_embedded_broker() {
    let data_dir = tempfile::tempdir().unwrap();
    let (broker, transport) = broker(data_dir.path()).await;
    transport_suite(transport, async |_| {}).await;
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_transport_keeps_the_contract_on_the_broker_of_this_run() {
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    // Without one the broker is the embedded one, as above.
    let Some(brokers) = ground.brokers() else { return };
    let config = KafkaConfig { brokers, ..KafkaConfig::default() };
    let create = async |name: String| {
        let topic = TopicSpec { name, partitions: 3, settings: BTreeMap::new() };
        ensure_topics(&config, &[topic]).await.unwrap();
    };
    transport_suite(Arc::new(KafkaTransport::new(config.clone()).unwrap()), create).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_a_record_that_the_broker_refuses() {
    let data_dir = tempfile::tempdir().unwrap();
    let (broker, _) = broker(data_dir.path()).await;
    // Without a pause to gather, records go out in many requests, of which several are on their way at a time.
    let config = KafkaConfig { brokers: broker.address().to_string(), linger_ms: 0, ..KafkaConfig::default() };
    // What the broker takes at the most by default is more than the client puts into one request.
    let spec = TopicSpec { name: "accounts".to_owned(), partitions: 1, settings: BTreeMap::new() };
    // As Apache Kafka does by default.
    let settings = BTreeMap::from([("message.timestamp.after.max.ms".to_owned(), "3600000".to_owned())]);
    let in_time = TopicSpec { name: "events".to_owned(), partitions: 1, settings };
    assert_eq!(ensure_topics(&config, std::slice::from_ref(&spec)).await.unwrap(), ["accounts"]);
    assert_eq!(ensure_topics(&config, &[spec, in_time]).await.unwrap(), ["events"], "one was there");
    let too_large = Record {
        topic: "accounts".to_owned(),
        key: Some("account-1".into()),
        value: Some(vec![b'x'; 1_100_000].into()),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    refusal_suite(Arc::new(KafkaTransport::new(config.clone()).unwrap()), &too_large).await;
    // The clock of whoever stored it was wrong.
    let from_the_future =
        Record { topic: "events".to_owned(), value: Some("x".into()), timestamp_ms: Some(FAR_AHEAD_MS), ..too_large };
    refusal_suite(Arc::new(KafkaTransport::new(config.clone()).unwrap()), &from_the_future).await;
    broker.shutdown().await.unwrap();
}

/// Waits for the partitions of the one topic.
async fn assigned(subscription: &mut Box<dyn Subscription>) {
    while !matches!(subscription.next().await.unwrap(), Incoming::Assigned(_)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_another_has_fenced_is_told_that_its_subscription_is_over() {
    let data_dir = tempfile::tempdir().unwrap();
    let (broker, transport) = broker(data_dir.path()).await;
    let record =
        Record { topic: "accounts".to_owned(), key: None, value: None, headers: Vec::new(), timestamp_ms: None };
    transport.publish(vec![record]).await.unwrap();
    let interest = Interest {
        group: "group".to_owned(),
        topics: vec!["accounts".to_owned()],
        instance: Some("copy-1".to_owned()),
        drain_max: Duration::from_secs(1),
        start: GroupStart::Earliest,
    };
    let mut former = transport.subscribe(interest.clone()).await.unwrap();
    assigned(&mut former).await;
    let mut present = transport.subscribe(interest).await.unwrap();
    assigned(&mut present).await;
    let over = async { while former.next().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), over).await.expect("the former one hears of it");
    former.close().await;
    present.close().await;
    broker.shutdown().await.unwrap();
}

/// A record of a topic with one partition.
fn record(topic: &str, value: &str) -> Record {
    let value = Some(value.to_owned().into());
    Record { topic: topic.to_owned(), key: None, value, headers: Vec::new(), timestamp_ms: None }
}

/// The next records, which end with one of this value.
async fn next_until(subscription: &mut Box<dyn Subscription>, last: &str) {
    loop {
        if let Incoming::Records(records) = subscription.next().await.unwrap()
            && records.iter().any(|record| record.record.value.as_deref() == Some(last.as_bytes()))
        {
            return;
        }
    }
}

/// Sends and offsets of a member count together or not at all, and those of a former one not at all.
async fn transactions_count_whole(config: KafkaConfig) {
    let topic = |name: &str| TopicSpec { name: name.to_owned(), partitions: 1, settings: BTreeMap::new() };
    ensure_topics(&config, &[topic("moves"), topic("bookings")]).await.unwrap();
    let transport = KafkaTransport::new(config.clone()).unwrap();
    for value in ["1", "2", "3"] {
        transport.publish(vec![record("moves", value)]).await.unwrap();
    }
    let interest = Interest {
        group: "booking".to_owned(),
        topics: vec!["moves".to_owned()],
        instance: None,
        drain_max: Duration::from_secs(1),
        start: GroupStart::Earliest,
    };
    let place = TopicPartition { topic: "moves".to_owned(), partition: 0 };
    let send = async |transaction: &dyn Transaction, value: &str| {
        transaction.hand_over(vec![record("bookings", value)]).await.unwrap().await.unwrap();
    };
    let (mut former, transaction) = transport.subscribe_transacted(interest.clone(), "copy-1").await.unwrap();
    next_until(&mut former, "3").await;
    transaction.begin().await.unwrap();
    send(&*transaction, "aborted").await;
    transaction.abort().await.unwrap();
    transaction.begin().await.unwrap();
    send(&*transaction, "committed").await;
    transaction.commit(&[(place.clone(), 2)]).await.unwrap();
    transaction.begin().await.unwrap();
    send(&*transaction, "of the former one").await;
    former.close().await;
    let (mut present, its_own) = transport.subscribe_transacted(interest, "copy-1").await.unwrap();
    its_own.begin().await.unwrap();
    let fenced = transaction.commit(&[(place.clone(), 3)]).await.unwrap_err();
    assert!(matches!(fenced, eventkit::Error::TransactionOver { .. }), "{fenced:?}");
    // What was committed is not read again.
    let first = loop {
        if let Incoming::Records(records) = present.next().await.unwrap() {
            break records[0].offset;
        }
    };
    assert_eq!(first, 2);
    send(&*its_own, "of the present one").await;
    its_own.commit(&[(place, 3)]).await.unwrap();
    present.close().await;
    let seen = read_until_on(config, "bookings", |seen| seen.len() == 2).await;
    let seen: Vec<_> = seen.iter().map(|record| record.record.value.clone().unwrap()).collect();
    assert_eq!(seen, ["committed", "of the present one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_count_whole_on_the_embedded_broker() {
    let data_dir = tempfile::tempdir().unwrap();
    let (broker, _) = broker(data_dir.path()).await;
    let config = KafkaConfig { brokers: broker.address().to_string(), ..KafkaConfig::default() };
    transactions_count_whole(config).await;
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_count_whole_on_the_broker_of_this_run() {
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    // Without one the broker is the embedded one, as above.
    let Some(brokers) = ground.brokers() else { return };
    transactions_count_whole(KafkaConfig { brokers, ..KafkaConfig::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_it_on_a_broker_that_asks_for_a_login_and_has_rules() {
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    std::fs::write(&password_file, "from-a-file\n").unwrap();
    let mut config = Config { data_dir: dir.path().join("data"), ..Config::default() };
    config.security.listeners = vec!["SASL_PLAINTEXT://127.0.0.1:0".to_owned()];
    config.security.first_user = "techleet".to_owned();
    config.security.first_user_password_file = Some(password_file.clone());
    config.security.authorize = true;
    config.security.super_users = "User:techleet".to_owned();
    let broker = Broker::start(config).await.unwrap();
    let config = KafkaConfig {
        brokers: broker.address().to_string(),
        security_protocol: "SASL_PLAINTEXT".to_owned(),
        sasl_mechanism: "SCRAM-SHA-512".to_owned(),
        sasl_username: "techleet".to_owned(),
        sasl_password_file: password_file.display().to_string(),
        ..KafkaConfig::default()
    };
    transport_suite(Arc::new(KafkaTransport::new(config).unwrap()), async |_| {}).await;
    broker.shutdown().await.unwrap();
}
