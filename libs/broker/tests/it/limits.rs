//! Row "limits": sizes of batches, frames, metadata; numbers of connections.

use kafka_protocol::ResponseError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;

use crate::support::batch::batch;
use crate::support::wire::Wire;
use crate::support::{PATIENCE, Running, eventually, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_over_max_message_bytes_of_its_topic_is_too_large() {
    let broker = Running::start().await;
    let exact = batch(&[&"x".repeat(500)]);
    broker.topic("small", 1, &[("max.message.bytes", &exact.len().to_string())]).await;
    broker.topic("large", 1, &[("max.message.bytes", "4000000")]).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.produce("small", 0, exact).await.error_code, 0);
    let over = wire.produce("small", 0, batch(&[&"x".repeat(501)])).await;
    assert_eq!(over.error_code, ResponseError::MessageTooLarge.code());
    assert_eq!(wire.produce("large", 0, batch(&[&"x".repeat(3_000_000)])).await.error_code, 0);

    let producer = broker.producer(&[]);
    let value = "y".repeat(5_000);
    let record = FutureRecord::<(), str>::to("small").partition(0).payload(&value);
    let refused = producer.send(record, PATIENCE).await.unwrap_err().0;
    assert_eq!(refused, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
    assert_eq!(send(&producer, "small", 0, "fits").await, (0, 1), "the refusal left no hole");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_over_the_limit_end_their_connection_at_the_length() {
    let broker = Running::with(|config| config.frame_bytes_max = 10_000).await;
    broker.topic("t", 1, &[("max.message.bytes", "1000000")]).await;
    let mut wire = broker.wire().await;
    assert_eq!(wire.produce("t", 0, batch(&[&"x".repeat(9_000)])).await.error_code, 0);
    wire.send_bytes(&10_001_i32.to_be_bytes()).await.unwrap();
    assert!(wire.is_closed().await, "nothing of the frame itself was sent");
    assert_eq!(broker.wire().await.watermarks("t", 0).await, (0, 1), "others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_and_a_freed_place_is_taken() {
    let broker = Running::with(|config| config.connections_max = 2).await;
    broker.topic("t", 1, &[]).await;
    let mut first = broker.wire().await;
    let mut second = broker.wire().await;
    first.watermarks("t", 0).await;
    second.watermarks("t", 0).await;
    assert!(broker.wire().await.is_closed().await);
    drop(first);
    let address = broker.address();
    eventually("a place is free", || async {
        let mut wire = Wire::connect(&address).await;
        // A refused connection is closed at once; one that is served stays open.
        tokio::time::timeout(std::time::Duration::from_millis(100), wire.is_closed()).await.err()
    })
    .await;
}
