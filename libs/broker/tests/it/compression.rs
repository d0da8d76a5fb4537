//! Row "compression": every codec, stored and served as it was sent.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::records::Compression;
use rdkafka::producer::FutureRecord;

use crate::support::batch::{base_offset, packed, values};
use crate::support::wire::{Ask, produce_request};
use crate::support::{PATIENCE, Running, receive, send};

/// The codec in a batch's attributes.
fn codec(batch: &[u8]) -> u8 {
    batch[22] & 7
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_of_librdkafka_goes_through_and_is_stored_compressed() {
    let broker = Running::start().await;
    for (name, number) in [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)] {
        let topic = format!("t-{name}");
        broker.topic(&topic, 1, &[]).await;
        let producer = broker.producer(&[("compression.type", name), ("linger.ms", "20")]);
        let value = "the same words again ".repeat(50);
        let record = || FutureRecord::<(), str>::to(&topic).partition(0).payload(&value);
        let sent: Vec<_> = (0..20).map(|_| producer.send(record(), PATIENCE)).collect();
        for delivery in sent {
            delivery.await.map_err(|(error, _)| error).unwrap();
        }
        let stored = broker.wire().await.fetch(&topic, 0, Ask::at(0)).await.records.unwrap();
        assert_eq!(codec(&stored), number, "{name}");
        assert_eq!(stored.len() < 20 * value.len() / 2, number > 0, "{name}: {} bytes", stored.len());
        let consumer = broker.consumer(name, &[]);
        rdkafka::consumer::Consumer::subscribe(&consumer, &[&topic]).unwrap();
        for offset in 0..20 {
            assert_eq!(receive(&consumer).await, (0, offset, value.clone()), "{name}");
        }
    }
}

/// Snappy without any compression: a length and one literal.
fn snappy_raw(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    assert!((128..256).contains(&length), "a length of two varint bytes, a literal length of one byte");
    let mut bytes = vec![(length & 0x7f) as u8 | 0x80, (length >> 7) as u8, 60 << 2, (length - 1) as u8];
    bytes.extend_from_slice(plain);
    bytes
}

/// The same in the framing of the xerial library, which Java clients used.
fn snappy_xerial(plain: &[u8]) -> Vec<u8> {
    let block = snappy_raw(plain);
    let mut bytes = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    bytes.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn snappy_is_served_in_the_framing_it_came_in() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let value = "v".repeat(150);
    for (offset, pack) in [(0, snappy_raw as fn(&[u8]) -> Vec<u8>), (1, snappy_xerial)] {
        let sent = packed(Compression::Snappy, &[&value], pack);
        assert_eq!(wire.produce("t", 0, sent.clone()).await.base_offset, offset);
        let served = wire.fetch("t", 0, Ask::at(offset)).await.records.unwrap();
        assert_eq!(base_offset(&served), offset);
        assert_eq!(served[16..], sent[16..], "everything but base offset and leader epoch is as sent");
    }
    let consumer = broker.consumer("g", &[]);
    rdkafka::consumer::Consumer::subscribe(&consumer, &["t"]).unwrap();
    for offset in 0..2 {
        assert_eq!(receive(&consumer).await, (0, offset, value.clone()), "librdkafka reads both framings");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_librdkafka_packed_are_served_byte_for_byte() {
    let broker = Running::start().await;
    let value = "the same words again ".repeat(50);
    for name in ["gzip", "snappy", "lz4", "zstd"] {
        let (topic, copy) = (format!("t-{name}"), format!("copy-{name}"));
        broker.topic(&topic, 1, &[]).await;
        broker.topic(&copy, 1, &[]).await;
        let producer = broker.producer(&[("compression.type", name), ("enable.idempotence", "false")]);
        send(&producer, &topic, 0, &value).await;
        let mut wire = broker.wire().await;
        let packed = wire.fetch(&topic, 0, Ask::at(0)).await.records.unwrap();
        assert_eq!(wire.produce(&copy, 0, packed.clone()).await.error_code, 0, "{name}");
        let served = wire.fetch(&copy, 0, Ask::at(0)).await.records.unwrap();
        assert!(packed.len() < value.len() / 2, "{name}: {} bytes", packed.len());
        assert_eq!(served[16..], packed[16..], "{name}: everything but base offset and leader epoch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_is_refused_from_clients_that_are_too_old_for_it() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let batch = packed(Compression::Zstd, &["v"], <[u8]>::to_vec);
    let mut answer = wire.call(6, &produce_request("t", 0, batch, -1)).await;
    let code = answer.responses.remove(0).partition_responses.remove(0).error_code;
    assert_eq!(code, ResponseError::UnsupportedCompressionType.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn uncompressed_batches_are_served_as_sent() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let sent = packed(Compression::None, &["a", "b"], <[u8]>::to_vec);
    wire.produce("t", 0, Bytes::clone(&sent)).await;
    let served = wire.fetch("t", 0, Ask::at(0)).await.records.unwrap();
    assert_eq!(served[16..], sent[16..]);
    assert_eq!(values(&served), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_a_compression_type_stores_every_batch_that_way() {
    let broker = Running::start().await;
    let value = "the same words again ".repeat(5_000);
    for (of_topic, number) in [("uncompressed", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)] {
        let topic = format!("t-{of_topic}");
        broker.topic(&topic, 1, &[("compression.type", of_topic)]).await;
        for (offset, of_producer) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
            let producer = broker.producer(&[("compression.type", of_producer)]);
            assert_eq!(send(&producer, &topic, 0, &value).await, (0, offset));
            let stored = broker.wire().await.fetch(&topic, 0, Ask::at(offset)).await.records.unwrap();
            assert_eq!(codec(&stored), number, "{of_producer} to {of_topic}");
            assert_eq!(stored.len() < value.len() / 2, number > 0, "{of_producer} to {of_topic}: {}", stored.len());
        }
        let consumer = broker.consumer(of_topic, &[("check.crcs", "true")]);
        rdkafka::consumer::Consumer::subscribe(&consumer, &[&topic]).unwrap();
        for offset in 0..5 {
            assert_eq!(receive(&consumer).await, (0, offset, value.clone()), "{of_topic}");
        }
    }
    let mut wire = broker.wire().await;
    let nonsense = packed(Compression::Zstd, &["v"], <[u8]>::to_vec);
    let refused = wire.produce("t-gzip", 0, nonsense.clone()).await;
    assert_eq!(refused.error_code, ResponseError::CorruptMessage.code());
    assert_eq!(wire.produce("t-zstd", 0, nonsense).await.error_code, 0, "what is as it should be is not opened");
}
