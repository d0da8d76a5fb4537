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
    transport_suite(Arc::new(KafkaTransport::new(config).unwrap())).await;
    broker.shutdown().await.unwrap();
}
