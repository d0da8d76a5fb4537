//! Fetch: whole batches below the high watermark, waiting for them if asked to.
//!
//! What a client reads is kept in a fetch session where it asks for one (`fetch_sessions`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::log::partition::{Offsets, Partition};
use crate::log::read::{Isolation, Read, ReadError};
use crate::log::transactions::Aborted;
use crate::num::{u64_of, usize_of_i32};
use crate::server::api::{Api, Handle, NONE, epoch_code, isolation_of, read_code};
use crate::server::connection::{Call, Outcome};
use crate::server::fetch_sessions::{Asked, Key, Said, Told};
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

/// First version that names topics by id.
const BY_ID_SINCE: i16 = 13;
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
    records: Bytes,
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
    failed: bool,
}

async fn run(call: Call) -> Outcome {
    let request: FetchRequest = call.decode()?;
    let said = Said { id: request.session_id, epoch: request.session_epoch, by_id: call.head.version >= BY_ID_SINCE };
    let named = request.topics.into_iter().flat_map(name_all).collect();
    let forgotten = request.forgotten_topics_data.into_iter().flat_map(forget_all).collect();
    let (context, asked) = match call.shared.fetch_sessions.enter(said, named, &forgotten, Instant::now()) {
        Ok(entered) => entered,
        Err(error) => return call.answer(&FetchResponse::default().with_error_code(error.code())),
    };
    let wanted: Arc<Vec<Wanted>> = Arc::new(resolve(&call, &asked));
    let bytes_max = usize_of_i32(request.max_bytes).min(call.shared.config.fetch_bytes_max);
    let bytes_min = usize_of_i32(request.min_bytes).min(bytes_max);
    let wait = Duration::from_millis(u64_of(i64::from(request.max_wait_ms))).min(WAIT_MAX);
    let limits = Limits { bytes_min, bytes_max, isolation: isolation_of(request.isolation_level) };
    let (pass, memory) = fetch(&call, &wanted, limits, Instant::now() + wait).await?;
    let told: Vec<Told> = pass.got.iter().map(told).collect();
    let (session, news) = call.shared.fetch_sessions.leave(context, &asked, &told, Instant::now());
    let told = asked.into_iter().zip(pass.got).zip(news).filter(|(_, is_news)| *is_news).map(|(told, _)| told);
    let answer = call.answer(&respond(call.head.version, told).with_session_id(session))?;
    Ok(answer.map(|mut answer| {
        answer.memory = Some(memory);
        answer
    }))
}

/// The partitions of a topic, each by itself.
fn name_all(topic: FetchTopic) -> impl Iterator<Item = Asked> {
    let FetchTopic { topic, topic_id, partitions, .. } = topic;
    partitions.into_iter().map(move |partition| Asked { topic: topic.clone(), topic_id, partition })
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
        run.iter().map(move |asked| {
            let found = match &found {
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
async fn fetch(
    call: &Call,
    wanted: &Arc<Vec<Wanted>>,
    limits: Limits,
    deadline: Instant,
) -> Result<(Pass, OwnedSemaphorePermit), Refusal> {
    let waiting = Waiting::on(wanted);
    loop {
        // Registered before reading, so that what comes between the read and the wait is not missed.
        let out_of_time = Instant::now() >= deadline || call.shared.stop.is_cancelled();
        if out_of_time || worth_reading(wanted, limits) {
            let mut memory = reserve(call, wanted, limits).await?;
            let reading = Arc::clone(wanted);
            let pass =
                tokio::task::spawn_blocking(move || read_all(&reading, limits)).await.map_err(|_| Refusal::Panicked)?;
            if out_of_time || pass.failed || wanted.is_empty() || pass.bytes >= limits.bytes_min {
                let unused = memory.num_permits().saturating_sub(pass.bytes);
                drop(memory.split(unused));
                return Ok((pass, memory));
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
        if !(offsets.log_start..=offsets.high_watermark).contains(&item.asked.fetch_offset)
            || epoch_code(item.asked.current_leader_epoch) != NONE
        {
            return true;
        }
        readable += partition.readable_bytes_at_most(item.asked.fetch_offset, limits.isolation);
    }
    wanted.is_empty() || readable >= limits.bytes_min as u64
}

/// Takes the answer's share of the memory for all answers.
async fn reserve(call: &Call, wanted: &[Wanted], limits: Limits) -> Result<OwnedSemaphorePermit, Refusal> {
    let readable = |item: &Wanted| {
        let partition = item.found.as_ref().ok()?;
        Some(
            partition
                .readable_bytes_at_most(item.asked.fetch_offset, limits.isolation)
                .min(u64_of(i64::from(item.asked.partition_max_bytes))),
        )
    };
    let most: u64 = wanted.iter().filter_map(readable).sum();
    let most = most.min(limits.bytes_max as u64);
    let share = Arc::clone(&call.shared.fetch_memory).acquire_many_owned(u32::try_from(most).unwrap_or(u32::MAX));
    share.await.map_err(|_| Refusal::Stopping)
}

/// Reads each partition in turn; blocking.
fn read_all(wanted: &[Wanted], limits: Limits) -> Pass {
    let mut pass = Pass { got: Vec::with_capacity(wanted.len()), bytes: 0, failed: false };
    for item in wanted {
        let got = read_one(item, limits.bytes_max.saturating_sub(pass.bytes), pass.bytes == 0, limits.isolation);
        pass.bytes += got.records.len();
        pass.failed |= got.code != NONE;
        pass.got.push(got);
    }
    pass
}

fn read_one(item: &Wanted, bytes_left: usize, at_least_one: bool, isolation: Isolation) -> Got {
    let refused = |code: i16, offsets: Offsets| Got { code, offsets, records: Bytes::new(), aborted: Vec::new() };
    let partition = match &item.found {
        Ok(partition) => partition,
        Err(error) => return refused(error.code(), NO_OFFSETS),
    };
    let code = epoch_code(item.asked.current_leader_epoch);
    if code != NONE {
        return refused(code, NO_OFFSETS);
    }
    let bytes_max = usize_of_i32(item.asked.partition_max_bytes).min(bytes_left);
    match partition.read(item.asked.fetch_offset, bytes_max, at_least_one, isolation) {
        Ok(Read { offsets, records, aborted }) => Got { code: NONE, offsets, records, aborted },
        Err(error) => {
            if let ReadError::Storage(error) = &error {
                tracing::error!(topic = %partition.topic, partition = partition.index, %error, "reading failed");
            }
            refused(read_code(&error), partition.offsets())
        }
    }
}

fn respond(version: i16, told: impl Iterator<Item = (Asked, Got)>) -> FetchResponse {
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut places: HashMap<(TopicName, Uuid), usize> = HashMap::new();
    for (asked, got) in told {
        let at = *places.entry((asked.topic.clone(), asked.topic_id)).or_insert_with(|| {
            let response = FetchableTopicResponse::default();
            responses.push(if version >= BY_ID_SINCE {
                response.with_topic_id(asked.topic_id)
            } else {
                response.with_topic(asked.topic)
            });
            responses.len() - 1
        });
        responses[at].partitions.push(data(version, asked.partition.partition, got));
    }
    FetchResponse::default().with_responses(responses)
}

fn data(version: i16, partition: i32, got: Got) -> PartitionData {
    let aborted = got.aborted.into_iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first_offset)
    });
    let mut data = PartitionData::default()
        .with_partition_index(partition)
        .with_error_code(got.code)
        .with_high_watermark(got.offsets.high_watermark)
        .with_last_stable_offset(got.offsets.last_stable)
        .with_aborted_transactions(Some(aborted.collect()))
        .with_records(Some(got.records));
    if version >= 5 {
        data.log_start_offset = got.offsets.log_start;
    }
    if version >= 11 {
        data.preferred_read_replica = BrokerId(-1);
    }
    data
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
