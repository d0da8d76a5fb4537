//! A broker in this process and a connection to it.

use std::collections::BTreeMap;

use broker::{Broker, Config};
use bytes::Bytes;
use eventkit::transport::Record;
use eventkit::transport::kafka::admin::NewTopicSpec;
use eventkit::transport::kafka::{Acknowledged, KafkaConfig, KafkaWriter};
use ops::Kafka;

pub(crate) struct Fixture {
    pub(crate) kafka: Kafka,
    pub(crate) config: KafkaConfig,
    _broker: Broker,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let broker = Broker::start(Config { listen, data_dir: dir.path().to_owned(), ..Config::default() });
        let broker = broker.await.unwrap();
        let config = KafkaConfig { brokers: broker.address().to_string(), ..KafkaConfig::default() };
        let kafka = Kafka::connect(config.clone()).await.unwrap();
        Self { kafka, config, _broker: broker, _dir: dir }
    }

    pub(crate) async fn create(&self, name: &str, partitions: i32) {
        let spec = NewTopicSpec {
            name: name.to_owned(),
            partitions: Some(partitions),
            replicas: None,
            settings: BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]),
        };
        self.kafka.create_topic(&spec).await.unwrap();
    }

    pub(crate) async fn write(&self, record: &Record, partition: i32) -> Acknowledged {
        let writer = KafkaWriter::new(&self.config, &[]).unwrap();
        let sent = writer.send(record, Some(partition)).await.unwrap().acknowledged().await;
        tokio::task::spawn_blocking(move || drop(writer)).await.unwrap();
        sent.unwrap()
    }
}

pub(crate) fn record(topic: &str, key: &str, value: &str) -> Record {
    Record {
        topic: topic.to_owned(),
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: vec![("h".into(), Bytes::from_static(b"kept"))],
        timestamp_ms: Some(1_700_000_000_000),
    }
}
