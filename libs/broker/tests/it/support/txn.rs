//! A transactional producer, a request at a time, as clients before and after KIP-890 are.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId, InitProducerIdRequest, MetadataRequest,
    ProducerId, TransactionalId, TxnOffsetCommitRequest,
};

use super::Running;
use super::batch::{Stamp, keyed, stamped};
use super::wire::{Wire, produce_request, text, topic_name};

/// Produce in the first version that adds partitions to transactions by itself, before topics are named by id.
const PRODUCE_ADDING: i16 = 12;

/// A producer with a connection of its own.
#[derive(Debug)]
pub(crate) struct Txn {
    pub(crate) wire: Wire,
    pub(crate) id: String,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// Sequence number of the next batch to partition 0 of the only topic it writes to.
    pub(crate) sequence: i32,
}

impl Txn {
    /// A producer that was initialised.
    pub(crate) async fn begin(broker: &Running, id: &str) -> Self {
        let mut txn = Self::new(broker, id).await;
        assert_eq!(txn.init(60_000).await, 0);
        txn
    }

    pub(crate) async fn new(broker: &Running, id: &str) -> Self {
        Self { wire: broker.wire().await, id: id.to_owned(), producer_id: -1, epoch: -1, sequence: 0 }
    }

    fn id(&self) -> TransactionalId {
        TransactionalId(text(&self.id))
    }

    pub(crate) async fn init(&mut self, timeout_ms: i32) -> i16 {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.id()))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch);
        let answer = self.wire.call(4, &request).await;
        if answer.error_code == 0 {
            (self.producer_id, self.epoch, self.sequence) = (answer.producer_id.0, answer.producer_epoch, 0);
        }
        answer.error_code
    }

    /// Adds partition 0 of a topic, as clients before KIP-890 do.
    pub(crate) async fn add(&mut self, topic: &str) -> i16 {
        self.add_all(topic, vec![0]).await
    }

    /// Adds partitions of a topic, as clients before KIP-890 do; answers the code of the first.
    pub(crate) async fn add_all(&mut self, topic: &str, partitions: Vec<i32>) -> i16 {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(partitions);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id())
            .with_v3_and_below_producer_id(ProducerId(self.producer_id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let mut answer = self.wire.call(3, &request).await;
        answer.results_by_topic_v3_and_below.remove(0).results_by_partition.remove(0).partition_error_code
    }

    fn batch(&mut self, value: &str) -> bytes::Bytes {
        let (producer_id, producer_epoch, sequence) = (self.producer_id, self.epoch, self.sequence);
        stamped(Stamp { producer_id, producer_epoch, sequence, transactional: true, ..Stamp::default() }, &[value])
    }

    /// Produces one record to partition 0 of a topic that was added.
    pub(crate) async fn produce(&mut self, topic: &str, value: &str) -> i16 {
        let batch = self.batch(value);
        let code = self.wire.produce_in(Some(&self.id), topic, 0, batch).await.error_code;
        self.sequence += i32::from(code == 0);
        code
    }

    /// Produces one record to any partition that was added; the caller counts the batches of each.
    pub(crate) async fn produce_to(&mut self, topic: &str, partition: i32, sequence: i32, value: &str) -> i16 {
        let (producer_id, producer_epoch) = (self.producer_id, self.epoch);
        let stamp = Stamp { producer_id, producer_epoch, sequence, transactional: true, ..Stamp::default() };
        self.wire.produce_in(Some(&self.id), topic, partition, stamped(stamp, &[value])).await.error_code
    }

    /// Produces one record with a key to partition 0 of a topic that was added.
    pub(crate) async fn produce_keyed(&mut self, topic: &str, key: &str, value: &str) -> i16 {
        let (producer_id, producer_epoch, sequence) = (self.producer_id, self.epoch, self.sequence);
        let stamp = Stamp { producer_id, producer_epoch, sequence, transactional: true, ..Stamp::default() };
        let batch = keyed(stamp, &[(Some(key), Some(value))]);
        let code = self.wire.produce_in(Some(&self.id), topic, 0, batch).await.error_code;
        self.sequence += i32::from(code == 0);
        code
    }

    /// Produces one record to partition 0 of a topic, which is added by that, as clients after KIP-890 do.
    pub(crate) async fn produce_adding(&mut self, topic: &str, value: &str) -> i16 {
        let mut request = produce_request(topic, 0, self.batch(value), -1);
        request.transactional_id = Some(self.id());
        let mut answer = self.wire.call(PRODUCE_ADDING, &request).await;
        let code = answer.responses.remove(0).partition_responses.remove(0).error_code;
        self.sequence += i32::from(code == 0);
        code
    }

    /// Ends the transaction as clients before KIP-890 do.
    pub(crate) async fn end(&mut self, committed: bool) -> i16 {
        self.wire.call(4, &self.end_request(committed)).await.error_code
    }

    /// Ends the transaction as clients after KIP-890 do, and takes over the epoch that is told.
    pub(crate) async fn end_bumping(&mut self, committed: bool) -> i16 {
        let answer = self.wire.call(5, &self.end_request(committed)).await;
        if answer.error_code == 0 {
            (self.producer_id, self.epoch, self.sequence) = (answer.producer_id.0, answer.producer_epoch, 0);
        }
        answer.error_code
    }

    fn end_request(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(self.id())
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed)
    }

    pub(crate) async fn add_offsets(&mut self, group: &str) -> i16 {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.id())
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_group_id(GroupId(text(group)));
        self.wire.call(3, &request).await.error_code
    }

    /// Commits an offset for partition 0 of a topic; version 5 adds the group by itself.
    pub(crate) async fn commit_offset(&mut self, version: i16, group: &str, topic: &str, offset: i64) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic));
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.id())
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![topic.with_partitions(vec![partition])]);
        let mut answer = self.wire.call(version, &request).await;
        answer.topics.remove(0).partitions.remove(0).error_code
    }

    /// The same producer on another connection.
    pub(crate) async fn reconnect(self, broker: &Running) -> Self {
        let mut wire = broker.wire().await;
        wire.call(12, &MetadataRequest::default().with_topics(Some(Vec::new()))).await;
        Self { wire, ..self }
    }
}
