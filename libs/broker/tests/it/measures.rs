//! Every metric by its name, with what it is to say.
//!
//! The recorder is the process's, so the names of topics and groups here are no other test's.

use std::sync::{Arc, OnceLock};

use broker::{Broker, Config, Disk, metrics};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::security::{greeted, message, with_logins};
use crate::support::batch::batch;
use crate::support::disk::Failing;
use crate::support::member::Member;
use crate::support::wire::{Ask, Wire};
use crate::support::{Running, eventually};

const IO_ERROR: i32 = 5;

fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
}

/// The value of a metric with these labels, as Prometheus reads it; 0 if it is not told.
fn told(name: &str, labels: &str) -> f64 {
    let begin = if labels.is_empty() { format!("{name} ") } else { format!("{name}{{{labels}}} ") };
    let text = recorder().render();
    text.lines().find_map(|line| line.strip_prefix(&begin)).map_or(0.0, |value| value.parse().unwrap())
}

async fn wait_for(name: &str, labels: &str, value: f64) {
    eventually(&format!("{name}{{{labels}}} is {value}"), || async { (told(name, labels) == value).then_some(()) })
        .await;
}

async fn start() -> Running {
    recorder();
    Running::with(|config| config.measure_interval_ms = 20).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_records_of_a_topic_are_counted_in_and_out_and_its_size_is_told() {
    let broker = start().await;
    broker.topic("measured", 2, &[]).await;
    let mut wire = broker.wire().await;
    let batches = [batch(&["a", "b", "c"]), batch(&["d"])];
    let bytes: usize = batches.iter().map(|batch| batch.len()).sum();
    for (partition, batch) in (0..).zip(batches) {
        wire.produce("measured", partition, batch).await;
    }
    let topic = "topic=\"measured\"";
    assert_eq!(told(metrics::APPENDED_BYTES, topic), bytes as f64);
    assert_eq!(told(metrics::APPENDED_RECORDS, topic), 4.0);
    assert_eq!(told(metrics::FETCHED_RECORDS, topic), 0.0);
    for _ in 0..2 {
        wire.fetch("measured", 0, Ask::at(0)).await;
    }
    assert_eq!(told(metrics::FETCHED_RECORDS, topic), 6.0);
    assert_eq!(told(metrics::FETCHED_BYTES, topic), 2.0 * batch(&["a", "b", "c"]).len() as f64);
    wait_for(metrics::LOG_BYTES, topic, bytes as f64).await;
    wire.delete_topic("measured").await;
    wait_for(metrics::LOG_BYTES, topic, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_of_a_group_is_told_and_goes_with_the_group() {
    let broker = start().await;
    broker.topic("lagging", 2, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("lagging", 0, batch(&["a", "b", "c"])).await;
    let rebalances = told(metrics::REBALANCES, "");
    let mut member = Member::alone(&broker, "behind", None).await;
    assert!(told(metrics::REBALANCES, "") > rebalances);
    assert_eq!(member.commit("lagging", 1, "").await, 0);
    let labels = "group=\"behind\",topic=\"lagging\"";
    wait_for(metrics::GROUP_LAG, labels, 2.0).await;
    wire.produce("lagging", 0, batch(&["d"])).await;
    wait_for(metrics::GROUP_LAG, labels, 3.0).await;
    wire.delete_topic("lagging").await;
    wait_for(metrics::GROUP_LAG, labels, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_and_timed_by_api_and_connections_and_syncs_too() {
    let broker = start().await;
    broker.topic("timed", 1, &[]).await;
    let api = "api=\"delete_records\"";
    let before = told(metrics::REQUESTS, api);
    let timed = told(&format!("{}_count", metrics::REQUEST_SECONDS), api);
    let syncs = told(&format!("{}_count", metrics::SYNC_SECONDS), "");
    let mut wire = broker.wire().await;
    wire.produce("timed", 0, batch(&["a"])).await;
    wire.delete_records("timed", 0, 1).await;
    assert!(told(metrics::REQUESTS, api) > before);
    assert!(told(&format!("{}_count", metrics::REQUEST_SECONDS), api) > timed);
    assert!(told(&format!("{}_count", metrics::SYNC_SECONDS), "") > syncs);
    assert!(told(metrics::CONNECTIONS, "") >= 1.0);
    let refused = told(metrics::REFUSED_CONNECTIONS, "");
    let mut stranger = broker.wire().await;
    stranger.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(stranger.is_closed().await);
    assert!(told(metrics::REFUSED_CONNECTIONS, "") > refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_and_what_access_rules_refuse_are_counted() {
    recorder();
    let broker = Running::with(|config| {
        with_logins(&mut config.security);
        config.security.authorize = true;
        config.security.super_users = "User:admin".to_owned();
    })
    .await;
    let failed = told(metrics::FAILED_AUTHENTICATIONS, "mechanism=\"PLAIN\"");
    let mut wrong = greeted(&broker, "PLAIN").await;
    assert_ne!(wrong.call(1, &message(b"\0admin\0wrong")).await.error_code, 0);
    assert!(told(metrics::FAILED_AUTHENTICATIONS, "mechanism=\"PLAIN\"") > failed);

    broker.topic("guarded", 1, &[]).await;
    let refused = told(metrics::REFUSED_OPERATIONS, "api=\"produce\"");
    let mut anybody = Wire::connect(&broker.address_of("PLAINTEXT")).await;
    assert_ne!(anybody.produce("guarded", 0, batch(&["a"])).await.error_code, 0);
    assert!(told(metrics::REFUSED_OPERATIONS, "api=\"produce\"") > refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_and_a_damaged_batch_are_counted() {
    recorder();
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Failing::after(usize::MAX - 1, true, IO_ERROR));
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: dir.path().to_owned(),
        disk: Arc::clone(&disk) as Arc<dyn Disk>,
        ..Config::default()
    };
    let broker = Running::of(Broker::start(config.clone()).await.unwrap(), config.clone());
    broker.topic("spoilt", 1, &[]).await;
    let mut wire = broker.wire().await;
    wire.produce("spoilt", 0, batch(&["a"])).await;
    let (failures, failed) = (told(metrics::STORAGE_FAILURES, ""), told(metrics::FAILED_PARTITIONS, ""));
    disk.fail_now();
    assert_ne!(wire.produce("spoilt", 0, batch(&["b"])).await.error_code, 0);
    assert!(told(metrics::STORAGE_FAILURES, "") > failures);
    assert!(told(metrics::FAILED_PARTITIONS, "") > failed);

    let log = walk(dir.path()).into_iter().find(|path| std::fs::metadata(path).unwrap().len() > 0).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let damaged = told(metrics::DAMAGED_BATCHES, "");
    wire.fetch("spoilt", 0, Ask::at(0)).await;
    assert!(told(metrics::DAMAGED_BATCHES, "") > damaged);
}

/// The log files of partition 0 of every topic.
fn walk(data_dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let topics = std::fs::read_dir(data_dir.join("topics")).unwrap();
    let files = topics.filter_map(|topic| std::fs::read_dir(topic.unwrap().path().join("0")).ok()).flatten();
    let files = files.map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
}

#[test]
fn no_metric_is_without_a_test_and_no_name_is_given_twice() {
    let tests = include_str!("measures.rs");
    let names = include_str!("../../src/metrics.rs");
    let constants: Vec<&str> = names
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
        .filter_map(|line| line.split_once(": &str = ").map(|(constant, _)| constant))
        .collect();
    assert_eq!(constants.len(), metrics::ALL.len());
    for constant in constants {
        assert!(tests.contains(&format!("metrics::{constant}")), "{constant}");
    }
    let mut all = metrics::ALL.to_vec();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), metrics::ALL.len());
}
