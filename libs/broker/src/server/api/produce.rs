//! Produce: checked and appended as the request is read, answered when everything in it is on stable storage.
//!
//! acks 1 is treated like acks all, since there is one replica; acks 0 is appended the same way and not answered.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Semaphore;

use crate::catalog::Topic;
use crate::log::LogConfig;
use crate::log::batch::{Header, Invalid, check_produced};
use crate::log::clean::{has_keys, times};
use crate::log::codec::pack_batch;
use crate::log::partition::{AppendError, Appended, Partition};
use crate::security::acl::{Operation, Resource};
use crate::server::api::{Api, Handle, append_code, chain, text};
use crate::server::connection::{Call, Outcome};
use crate::state_log::ProducerRun;
use crate::txns::transaction::{Claim, Slot};
use crate::wire::header::Refusal;
use crate::wire::shape::{I16, I32, Kind, Shape, UUID, all, between, since, until};

pub(crate) static API: Api = Api {
    key: ApiKey::Produce,
    name: "produce",
    // Nothing below 3 can be decoded, and such a request closes its connection; but librdkafka compresses only for
    // brokers that advertise version 0, as Kafka 4 does for its sake.
    versions: 0..=13,
    shape: Shape {
        flexible: 9,
        fields: &[
            since(3, Kind::Text),
            all(I16),
            all(I32),
            all(Kind::List(&[
                until(12, Kind::Text),
                since(13, UUID),
                all(Kind::List(&[all(I32), between(0, i16::MAX, Kind::Blob)])),
            ])),
        ],
    },
    handle: Handle::Eager(|call| Box::pin(begin(call))),
};

/// First version whose clients may send zstd.
const ZSTD_SINCE: i16 = 7;
/// First version whose clients do not add partitions to their transaction before they produce to them.
const ADDS_SINCE: i16 = 12;

/// The time of a record that has none.
const NO_TIME: i64 = -1;

/// What becomes of one partition's batch.
struct Item {
    index: i32,
    step: Step,
}

enum Step {
    Append { partition: Arc<Partition>, header: Header, batch: Bytes, transaction: Option<Arc<Slot>> },
    Appended { partition: Arc<Partition>, appended: Appended },
    Refused { code: i16, message: StrBytes },
}

/// A topic of the request, as it is named in the answer.
struct TopicItems {
    answer: TopicProduceResponse,
    items: Vec<Item>,
}

/// Held while a request's batches are packed anew: what small batches open to is in no account of memory, so there is one at
/// a time.
static PACKING: Semaphore = Semaphore::const_new(1);

async fn begin(mut call: Call) -> Result<BoxFuture<'static, Outcome>, Refusal> {
    let request: ProduceRequest = call.decode()?;
    let acks = request.acks;
    let mut topics = Vec::new();
    let id = request.transactional_id.as_ref().map(|id| id.as_str());
    let allowed = id.map_or(Ok(()), |id| call.require(Operation::Write, Resource::TransactionalId(id)));
    for topic in request.topic_data {
        topics.push(check_topic(&call, topic, acks, allowed).await);
    }
    enlist(&call, id, &mut topics).await;
    // Waited for here, and not on a thread that others need for their reads and syncs.
    let packing = if is_packed_anew(&topics) { PACKING.acquire().await.ok() } else { None };
    // The thread goes on where its connection does not, and so it holds this itself.
    let appending = move || {
        let _packing = packing;
        append_all(topics)
    };
    let topics = tokio::task::spawn_blocking(appending).await.map_err(|_| Refusal::Panicked)?;
    call.release();
    Ok(finish(call, topics, acks).boxed())
}

async fn check_topic(call: &Call, data: TopicProduceData, acks: i16, allowed: Result<(), ResponseError>) -> TopicItems {
    let version = call.head.version;
    let (catalog, creates) = (&call.shared.catalog, call.shared.config.auto_create_topics);
    let mut found = if version >= 13 { catalog.get_by_id(data.topic_id) } else { catalog.get(&data.name) };
    let name = found.as_ref().map_or(&*data.name.0, |topic| &*topic.name);
    // An id of nothing has no name that could be asked about.
    let nameless = version >= 13 && found.is_none();
    let may = |()| if nameless { Ok(()) } else { call.require(Operation::Write, Resource::Topic(name)) };
    let allowed = allowed.and_then(may);
    if found.is_none() && version < 13 && creates && allowed.is_ok() && call.require_create(&data.name).is_ok() {
        found = catalog.get_or_create(&data.name).await.ok();
    }
    let unknown = if version >= 13 { ResponseError::UnknownTopicId } else { ResponseError::UnknownTopicOrPartition };
    let items = data.partition_data.into_iter().map(|part| {
        let step = match &found {
            _ if let Err(error) = allowed => refuse(error, "access rules do not allow it"),
            _ if !matches!(acks, -1..=1) => refuse(ResponseError::InvalidRequiredAcks, "acks must be -1, 0 or 1"),
            None => refuse(unknown, "no such topic"),
            Some(topic) if topic.is_internal() => {
                refuse(ResponseError::InvalidTopicException, "this topic is the broker's own")
            }
            Some(topic) => check_batch(version, topic, &part),
        };
        Item { index: part.index, step }
    });
    let items = items.collect();
    let answer = TopicProduceResponse::default();
    let answer = if version >= 13 { answer.with_topic_id(data.topic_id) } else { answer.with_name(named(&data.name)) };
    TopicItems { answer, items }
}

fn check_batch(version: i16, topic: &Topic, part: &PartitionProduceData) -> Step {
    let Some(partition) = topic.partition(part.index) else {
        return refuse(ResponseError::UnknownTopicOrPartition, "no such partition");
    };
    let batch = part.records.clone().unwrap_or_default();
    let header = match check_produced(&batch) {
        Ok(header) => header,
        Err(Invalid::Corrupt) => {
            return refuse(ResponseError::CorruptMessage, "batch is not whole or its checksum does not hold");
        }
        Err(Invalid::OldFormat) => {
            return refuse(ResponseError::UnsupportedForMessageFormat, "only record batches of magic 2 are taken");
        }
        Err(Invalid::Record(reason)) => return refuse(ResponseError::InvalidRecord, reason),
    };
    if header.is_zstd() && version < ZSTD_SINCE {
        return refuse(ResponseError::UnsupportedCompressionType, "zstd needs produce version 7");
    }
    if partition.config().compacts && !has_keys(&batch, &header) {
        return refuse(ResponseError::InvalidRecord, "a compacted topic takes only records with keys");
    }
    if !is_in_time(&partition.config(), &batch, &header, partition.env.clock.now_ms()) {
        return refuse(ResponseError::InvalidTimestamp, "a record's time is too far from the broker's for its topic");
    }
    if header.is_transactional() && header.producer_id < 0 {
        return refuse(ResponseError::InvalidRecord, "a transactional batch needs a producer id");
    }
    Step::Append { partition: Arc::clone(partition), header, batch, transaction: None }
}

/// Whether the records' own times are within what their topic allows.
fn is_in_time(config: &LogConfig, batch: &[u8], header: &Header, now: i64) -> bool {
    let (before, after) = (config.timestamp_before_max_ms, config.timestamp_after_max_ms);
    if config.log_append_time || (before == i64::MAX && after == i64::MAX) {
        return true;
    }
    let allowed = |time: &i64| now.saturating_sub(*time) <= before && time.saturating_sub(now) <= after;
    times(batch, header).is_some_and(|times| times.iter().all(|time| *time == NO_TIME || allowed(time)))
}

/// Finds the transaction of each transactional batch; newer clients add partitions to it by producing to them.
async fn enlist(call: &Call, id: Option<&str>, topics: &mut [TopicItems]) {
    let implicit = call.head.version >= ADDS_SINCE;
    for item in topics.iter_mut().flat_map(|topic| &mut topic.items) {
        let Step::Append { partition, header, transaction, .. } = &mut item.step else { continue };
        if !header.is_transactional() {
            continue;
        }
        let txns = &call.shared.txns;
        let found = match id {
            None => Err(ResponseError::InvalidTxnState),
            Some(id) if implicit => {
                let producer = ProducerRun { id: header.producer_id, epoch: header.producer_epoch };
                let claim = Claim { producer, fenced: ResponseError::InvalidProducerEpoch };
                txns.add(id, claim, &[(partition.topic.to_string(), partition.index)]).await
            }
            Some(id) => txns.get(id).ok_or(ResponseError::InvalidProducerIdMapping),
        };
        match found {
            Ok(slot) => *transaction = Some(slot),
            Err(error) => item.step = refuse(error, "batch is not of an open transaction"),
        }
    }
}

/// Whether the transaction of a batch still takes it.
fn admit(transaction: Option<&Arc<Slot>>, partition: &Partition, header: &Header) -> Result<(), AppendError> {
    let Some(slot) = transaction else { return Ok(()) };
    let producer = ProducerRun { id: header.producer_id, epoch: header.producer_epoch };
    slot.while_open(producer, &partition.topic, partition.index, || ()).map_err(|error| match error {
        ResponseError::InvalidProducerEpoch => AppendError::StaleEpoch,
        _ => AppendError::OutsideTransaction,
    })
}

/// A name that does not keep the whole request in memory.
fn named(name: &TopicName) -> TopicName {
    TopicName(text(name.to_string()))
}

fn refuse(error: ResponseError, message: &str) -> Step {
    Step::Refused { code: error.code(), message: text(message) }
}

fn refuse_append(error: &AppendError) -> Step {
    Step::Refused { code: append_code(error), message: chain(error) }
}

/// Whether some batch is compressed in another way than its topic wants.
fn is_packed_anew(topics: &[TopicItems]) -> bool {
    topics.iter().flat_map(|topic| &topic.items).any(|item| match &item.step {
        Step::Append { partition, header, .. } => partition.config().codec.is_some_and(|codec| header.codec() != codec),
        _ => false,
    })
}

/// Appends what passed the check; blocking.
fn append_all(mut topics: Vec<TopicItems>) -> Vec<TopicItems> {
    for item in topics.iter_mut().flat_map(|topic| &mut topic.items) {
        let Step::Append { partition, header, batch, transaction } = &item.step else { continue };
        item.step = append(partition, header, batch, transaction.as_ref());
    }
    topics
}

fn append(partition: &Arc<Partition>, header: &Header, batch: &[u8], transaction: Option<&Arc<Slot>>) -> Step {
    let packed = match partition.config().codec.and_then(|codec| pack_batch(header, batch, codec)).transpose() {
        Ok(packed) => packed,
        Err(_) => return refuse(ResponseError::CorruptMessage, "the records cannot be decompressed"),
    };
    let (header, batch) = match &packed {
        Some(packed) => (&Header::parse(packed).unwrap_or(*header), packed.as_slice()),
        None => (header, batch),
    };
    match partition.append(header, batch, || admit(transaction, partition, header)) {
        Ok(appended) => Step::Appended { partition: Arc::clone(partition), appended },
        Err(error) => refuse_append(&error),
    }
}

/// Waits for the syncs and answers.
async fn finish(call: Call, topics: Vec<TopicItems>, acks: i16) -> Outcome {
    let mut responses = Vec::with_capacity(topics.len());
    let mut refused = None;
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.items.len());
        for item in topic.items {
            let step = match item.step {
                Step::Appended { partition, appended } => match partition.wait_synced(appended.end).await {
                    Ok(()) => Step::Appended { partition, appended },
                    Err(error) => refuse_append(&error),
                },
                other => other,
            };
            if let Step::Refused { code, .. } = &step {
                refused = Some(*code);
            }
            partitions.push(answer(call.head.version, item.index, step));
        }
        responses.push(topic.answer.with_partition_responses(partitions));
    }
    if acks == 0 {
        // Nobody reads an answer: as in Kafka, a refusal closes the connection, so that the client looks again.
        return match refused {
            None => Ok(None),
            Some(code) => {
                Err(Refusal::Malformed(format!("batch sent without acknowledgement was refused with code {code}")))
            }
        };
    }
    call.answer(&ProduceResponse::default().with_responses(responses))
}

fn answer(version: i16, index: i32, step: Step) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index);
    match step {
        Step::Appended { appended, .. } => {
            let answer = answer.with_base_offset(appended.base_offset).with_log_append_time_ms(appended.append_time);
            if version >= 5 { answer.with_log_start_offset(appended.log_start) } else { answer }
        }
        Step::Refused { code, message } => {
            let answer = answer.with_error_code(code).with_base_offset(-1).with_log_append_time_ms(-1);
            if version >= 8 { answer.with_error_message(Some(message)) } else { answer }
        }
        // Every one was appended or refused by now; to a client it would be an unknown failure.
        Step::Append { .. } => answer.with_error_code(ResponseError::UnknownServerError.code()).with_base_offset(-1),
    }
}
