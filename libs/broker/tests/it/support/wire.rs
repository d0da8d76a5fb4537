//! A connection that speaks frames: what no client can be made to send, or shows of an answer.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, ProduceRequest, RequestHeader,
    ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// The version of Produce used unless a test is about versions.
pub(crate) const PRODUCE: i16 = 9;
/// The version of Fetch used unless a test is about versions: the last that names topics.
pub(crate) const FETCH: i16 = 12;

/// A connection to the broker.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    correlation: i32,
    /// Told when the connection ends, where that is not a failed test.
    broken: Option<CancellationToken>,
}

/// What a fetch asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) offset: i64,
    pub(crate) wait_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
    pub(crate) partition_max_bytes: i32,
    /// 0 reads everything, 1 only what is committed.
    pub(crate) isolation: i8,
}

impl Ask {
    pub(crate) fn at(offset: i64) -> Self {
        Self { offset, wait_ms: 0, min_bytes: 1, max_bytes: 1 << 20, partition_max_bytes: 1 << 20, isolation: 0 }
    }
}

pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(crate) fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

impl Wire {
    pub(crate) async fn connect(address: &str) -> Self {
        Self::of(TcpStream::connect(address).await.unwrap(), None)
    }

    /// From this address of this machine.
    pub(crate) async fn connect_from(source: std::net::IpAddr, address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        Self::of(socket.connect(address.parse().unwrap()).await.unwrap(), None)
    }

    /// To a broker that may die at any moment: a call that it does not answer never ends, and `broken` is told.
    pub(crate) async fn connect_until(broken: &CancellationToken, address: &str) -> Self {
        let connected = TcpStream::connect(address).await;
        Self::of(or_broken(Some(broken), connected).await.unwrap(), Some(broken.clone()))
    }

    fn of(stream: TcpStream, broken: Option<CancellationToken>) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation: 0, broken }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.receive::<R>(version).await.unwrap()
    }

    /// Sends a request without waiting.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation += 1;
        let frame = frame(version, request, self.correlation);
        let sent = self.stream.write_all(&frame).await;
        or_broken(self.broken.as_ref(), sent).await.unwrap();
    }

    /// Reads the answer to the last request that was sent.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let received = self.receive_frame().await;
        let mut body = or_broken(self.broken.as_ref(), received).await?;
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation, "answers come in the order of requests");
        let response = R::Response::decode(&mut body, version).unwrap();
        assert!(body.is_empty(), "the answer has no bytes too many");
        Ok(response)
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(crate) async fn receive_frame(&mut self) -> io::Result<Bytes> {
        let reading = async {
            let length = self.stream.read_i32().await?;
            let mut body = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut body).await?;
            Ok(Bytes::from(body))
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer in time")
    }

    /// Returns when something has come that can be read.
    pub(crate) async fn readable(&self) {
        tokio::time::timeout(PATIENCE, self.stream.readable()).await.expect("something in time").unwrap();
    }

    /// Whether something has come, or comes within a moment.
    pub(crate) async fn has_bytes(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(30), self.stream.peek(&mut [0])).await.is_ok()
    }

    /// Whether the broker ends the connection without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut byte)).await.expect("an end in time");
        matches!(read, Ok(0) | Err(_))
    }

    /// Produces one batch with acks of all.
    pub(crate) async fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> PartitionProduceResponse {
        self.produce_in(None, topic, partition, batch).await
    }

    /// As [`Self::produce`], with a transactional id.
    pub(crate) async fn produce_in(
        &mut self,
        transactional_id: Option<&str>,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        let mut request = produce_request(topic, partition, batch, -1);
        request.transactional_id = transactional_id.map(|id| TransactionalId(text(id)));
        let mut response = self.call(PRODUCE, &request).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// Fetches from one partition.
    pub(crate) async fn fetch(&mut self, topic: &str, partition: i32, ask: Ask) -> PartitionData {
        let mut response = self.call(FETCH, &fetch_request(topic, partition, ask)).await;
        assert_eq!(response.error_code, 0);
        response.responses.remove(0).partitions.remove(0)
    }

    /// Asks for the offset at a time, or at one of the special times.
    pub(crate) async fn offset_at(
        &mut self,
        topic: &str,
        partition: i32,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let mut response = self.call(7, &request).await;
        response.topics.remove(0).partitions.remove(0)
    }

    /// First readable offset and high watermark, zero for a topic that is not there yet.
    pub(crate) async fn watermarks_or_zero(&mut self, topic: &str) -> (i64, i64) {
        let (low, high) = self.watermarks(topic, 0).await;
        (low.max(0), high.max(0))
    }

    /// Deletes a topic.
    pub(crate) async fn delete_topic(&mut self, name: &str) {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]);
        assert_eq!(self.call(5, &request).await.responses[0].error_code, 0);
    }

    /// Makes everything below `before` unreadable.
    pub(crate) async fn delete_records(&mut self, topic: &str, partition: i32, before: i64) -> (i16, i64) {
        let asked = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        let deleted = self.call(2, &request).await.topics.remove(0).partitions.remove(0);
        (deleted.error_code, deleted.low_watermark)
    }

    /// First readable offset and high watermark.
    pub(crate) async fn watermarks(&mut self, topic: &str, partition: i32) -> (i64, i64) {
        (self.offset_at(topic, partition, -2).await.offset, self.offset_at(topic, partition, -1).await.offset)
    }
}

/// A result, or no end once `broken` was told of the error.
async fn or_broken<T>(broken: Option<&CancellationToken>, result: io::Result<T>) -> io::Result<T> {
    if let (Err(_), Some(broken)) = (&result, broken) {
        broken.cancel();
        std::future::pending::<()>().await;
    }
    result
}

/// A request as it goes over the wire, length first.
pub(crate) fn frame<R: Request>(version: i16, request: &R, correlation: i32) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(text("raw")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.extend_from_slice(&body);
    frame.freeze()
}

pub(crate) fn produce_request(topic: &str, partition: i32, batch: Bytes, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

pub(crate) fn fetch_request(topic: &str, partition: i32, ask: Ask) -> FetchRequest {
    let asked = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(ask.offset)
        .with_partition_max_bytes(ask.partition_max_bytes);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![asked]);
    FetchRequest::default()
        .with_max_wait_ms(ask.wait_ms)
        .with_min_bytes(ask.min_bytes)
        .with_max_bytes(ask.max_bytes)
        .with_isolation_level(ask.isolation)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}
