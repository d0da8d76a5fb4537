//! A client that sends one request at a time and does nothing with the records: it costs next to nothing itself, and
//! never waits for a refresh or a back-off as full clients do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use eventkit::Clock;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

/// The versions that both brokers speak; the last ones that name topics.
const CREATE_TOPICS: i16 = 5;
const FETCH: i16 = 12;
const METADATA: i16 = 9;
const PRODUCE: i16 = 9;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long a new topic may take until all of its partitions have a leader.
const TOPIC_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// Where things stand in the header of a batch.
const LENGTH_AT: usize = 8;
const LAST_OFFSET_DELTA_AT: usize = 23;
/// What of a batch its length does not count.
const BEFORE_LENGTH_ENDS: usize = 12;

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    correlation: i32,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { stream, correlation: 0 })
    }

    /// Whether the broker knows itself as one already.
    pub(crate) fn has_broker(&mut self) -> anyhow::Result<bool> {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        Ok(!self.call(METADATA, &request)?.brokers.is_empty())
    }

    /// Makes a topic; 0, or the code of the broker's refusal. A topic that is there is as good.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32) -> anyhow::Result<i16> {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let timeout_ms = i32::try_from(ANSWER_MAX.as_millis())?;
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
        let answer = self.call(CREATE_TOPICS, &request)?;
        let code = answer.topics.first().context("an answer about the topic")?.error_code;
        Ok(if code == TOPIC_ALREADY_EXISTS { 0 } else { code })
    }

    /// Whether each partition of a topic has a leader.
    fn is_led(&mut self, name: &str, partitions: i32) -> anyhow::Result<bool> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let answer = self.call(METADATA, &MetadataRequest::default().with_topics(Some(vec![topic])))?;
        let topic = answer.topics.first().context("an answer about the topic")?;
        let led = topic.partitions.iter().filter(|partition| partition.error_code == 0 && partition.leader_id.0 >= 0);
        Ok(led.count() == usize::try_from(partitions)?)
    }

    /// Produces a batch with acks of all; 0, or the code of the broker's refusal.
    pub(crate) fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> anyhow::Result<i16> {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
        let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
        let timeout_ms = i32::try_from(ANSWER_MAX.as_millis())?;
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(timeout_ms).with_topic_data(vec![topic]);
        let answer = self.call(PRODUCE, &request)?;
        let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
        Ok(partition.context("an answer about the partition")?.error_code)
    }

    /// Fetches at least one batch from an offset that is there.
    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, offset: i64, bytes_max: i32) -> anyhow::Result<Bytes> {
        let asked = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(bytes_max);
        let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_max_wait_ms(i32::try_from(ANSWER_MAX.as_millis() / 2)?)
            .with_min_bytes(1)
            .with_max_bytes(bytes_max)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer = self.call(FETCH, &request)?;
        let partition = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        let partition = partition.context("an answer about the partition")?;
        ensure!(partition.error_code == 0, "fetching offset {offset} was refused: error code {}", partition.error_code);
        partition.records.filter(|records| !records.is_empty()).with_context(|| format!("nothing at offset {offset}"))
    }

    fn call<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<R::Response> {
        self.correlation += 1;
        self.stream.write_all(&frame(version, request, self.correlation)?)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut body)?;
        let mut body = Bytes::from(body);
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version))?;
        ensure!(header.correlation_id == self.correlation, "an answer to another request");
        R::Response::decode(&mut body, version)
    }
}

/// Makes a topic, and waits until it can be written to.
#[allow(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
pub(crate) fn make_topic(address: SocketAddr, name: &str, partitions: i32) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut wire = Wire::connect(address)?;
    let mut code = wire.create_topic(name, partitions)?;
    while code != 0 || !wire.is_led(name, partitions)? {
        ensure!(began.elapsed() < TOPIC_MAX, "the topic {name} cannot be made: error code {code}");
        std::thread::sleep(PAUSE);
        if code != 0 {
            code = wire.create_topic(name, partitions)?;
        }
    }
    Ok(())
}

/// Produces to a partition of a new topic: Apache Kafka names its leader before that one knows.
#[allow(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
pub(crate) fn produce_to_new(wire: &mut Wire, topic: &str, partition: i32, batch: &Bytes) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let code = wire.produce(topic, partition, batch.clone())?;
        if code == 0 {
            return Ok(());
        }
        let may_pass = [UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER].contains(&code);
        ensure!(may_pass && began.elapsed() < TOPIC_MAX, "{topic}/{partition} was refused: error code {code}");
        std::thread::sleep(PAUSE);
    }
}

/// A batch of one record of so many bytes.
pub(crate) fn batch(bytes: usize) -> anyhow::Result<Bytes> {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        // Of now, so that retention leaves it alone.
        timestamp: Clock::system().now().as_millisecond(),
        key: None,
        value: Some(Bytes::from(vec![b'x'; bytes])),
        headers: Default::default(),
    };
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut batch = BytesMut::new();
    RecordBatchEncoder::encode(&mut batch, [&record], &options)?;
    Ok(batch.freeze())
}

/// The offset after the last whole batch of these.
pub(crate) fn next_offset(mut batches: &[u8]) -> anyhow::Result<i64> {
    let mut next = None;
    while let (Some(base), Some(length), Some(delta)) = (
        batches.first_chunk().copied().map(i64::from_be_bytes),
        number(batches, LENGTH_AT),
        number(batches, LAST_OFFSET_DELTA_AT),
    ) {
        let Some(rest) = batches.get(usize::try_from(length)? + BEFORE_LENGTH_ENDS..) else { break };
        next = Some(base + i64::from(delta) + 1);
        batches = rest;
    }
    next.context("no whole batch in the answer")
}

fn number(batch: &[u8], at: usize) -> Option<i32> {
    batch.get(at..)?.first_chunk().copied().map(i32::from_be_bytes)
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// A request as it goes over the wire, length first.
fn frame<R: Request>(version: i16, request: &R, correlation: i32) -> anyhow::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("bench")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version))?;
    request.encode(&mut body, version)?;
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(i32::try_from(body.len())?);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_offset_is_after_the_last_whole_batch() {
        let one = batch(10).unwrap();
        assert_eq!(next_offset(&one).unwrap(), 1);
        let mut second = one.to_vec();
        second[7] = 5;
        let two = [&one[..], &second, &one[..20]].concat();
        assert_eq!(next_offset(&two).unwrap(), 6);
        assert!(next_offset(&one[..30]).is_err());
    }
}
