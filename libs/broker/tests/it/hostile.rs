//! Row "bytes from strangers": whatever comes, its own connection ends and nothing else.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, MetadataRequest};

use crate::support::batch::batch;
use crate::support::child::Served;
use crate::support::wire::{Ask, FETCH, Wire, fetch_request, frame, produce_request, text, topic_name};
use crate::support::{Running, eventually};

/// The broker still does what it is there for.
async fn works(address: &str) {
    let mut wire = Wire::connect(address).await;
    assert_eq!(wire.produce("alive", 0, batch(&["v"])).await.error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_lengths_and_other_protocols_end_their_connection() {
    let broker = Running::start().await;
    for bytes in [
        &b"\0\0\0\0"[..],
        b"\xff\xff\xff\xff",
        b"\x80\0\0\0",
        b"\x7f\xff\xff\xff",
        b"\0\0\0\x07",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        &[0xff; 200],
    ] {
        let mut wire = broker.wire().await;
        wire.send_bytes(bytes).await.unwrap();
        assert!(wire.is_closed().await, "{bytes:?}");
    }
    works(&broker.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_apis_and_versions_end_their_connection() {
    let broker = Running::start().await;
    for (key, version) in [(-1, 0), (999, 0), (i16::MIN, 0), (4, 0), (0, 99), (3, -1), (1, i16::MAX)] {
        let mut bytes = 10_i32.to_be_bytes().to_vec();
        bytes.extend(i16::to_be_bytes(key));
        bytes.extend(i16::to_be_bytes(version));
        bytes.extend([0, 0, 0, 1, 0xff, 0xff]);
        let mut wire = broker.wire().await;
        wire.send_bytes(&bytes).await.unwrap();
        assert!(wire.is_closed().await, "api {key} version {version}");
    }
    works(&broker.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_cut_anywhere_end_their_connection() {
    let broker = Running::start().await;
    let whole = [
        frame(9, &produce_request("t", 0, batch(&["v"]), -1), 1),
        frame(FETCH, &fetch_request("t", 0, Ask::at(0)), 1),
        frame(12, &MetadataRequest::default().with_topics(Some(Vec::new())), 1),
    ];
    for request in whole {
        for length in 8..request.len() - 4 {
            let mut cut = i32::try_from(length).unwrap().to_be_bytes().to_vec();
            cut.extend_from_slice(&request[4..4 + length]);
            let mut wire = broker.wire().await;
            wire.send_bytes(&cut).await.unwrap();
            assert!(wire.is_closed().await, "cut to {length} of {}", request.len() - 4);
        }
    }
    works(&broker.address()).await;
}

/// A sequence of bytes that looks random and is the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bodies_under_every_api_take_nothing_down() {
    let broker = Running::start().await;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for key in 0..100_i16 {
        if ApiKey::try_from(key).is_err() {
            continue;
        }
        for round in 0..30 {
            let mut body = key.to_be_bytes().to_vec();
            body.extend((i16::try_from(noise.next() % 14).unwrap()).to_be_bytes());
            body.extend([0, 0, 0, 1, 0xff, 0xff]);
            let length = noise.next() % 200;
            // Small numbers are likelier to be taken for counts, lengths and versions.
            body.extend((0..length).map(|_| (noise.next() % if round % 2 == 0 { 256 } else { 4 }) as u8));
            let mut bytes = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
            bytes.extend(body);
            let mut wire = broker.wire().await;
            wire.send_bytes(&bytes).await.unwrap();
        }
    }
    works(&broker.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_bytes_that_do_not_come_take_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    works(&served.address).await;
    let before = served.resident_bytes();
    let mut strangers: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        let mut stranger = TcpStream::connect(&served.address).unwrap();
        stranger.write_all(&(96 * 1024 * 1024_i32).to_be_bytes()).unwrap();
        stranger.write_all(&[0; 1000]).unwrap();
        strangers.push(stranger);
    }
    works(&served.address).await;
    let grown = served.resident_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "20 announcements of 96 MiB took {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_frame_and_silence_end_a_connection_in_time() {
    let broker = Running::with(|config| {
        config.frame_timeout_ms = 100;
        config.connection_idle_ms = 200;
    })
    .await;
    let mut half = broker.wire().await;
    half.send_bytes(b"\0\0\0\x40\0\x03").await.unwrap();
    let mut silent = broker.wire().await;
    assert!(half.is_closed().await);
    assert!(silent.is_closed().await);
    works(&broker.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_take_its_answers_is_dropped() {
    let broker = Running::with(|config| config.frame_timeout_ms = 200).await;
    broker.topic("t", 1, &[("max.message.bytes", "20000000")]).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.produce("t", 0, batch(&[&"x".repeat(16_000_000)])).await.error_code, 0);
    // Answers of 16 MB each that nobody reads: no socket buffer holds many. The end shows in that nothing more is taken.
    let request = frame(FETCH, &fetch_request("t", 0, Ask::at(0)), 1);
    let wire = tokio::sync::Mutex::new(wire);
    eventually("the connection is closed", || async { wire.lock().await.send_bytes(&request).await.err() }).await;
    works(&broker.address()).await;
}

/// Connections that hold what they can of the memory for requests: each has a large request under way.
async fn hold_memory(address: &str, count: usize, length: usize, before: &[u8]) -> Vec<tokio::task::JoinHandle<Wire>> {
    let mut bytes = before.to_vec();
    bytes.extend(i32::try_from(length).unwrap().to_be_bytes());
    // The last byte never comes, unless something came before: then the request is whole and waits for that.
    let end = bytes.len() + if before.is_empty() { length - 1 } else { length };
    bytes.extend([0, 18, 0, 0, 0, 0, 0, 2, 0xff, 0xff]);
    bytes.resize(end, 0);
    let holders = (0..count).map(|_| {
        let (address, bytes) = (address.to_owned(), bytes.clone());
        tokio::spawn(async move {
            let mut wire = Wire::connect(&address).await;
            // It ends early where the broker closes the connection.
            let _ = wire.send_bytes(&bytes).await;
            wire
        })
    });
    holders.collect()
}

/// Others work on beside connections that hold all of the memory for requests.
async fn assert_others_go_on(what: &str, before: impl FnOnce() -> Vec<u8>) {
    const LENGTH: usize = 4_000_000;
    let broker = Running::with(|config| {
        config.frame_bytes_max = LENGTH;
        config.request_memory_bytes_max = 2 * LENGTH;
    })
    .await;
    broker.topic("t", 1, &[]).await;
    let mut small = broker.wire().await;
    small.watermarks("t", 0).await;
    let holders = hold_memory(&broker.address(), 5, LENGTH, &before()).await;
    for _ in 0..50 {
        let asked = tokio::time::timeout(Duration::from_secs(2), small.watermarks("t", 0)).await;
        asked.unwrap_or_else(|_| panic!("{what}: a small request waits"));
    }
    let mut ordinary = broker.wire().await;
    for _ in 0..5 {
        let produced = ordinary.produce("t", 0, batch(&[&"x".repeat(1_000_000)]));
        let produced = tokio::time::timeout(Duration::from_secs(8), produced).await;
        assert_eq!(produced.unwrap_or_else(|_| panic!("{what}: an ordinary request waits")).error_code, 0);
    }
    holders.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_that_never_become_whole_hold_up_nobody() {
    assert_others_go_on("unfinished", Vec::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_behind_one_that_waits_hold_up_nobody() {
    assert_others_go_on("queued", || {
        frame(FETCH, &fetch_request("t", 0, Ask { wait_ms: 300_000, min_bytes: 1 << 30, ..Ask::at(0) }), 1).to_vec()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_take_nothing_hold_up_nobody_and_cost_a_piece_of_their_answer() {
    const READERS: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let mut wire = Wire::connect(&served.address).await;
    let batch = batch(&[&"x".repeat(1_000_000)]);
    for _ in 0..30 {
        assert_eq!(wire.produce("large", 0, batch.clone()).await.error_code, 0);
    }
    let everything = Ask { max_bytes: i32::MAX, partition_max_bytes: i32::MAX, ..Ask::at(0) };
    let whole = wire.fetch("large", 0, everything).await.records.unwrap();
    assert_eq!(whole.len(), 30 * batch.len(), "one answer has all of it");
    let before = served.resident_bytes();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Wire::connect(&served.address).await;
        reader.send(FETCH, &fetch_request("large", 0, everything)).await;
        reader.readable().await;
        readers.push(reader);
    }
    let again = tokio::time::timeout(Duration::from_secs(10), wire.fetch("large", 0, everything)).await;
    assert_eq!(again.expect("an answer beside them").records.unwrap(), whole);
    let grown = served.resident_bytes().saturating_sub(before);
    assert!(grown < 24 * 1024 * 1024, "{READERS} answers of 30 MB that nobody takes hold {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_over_many_connections_that_send_garbage() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path());
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    let mut after_some = 0;
    for round in 0..1200 {
        let length = usize::try_from(noise.next() % 2000).unwrap();
        let mut bytes = i32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.extend((0..length).map(|_| (noise.next() % 256) as u8));
        if round % 2 == 0 {
            // An API that is offered, and then whatever comes.
            let rest = bytes.split_off(4);
            bytes.extend([0, (noise.next() % 50) as u8, 0, 5]);
            bytes.extend(rest);
        }
        let mut wire = Wire::connect(&served.address).await;
        wire.send_bytes(&bytes).await.unwrap();
        if round == 300 {
            works(&served.address).await;
            after_some = served.resident_bytes();
        }
    }
    works(&served.address).await;
    let grown = served.resident_bytes().saturating_sub(after_some);
    assert!(grown < 6 * 1024 * 1024, "900 connections that sent garbage left {grown} bytes behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_one_thing_many_times_is_told_of_it_once() {
    let broker = Running::start().await;
    broker.topic("t", 50, &[]).await;
    let mut wire = broker.wire().await;
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic; 20_000]));
    assert_eq!(wire.call(12, &request).await.topics.len(), 1);
    let resource = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text("t"));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource; 20_000]);
    assert_eq!(wire.call(4, &request).await.results.len(), 1);
}
