//! The memory transport keeps the contract of every transport; the Kafka one is held to it where a broker runs.

use std::sync::Arc;

use eventkit::Error;
use eventkit::testing::transport_suite;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport};
use eventkit::transport::memory::MemoryTransport;
use eventkit::transport::{Record, Transport};

#[tokio::test]
async fn the_memory_transport_keeps_the_contract() {
    transport_suite(Arc::new(MemoryTransport::new()), async |_| {}).await;
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_for_good_before_any_broker_is_asked() {
    let config =
        KafkaConfig { brokers: "127.0.0.1:1".to_owned(), delivery_timeout_ms: 1_000, ..KafkaConfig::default() };
    let transport = KafkaTransport::new(config).unwrap();
    let record = |bytes: usize| Record {
        topic: "accounts".to_owned(),
        key: None,
        value: Some(vec![b'x'; bytes].into()),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let refused = transport.publish(vec![record(100 * 1024 * 1024), record(1)]).await.unwrap_err();
    assert!(matches!(refused, Error::Transport { transient: false, .. }), "{refused:?}");
    let unreachable = transport.publish(vec![record(1)]).await.unwrap_err();
    assert!(unreachable.is_transient(), "{unreachable:?}");
}
