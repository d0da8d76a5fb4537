//! What the transport makes of faults that no real broker shows on demand; librdkafka's own stand-in for a cluster does.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{KafkaConfig, KafkaTransport};
use crate::error::{Error, Result};
use crate::transport::{Record, Transport};

const TOPIC: &str = "accounts";

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

fn transport(cluster: &Cluster) -> KafkaTransport {
    let brokers = cluster.bootstrap_servers();
    KafkaTransport::new(KafkaConfig { brokers, delivery_timeout_ms: 20_000, ..KafkaConfig::default() }).unwrap()
}

fn records(count: usize) -> Vec<Record> {
    let record = Record {
        topic: TOPIC.to_owned(),
        key: Some("account-1".into()),
        value: Some("opened".into()),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    vec![record; count]
}

async fn hand_over(transport: &KafkaTransport) -> Result<()> {
    transport.hand_over(records(1)).await?.await
}

/// A transport whose producer of single records may do nothing more: the cluster would not have it.
async fn broken_for_single_records(cluster: &Cluster) -> KafkaTransport {
    let transport = transport(cluster);
    // The other producer has its identity by then.
    transport.publish(records(2)).await.unwrap();
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[refusal]);
    let broken = hand_over(&transport).await.unwrap_err();
    assert!(broken.is_transient(), "{broken:?}");
    transport
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_producer_is_replaced_for_whoever_hands_over() {
    let cluster = cluster();
    let transport = broken_for_single_records(&cluster).await;
    hand_over(&transport).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_producer_is_replaced_for_whoever_publishes_one_record() {
    let cluster = cluster();
    let transport = broken_for_single_records(&cluster).await;
    transport.publish(records(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_refused_for_what_it_is_is_refused_for_good() {
    let cluster = cluster();
    let transport = transport(&cluster);
    let refusals =
        [RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION];
    for refusal in refusals {
        for count in [1, 2] {
            cluster.request_errors(RDKafkaApiKey::Produce, &[refusal]);
            let refused = transport.publish(records(count)).await.unwrap_err();
            assert!(matches!(refused, Error::Transport { transient: false, .. }), "{refusal:?}: {refused:?}");
            assert!(!refused.is_too_large(), "{refusal:?}: {refused:?}");
        }
    }
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let refused = transport.publish(records(1)).await.unwrap_err();
    assert!(refused.is_too_large(), "{refused:?}");
    transport.publish(records(2)).await.unwrap();
}
