//! Row "idempotence": duplicates, gaps and stale epochs, also over a restart.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::InitProducerIdRequest;
use rdkafka::producer::FutureRecord;

use crate::support::batch::{Stamp, stamped, values};
use crate::support::wire::{Ask, Wire};
use crate::support::{PATIENCE, Running};

async fn producer_id(wire: &mut Wire) -> i64 {
    let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(1_000);
    let answer = wire.call(4, &request).await;
    assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
    answer.producer_id.0
}

fn from(producer_id: i64, producer_epoch: i16, sequence: i32, values: &[&str]) -> bytes::Bytes {
    stamped(Stamp { producer_id, producer_epoch, sequence, ..Stamp::default() }, values)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_is_answered_with_its_first_offset_and_stored_once() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let id = producer_id(&mut wire).await;
    for (sequence, offset) in [(0, 0), (2, 2), (4, 4), (2, 2), (0, 0), (4, 4)] {
        let produced = wire.produce("t", 0, from(id, 0, sequence, &["a", "b"])).await;
        assert_eq!((produced.error_code, produced.base_offset), (0, offset));
    }
    assert_eq!(wire.watermarks("t", 0).await, (0, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_out_of_order_and_an_old_epoch_is_fenced() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let id = producer_id(&mut wire).await;
    assert_eq!(wire.produce("t", 0, from(id, 0, 0, &["a"])).await.error_code, 0);
    let gap = wire.produce("t", 0, from(id, 0, 2, &["c"])).await;
    assert_eq!(gap.error_code, ResponseError::OutOfOrderSequenceNumber.code());
    assert_eq!(wire.produce("t", 0, from(id, 1, 0, &["b"])).await.error_code, 0, "a new epoch begins at zero");
    let stale = wire.produce("t", 0, from(id, 0, 1, &["b"])).await;
    assert_eq!(stale.error_code, ResponseError::InvalidProducerEpoch.code());
    assert_eq!(values(&wire.fetch("t", 0, Ask::at(0)).await.records.unwrap()), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_are_of_a_producer_and_a_partition() {
    let broker = Running::start().await;
    broker.topic("t", 2, &[]).await;
    let mut wire = broker.wire().await;
    let (first, second) = (producer_id(&mut wire).await, producer_id(&mut wire).await);
    assert_ne!(first, second);
    for (id, partition) in [(first, 0), (second, 0), (first, 1), (second, 1)] {
        assert_eq!(wire.produce("t", partition, from(id, 0, 0, &["v"])).await.error_code, 0);
    }
    assert_eq!(wire.watermarks("t", 0).await, (0, 2));
    assert_eq!(wire.watermarks("t", 1).await, (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_producers_survives_a_restart() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let mut wire = broker.wire().await;
    let id = producer_id(&mut wire).await;
    for sequence in 0..3 {
        wire.produce("t", 0, from(id, 4, sequence, &["v"])).await;
    }
    let broker = broker.restart().await;
    let mut wire = broker.wire().await;
    let again = wire.produce("t", 0, from(id, 4, 1, &["v"])).await;
    assert_eq!((again.error_code, again.base_offset), (0, 1));
    let gap = wire.produce("t", 0, from(id, 4, 4, &["v"])).await;
    assert_eq!(gap.error_code, ResponseError::OutOfOrderSequenceNumber.code());
    let stale = wire.produce("t", 0, from(id, 3, 3, &["v"])).await;
    assert_eq!(stale.error_code, ResponseError::InvalidProducerEpoch.code());
    assert_eq!(wire.produce("t", 0, from(id, 4, 3, &["v"])).await.base_offset, 3);
    assert!(producer_id(&mut wire).await > id, "an id is never handed out twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_client_writes_each_record_once_and_in_order() {
    let broker = Running::start().await;
    broker.topic("t", 1, &[]).await;
    let producer = broker.producer(&[("enable.idempotence", "true"), ("batch.num.messages", "7")]);
    let sent: Vec<String> = (0..500).map(|at| at.to_string()).collect();
    let deliveries: Vec<_> = sent
        .iter()
        .map(|value| producer.send(FutureRecord::<(), str>::to("t").partition(0).payload(value), PATIENCE))
        .collect();
    for (delivery, offset) in deliveries.into_iter().zip(0..) {
        assert_eq!(delivery.await.map_err(|(error, _)| error).unwrap().offset, offset);
    }
    assert_eq!(values(&broker.wire().await.fetch("t", 0, Ask::at(0)).await.records.unwrap()), sent);
}
