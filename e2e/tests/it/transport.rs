//! The Kafka transport keeps the contract of every transport, over the embedded broker.

use std::sync::Arc;

use broker::{Broker, Config};
use eventkit::testing::transport_suite;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_transport_keeps_the_contract_on_the_embedded_broker() {
    let data_dir = tempfile::tempdir().unwrap();
    let config =
        Config { listen: "127.0.0.1:0".parse().unwrap(), data_dir: data_dir.path().to_owned(), ..Config::default() };
    let broker = Broker::start(config).await.unwrap();
    let config = KafkaConfig { brokers: broker.address().to_string(), ..KafkaConfig::default() };
    transport_suite(Arc::new(KafkaTransport::new(config).unwrap())).await;
    broker.shutdown().await.unwrap();
}
