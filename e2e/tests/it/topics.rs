//! Reads topics with a Kafka client.

use std::time::Duration;

use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};

/// Reads a topic from its beginning until `is_enough` of what was read, or until nothing more comes for a while.
pub(crate) async fn read_until(
    broker: &str,
    topic: &str,
    is_enough: impl Fn(&[ConsumedRecord]) -> bool + Send + 'static,
) -> Vec<ConsumedRecord> {
    let config = KafkaConfig { brokers: broker.to_owned(), ..KafkaConfig::default() };
    read_until_on(config, topic, is_enough).await
}

/// As [`read_until`], on a cluster that may ask who reads.
pub(crate) async fn read_until_on(
    config: KafkaConfig,
    topic: &str,
    is_enough: impl Fn(&[ConsumedRecord]) -> bool + Send + 'static,
) -> Vec<ConsumedRecord> {
    let topic = topic.to_owned();
    let read = move || {
        let reader = KafkaReader::open(&config, &topic, None, Start::Beginning).unwrap();
        let mut records = Vec::new();
        while !is_enough(&records) {
            match reader.next(Duration::from_secs(20)).unwrap() {
                Some(record) => records.push(record),
                None => break,
            }
        }
        records
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

pub(crate) fn value(consumed: &ConsumedRecord) -> serde_json::Value {
    serde_json::from_slice(consumed.record.value.as_deref().unwrap()).unwrap()
}
