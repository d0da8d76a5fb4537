//! Fetch: whole batches below the high watermark, waiting for them if asked to.
//!
//! What a client reads is kept in a fetch session where it asks for one (`fetch_sessions`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::AbortedTransaction;
use kafka_protocol::messages::{ApiKey, FetchRequest, FetchResponse, ProducerId, TopicName};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::log::partition::{Offsets, Partition};
use crate::log::read::{Demand, Isolation, Read, ReadError, Records};
use crate::log::transactions::Aborted;
use crate::num::{u64_of, usize_of_i32};
use crate::security::acl::{Operation, Resource};
use crate::server::answer::Answer;
use crate::server::api::{Api, Handle, NONE, epoch_code, isolation_of, read_code, text};
use crate::server::connection::{Call, Outcome};
use crate::server::fetch_sessions::{Asked, Context, Key, Said, Told};
use crate::wire::fetch_answer::{self, BY_ID_SINCE, PartitionPart, TopicPart};
use crate::wire::header::Refusal;
use crate::wire::shape::{I8, I32, I32_LIST, I64, Kind, Shape, UUID, all, between, since, until};

pub(crate) static API: Api = Api {
    key: ApiKey::Fetch,
    name: "fetch",
    versions: 4..=18,
    shape: Shape {
        flexible: 12,
        fields: &[
            until(14, I32),
            all(I32),
            all(I32),
            since(3, I32),
            since(4, I8),
            since(7, I32),
            since(7, I32),
            all(Kind::List(&[
                until(12, Kind::Text),
                since(13, UUID),
                all(Kind::List(&[all(I32), since(9, I32), all(I64), since(12, I32), since(5, I64), all(I32)])),
            ])),
            since(7, Kind::List(&[between(7, 12, Kind::Text), since(13, UUID), all(I32_LIST)])),
            since(11, Kind::Text),
        ],
    },
    handle: Handle::Ordered(|call| Box::pin(run(call))),
};

/// Records of one answer that are held in memory; further ones are sent from their files.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// Longest wait, whatever the client asks.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// One partition that is wanted.
struct Wanted {
    asked: FetchPartition,
    found: Result<Arc<Partition>, ResponseError>,
}

/// What was read of one partition.
struct Got {
    code: i16,
    offsets: Offsets,
    records: Records,
    aborted: Vec<Aborted>,
}

/// What is told of a partition of which nothing is known.
const NO_OFFSETS: Offsets = Offsets { log_start: -1, high_watermark: -1, last_stable: -1 };

/// What bounds an answer.
#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes_min: usize,
    bytes_max: usize,
    isolation: Isolation,
}

/// One pass over the partitions.
struct Pass {
    got: Vec<Got>,
    bytes: usize,
    held_bytes: usize,
    failed: bool,
}

async fn run(mut call: Call) -> Outcome {
    let request: FetchRequest = call.decode()?;
    let bytes_max = usize_of_i32(request.max_bytes).min(call.shared.config.fetch_bytes_max);
    let bytes_min = usize_of_i32(request.min_bytes).min(bytes_max);
    let wait = Duration::from_millis(u64_of(i64::from(request.max_wait_ms))).min(WAIT_MAX);
    let limits = Limits { bytes_min, bytes_max, isolation: isolation_of(request.isolation_level) };
    let (context, asked) = match enter(&call, request) {
        Ok(entered) => entered,
        Err(error) => return call.answer(&FetchResponse::default().with_error_code(error.code())),
    };
    // Others may need the memory while this one waits.
    call.release();
    let wanted: Arc<Vec<Wanted>> = Arc::new(resolve(&call, &asked));
    let pass = fetch(&call, &wanted, limits, Instant::now() + wait).await?;
    let told: Vec<Told> = pass.got.iter().map(told).collect();
    let (session, news) = call.shared.fetch_sessions.leave(context, &asked, &told, Instant::now());
    let told = asked.into_iter().zip(pass.got).zip(news).filter(|(_, is_news)| *is_news).map(|(told, _)| told);
    Ok(Some(Answer::of(fetch_answer::encode(&call.head, session, by_topic(told))?)))
}

/// What the client reads, from here and from its session; nothing of the request is left.
fn enter(call: &Call, request: FetchRequest) -> Result<(Context, Vec<Asked>), ResponseError> {
    let said = Said { id: request.session_id, epoch: request.session_epoch, by_id: call.head.version >= BY_ID_SINCE };
    let named = request.topics.into_iter().flat_map(name_all).collect();
    let forgotten = request.forgotten_topics_data.into_iter().flat_map(forget_all).collect();
    call.shared.fetch_sessions.enter(said, named, &forgotten, Instant::now())
}

/// The partitions of a topic, each by itself. What a session may keep of it is copied: the request's own strings and
/// bytes would hold the whole frame in memory for as long.
fn name_all(topic: FetchTopic) -> impl Iterator<Item = Asked> {
    let FetchTopic { topic, topic_id, partitions, .. } = topic;
    let topic = TopicName(text(topic.to_string()));
    partitions.into_iter().map(move |mut partition| {
        partition.unknown_tagged_fields.clear();
        Asked { topic: topic.clone(), topic_id, partition }
    })
}

fn forget_all(topic: ForgottenTopic) -> impl Iterator<Item = Key> {
    let ForgottenTopic { topic, topic_id, partitions, .. } = topic;
    partitions.into_iter().map(move |partition| (topic.clone(), topic_id, partition))
}

/// Finds the partitions that are asked for; those of one topic mostly follow each other.
fn resolve(call: &Call, asked: &[Asked]) -> Vec<Wanted> {
    let by_id = call.head.version >= BY_ID_SINCE;
    let catalog = &call.shared.catalog;
    let runs = asked.chunk_by(|one, next| (&one.topic, one.topic_id) == (&next.topic, next.topic_id));
    let wanted = runs.flat_map(|run| {
        let found = if by_id { catalog.get_by_id(run[0].topic_id) } else { catalog.get(&run[0].topic) };
        let name = match &found {
            Some(topic) => Some(&*topic.name),
            None => Some(&**run[0].topic).filter(|_| !by_id),
        };
        let refused = name.and_then(|name| call.require(Operation::Read, Resource::Topic(name)).err());
        run.iter().map(move |asked| {
            let found = match &found {
                _ if let Some(error) = refused => Err(error),
                None if by_id => Err(ResponseError::UnknownTopicId),
                None => Err(ResponseError::UnknownTopicOrPartition),
                Some(topic) => {
                    topic.partition(asked.partition.partition).cloned().ok_or(ResponseError::UnknownTopicOrPartition)
                }
            };
            Wanted { asked: asked.partition.clone(), found }
        })
    });
    wanted.collect()
}

fn told(got: &Got) -> Told {
    Told {
        has_records: !got.records.is_empty(),
        is_error: got.code != NONE,
        high_watermark: got.offsets.high_watermark,
        log_start: got.offsets.log_start,
    }
}

/// Reads until there is enough, something is wrong, or time is up.
async fn fetch(call: &Call, wanted: &Arc<Vec<Wanted>>, limits: Limits, deadline: Instant) -> Result<Pass, Refusal> {
    let waiting = Waiting::on(wanted);
    loop {
        // Registered before reading, so that what comes between the read and the wait is not missed.
        let out_of_time = Instant::now() >= deadline || call.shared.stop.is_cancelled();
        if out_of_time || worth_reading(wanted, limits) {
            let reading = Arc::clone(wanted);
            let pass =
                tokio::task::spawn_blocking(move || read_all(&reading, limits)).await.map_err(|_| Refusal::Panicked)?;
            if out_of_time || pass.failed || wanted.is_empty() || pass.bytes >= limits.bytes_min {
                return Ok(pass);
            }
        }
        tokio::select! {
            () = call.shared.stop.cancelled() => {}
            _ = timeout_at(deadline, waiting.wake.notified()) => {}
        }
    }
}

/// Whether a read could satisfy the client, as far as can be said without touching a file.
fn worth_reading(wanted: &[Wanted], limits: Limits) -> bool {
    let mut readable = 0_u64;
    for item in wanted {
        let Ok(partition) = &item.found else { return true };
        let offsets = partition.offsets();
        if partition.is_deleted()
            || !(offsets.log_start..=offsets.high_watermark).contains(&item.asked.fetch_offset)
            || epoch_code(item.asked.current_leader_epoch) != NONE
        {
            return true;
        }
        let bytes = partition.readable_bytes_at_most(item.asked.fetch_offset, limits.isolation);
        readable = readable.saturating_add(bytes);
    }
    wanted.is_empty() || readable >= limits.bytes_min as u64
}

/// Reads each partition in turn; blocking.
fn read_all(wanted: &[Wanted], limits: Limits) -> Pass {
    let mut pass = Pass { got: Vec::with_capacity(wanted.len()), bytes: 0, held_bytes: 0, failed: false };
    for item in wanted {
        let got = read_one(item, limits, &pass);
        pass.bytes += got.records.len();
        if let Records::Held(bytes) = &got.records {
            pass.held_bytes += bytes.len();
        }
        pass.failed |= got.code != NONE;
        pass.got.push(got);
    }
    pass
}

/// Reads what still fits behind what the pass has read so far.
fn read_one(item: &Wanted, limits: Limits, pass: &Pass) -> Got {
    let refused = |code: i16, offsets: Offsets| Got { code, offsets, records: Records::NONE, aborted: Vec::new() };
    let partition = match &item.found {
        Ok(partition) => partition,
        Err(error) => return refused(error.code(), NO_OFFSETS),
    };
    let code = epoch_code(item.asked.current_leader_epoch);
    if code != NONE {
        return refused(code, NO_OFFSETS);
    }
    let demand = Demand {
        offset: item.asked.fetch_offset,
        bytes_max: usize_of_i32(item.asked.partition_max_bytes).min(limits.bytes_max.saturating_sub(pass.bytes)),
        at_least_one: pass.bytes == 0,
        isolation: limits.isolation,
        held_max: HELD_BYTES_MAX.saturating_sub(pass.held_bytes),
    };
    match partition.read(demand) {
        Ok(Read { offsets, records, aborted }) => Got { code: NONE, offsets, records, aborted },
        Err(error) => {
            if let ReadError::Storage(error) = &error {
                tracing::error!(topic = %partition.topic, partition = partition.index, %error, "reading failed");
            }
            refused(read_code(&error), partition.offsets())
        }
    }
}

/// Partitions with those of the same topic, in the order in which each was asked for.
fn by_topic(told: impl Iterator<Item = (Asked, Got)>) -> Vec<TopicPart> {
    let mut topics: Vec<TopicPart> = Vec::new();
    let mut places: HashMap<(TopicName, Uuid), usize> = HashMap::new();
    for (asked, got) in told {
        let at = *places.entry((asked.topic.clone(), asked.topic_id)).or_insert_with(|| {
            topics.push(TopicPart { name: asked.topic, id: asked.topic_id, partitions: Vec::new() });
            topics.len() - 1
        });
        topics[at].partitions.push(part(asked.partition.partition, got));
    }
    topics
}

fn part(index: i32, got: Got) -> PartitionPart {
    let aborted = got.aborted.into_iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first_offset)
    });
    PartitionPart {
        index,
        code: got.code,
        high_watermark: got.offsets.high_watermark,
        last_stable: got.offsets.last_stable,
        log_start: got.offsets.log_start,
        aborted: aborted.collect(),
        records: got.records,
    }
}

/// The registration of a waiting fetch with its partitions, which ends with it.
struct Waiting<'a> {
    wake: Arc<Notify>,
    registered: Vec<(&'a Partition, u64)>,
}

impl<'a> Waiting<'a> {
    fn on(wanted: &'a [Wanted]) -> Self {
        let wake = Arc::new(Notify::new());
        let found = wanted.iter().filter_map(|item| item.found.as_ref().ok());
        let registered = found.map(|partition| (&**partition, partition.waiters.add(Arc::clone(&wake)))).collect();
        Self { wake, registered }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for (partition, id) in &self.registered {
            partition.waiters.remove(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use bytes::Bytes;
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn what_a_session_keeps_does_not_hold_the_request_in_memory() {
        let frame = Bytes::from(b"topic".to_vec());
        let mut partition = FetchPartition::default();
        partition.unknown_tagged_fields.insert(77, frame.clone());
        let name = TopicName(StrBytes::from_utf8(frame.clone()).unwrap());
        let topic = FetchTopic::default().with_topic(name).with_partitions(vec![partition]);
        assert!(!frame.is_unique());
        let named: Vec<Asked> = name_all(topic).collect();
        assert!(frame.is_unique(), "nothing of the request is left");
        assert_eq!(named[0].topic.as_str(), "topic");
    }
}
