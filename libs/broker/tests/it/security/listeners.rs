//! Several listeners: each tells its clients of itself.

use broker::{Broker, Config, Error};
use kafka_protocol::messages::{DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest};

use super::owned;
use crate::support::wire::{Wire, text};
use crate::support::{Running, receive, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_about_the_broker_names_the_listener_it_was_asked_on() {
    let broker = Running::with(|config| {
        config.security.listeners = owned(&["INSIDE://127.0.0.1:0", "OUTSIDE://127.0.0.1:0"]);
        config.security.listener_protocols = owned(&["INSIDE:PLAINTEXT", "OUTSIDE:PLAINTEXT"]);
        config.security.advertised_listeners = owned(&["OUTSIDE://kafka.example.com:19092"]);
    })
    .await;
    let inside = broker.address_of("INSIDE");
    let inside_port = inside.rsplit_once(':').unwrap().1.parse().unwrap();
    for (address, expected) in
        [(inside.clone(), ("127.0.0.1", inside_port)), (broker.address_of("OUTSIDE"), ("kafka.example.com", 19092))]
    {
        let mut wire = Wire::connect(&address).await;
        let metadata = wire.call(9, &MetadataRequest::default().with_topics(Some(vec![]))).await;
        assert_eq!((&*metadata.brokers[0].host, metadata.brokers[0].port), expected);
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("group")]);
        let found = wire.call(4, &request).await;
        assert_eq!((&*found.coordinators[0].host, found.coordinators[0].port), expected);
        let cluster = wire.call(0, &DescribeClusterRequest::default()).await;
        assert_eq!((&*cluster.brokers[0].host, cluster.brokers[0].port), expected);
    }
    let producer = broker.client(&[("bootstrap.servers", &inside)]).create().unwrap();
    send(&producer, "events", 0, "in by the first listener").await;
    let consumer = broker.consumer("group", &[("bootstrap.servers", &inside)]);
    rdkafka::consumer::Consumer::subscribe(&consumer, &["events"]).unwrap();
    assert_eq!(receive(&consumer).await.2, "in by the first listener");
    broker.stop().await;
}

#[tokio::test]
async fn a_broker_that_would_be_open_to_other_machines_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut config =
        Config { listen: "0.0.0.0:0".parse().unwrap(), data_dir: dir.path().to_owned(), ..Config::default() };
    let refused = Broker::start(config.clone()).await;
    assert!(matches!(refused, Err(Error::Config { key: "security.listeners", .. })), "{refused:?}");
    config.security.allow_unauthenticated_public_listener = true;
    Broker::start(config).await.unwrap().shutdown().await.unwrap();
}
