//! Row "durability": what was acknowledged is there after kill -9, once, in its place, without a hole.

use std::collections::BTreeMap;
use std::path::Path;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::batch::{batch, decode};
use crate::support::child::Served;
use crate::support::member::committed;
use crate::support::wire::{Ask, Wire};
use crate::support::{PATIENCE, Running, client};

/// Kills per test; the tests of `soak` kill as often as they are told to.
const KILLS: usize = 10;
/// Records sent before each kill, and of them acknowledged before it comes.
const SENT: usize = 400;
const ACKNOWLEDGED_MIN: usize = 150;

/// Sends records named after the round and kills the broker in the middle of it; returns what was acknowledged.
async fn send_and_kill(served: Served, round: usize) -> Vec<(i64, String)> {
    let settings = [("enable.idempotence", "true"), ("batch.num.messages", "10")];
    let producer: FutureProducer = client(&served.address, &settings).create().unwrap();
    let values: Vec<String> = (0..SENT).map(|at| format!("{round}-{at}")).collect();
    let mut deliveries: FuturesUnordered<_> = values
        .iter()
        .map(|value| {
            let record = FutureRecord::<(), str>::to("t").partition(0).payload(value);
            let delivery = producer.send(record, PATIENCE);
            async move { (delivery.await, value) }
        })
        .collect();
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ACKNOWLEDGED_MIN {
        let (delivery, value) = deliveries.next().await.expect("more are sent than are waited for");
        acknowledged.push((delivery.map_err(|(error, _)| error).unwrap().offset, value.clone()));
    }
    served.kill();
    // What was on its way when it died may have been acknowledged too.
    producer.purge(PurgeConfig::default().queue().inflight());
    while let Some((delivery, value)) = deliveries.next().await {
        acknowledged.extend(delivery.ok().map(|delivered| (delivered.offset, value.clone())));
    }
    acknowledged
}

/// Everything in partition 0 of topic `t`, read in small fetches.
async fn read_all(address: &str) -> Vec<(i64, String)> {
    let mut wire = Wire::connect(address).await;
    let (mut at, end) = wire.watermarks("t", 0).await;
    let mut all = Vec::new();
    while at < end {
        let partition = wire.fetch("t", 0, Ask { partition_max_bytes: 10_000, ..Ask::at(at) }).await;
        assert_eq!(partition.error_code, 0);
        let records = decode(&partition.records.unwrap());
        at = records.last().expect("records below the high watermark").0 + 1;
        all.extend(records.into_iter().map(|(offset, _, value)| (offset, value)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_writes_loses_nothing_acknowledged_and_leaves_no_hole() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut high_watermark = 0;
    for round in 0..KILLS {
        let served = Served::start(dir.path());
        let (_, end) = Wire::connect(&served.address).await.watermarks_or_zero("t").await;
        assert!(end >= high_watermark, "the high watermark fell from {high_watermark} to {end}");
        for (offset, value) in send_and_kill(served, round).await {
            high_watermark = high_watermark.max(offset + 1);
            assert_eq!(acknowledged.insert(offset, value), None, "offset {offset} was given out twice");
        }
    }
    let served = Served::start(dir.path());
    let stored = read_all(&served.address).await;
    for (at, (offset, _)) in stored.iter().enumerate() {
        assert_eq!(*offset, at as i64, "offsets follow each other");
    }
    let mut values: Vec<&String> = stored.iter().map(|(_, value)| value).collect();
    values.sort();
    let count = values.len();
    values.dedup();
    assert_eq!(values.len(), count, "an idempotent producer's records are there once");
    let stored: BTreeMap<i64, String> = stored.into_iter().collect();
    for (offset, value) in &acknowledged {
        assert_eq!(stored.get(offset), Some(value), "acknowledged at offset {offset}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_are_there_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = Served::start(dir.path());
    Wire::connect(&served.address).await.produce("t", 0, batch(&["v"])).await;
    for round in 1..=5 {
        commit(&served.address, round).await;
        served.kill();
        served = Served::start(dir.path());
        let mut wire = Wire::connect(&served.address).await;
        assert_eq!(committed(&mut wire, "g", "t").await.0, round);
    }
}

async fn commit(address: &str, offset: i64) {
    let config: ClientConfig = client(address, &[("group.id", "g")]);
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let mut position = TopicPartitionList::new();
        position.add_partition_offset("t", 0, Offset::Offset(offset)).unwrap();
        consumer.commit(&position, CommitMode::Sync).unwrap();
    })
    .await
    .unwrap();
}

/// The log file of the only topic's only partition.
fn log_file(data_dir: &Path) -> std::path::PathBuf {
    let topics = std::fs::read_dir(data_dir.join("topics")).unwrap();
    let logs = topics.map(|topic| topic.unwrap().path().join("0").join(format!("{:020}.log", 0)));
    logs.filter(|log| std::fs::metadata(log).is_ok_and(|file| file.len() > 0))
        .max_by_key(|log| {
            // The offsets topic has no records here.
            std::fs::metadata(log).unwrap().len()
        })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_back_to_the_last_whole_batch() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    for value in ["a", "b"] {
        wire.produce("t", 0, batch(&[value])).await;
    }
    let log = log_file(broker.data_dir());
    let whole = std::fs::read(&log).unwrap();
    let torn = batch(&["never acknowledged"]);
    let broker =
        broker.restart_with(|_| std::fs::write(&log, [&whole[..], &torn[..torn.len() - 1]].concat()).unwrap()).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.watermarks("t", 0).await, (0, 2));
    assert_eq!(std::fs::metadata(&log).unwrap().len(), whole.len() as u64);
    assert_eq!(wire.produce("t", 0, batch(&["c"])).await.base_offset, 2);
}
