//! Logs of the broker's own state: one writer, one sync for all that queued meanwhile, replay at start.
//!
//! What a caller wants done once its records are durable runs in the order of the log, also if the caller is gone: so
//! memory and log never tell different stories. Groups are kept in `__consumer_offsets`, transactions in
//! `__transaction_state`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Catalog, Topic, TopicError};
use crate::error::Error;
use crate::log::batch::Header;
use crate::log::control::{self, Marker};
use crate::log::partition::{AppendError, Appended, Partition};
use crate::log::read::{Demand, Isolation, ReadError};
use crate::log::records::{self, Record, Stamp};

/// Changes waiting to be written at most.
const QUEUE_MAX: usize = 4096;
/// Bytes of keys and values in one batch, about.
const BATCH_BYTES: usize = 512 * 1024;
/// `max.message.bytes` of the topics, so that one large group state fits.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Log bytes after which the state is written anew and everything before it dropped.
const REWRITE_AFTER_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes read at a time at the start.
const REPLAY_BYTES: usize = 1024 * 1024;

/// A key with its value, or with none to remove it.
pub(crate) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// A producer in one of its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ProducerRun {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// What is to be written.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Plain(Vec<Entry>),
    /// Counts when a commit marker of the producer follows.
    Pending(ProducerRun, Vec<Entry>),
    /// Decides about what is pending of a producer.
    Decision(ProducerRun, Marker),
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Self::Plain(entries) | Self::Pending(_, entries) => {
                entries.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
            }
            Self::Decision(..) => 0,
        }
    }
}

/// Told whether it was written.
type Done = Box<dyn FnOnce(bool) + Send>;

/// Something to write, and what follows when it is durable (`true`) or could not be written.
struct Work {
    content: Content,
    done: Done,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("bytes", &self.content.bytes()).finish_non_exhaustive()
    }
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    queue: mpsc::Sender<Work>,
}

/// The writer.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Receiver<Work>,
    partition: Arc<Partition>,
    written_since_rewrite: u64,
}

impl Store {
    pub(crate) fn new(topic: &Topic) -> Option<(Self, Writer)> {
        let (to, queue) = mpsc::channel(QUEUE_MAX);
        let partition = Arc::clone(topic.partition(0)?);
        let written_since_rewrite = partition.size_bytes();
        Some((Self { queue: to }, Writer { queue, partition, written_since_rewrite }))
    }

    /// Queues without waiting, so that callers can keep a lock and with it the order; `false` if the queue is full.
    #[must_use]
    pub(crate) fn put(&self, content: Content, done: impl FnOnce(bool) + Send + 'static) -> bool {
        self.queue.try_send(Work { content, done: Box::new(done) }).is_ok()
    }
}

/// The topic of a state log, made if it is not there.
pub(crate) async fn topic(catalog: &Catalog, name: &'static str) -> Result<Arc<Topic>, Error> {
    if let Some(topic) = catalog.get(name) {
        return Ok(topic);
    }
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("max.message.bytes", MESSAGE_BYTES_MAX.to_string()),
        ("segment.bytes", (32 * 1024 * 1024).to_string()),
    ];
    let configs = configs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let made = catalog.create(name, 1, configs).await;
    made.map_err(|error: TopicError| Error::Topic { topic: name.to_owned(), reason: error.to_string() })
}

impl Writer {
    /// Writes until every [`Store`] is gone. `state` gives everything there is, for writing it anew.
    pub(crate) async fn run(mut self, state: impl Fn() -> Vec<Content>) {
        while let Some(first) = self.queue.recv().await {
            let mut bytes = first.content.bytes();
            let mut work = vec![first];
            while bytes < BATCH_BYTES
                && let Ok(next) = self.queue.try_recv()
            {
                bytes += next.content.bytes();
                work.push(next);
            }
            let (contents, after) = merge(work);
            let stored = self.write(contents).await;
            let all_stored = stored.iter().all(Option::is_some);
            for (stored, after) in stored.into_iter().zip(after) {
                for done in after {
                    done(stored.is_some());
                }
            }
            if all_stored && self.written_since_rewrite > REWRITE_AFTER_BYTES {
                self.rewrite(state()).await;
            }
        }
    }

    /// Writes one batch for each content and waits until they are durable; returns their base offsets.
    async fn write(&mut self, contents: Vec<Content>) -> Vec<Option<i64>> {
        let partition = Arc::clone(&self.partition);
        let count = contents.len();
        let appending =
            spawn_blocking(move || contents.iter().map(|content| append(&partition, content)).collect::<Vec<_>>());
        let Ok(appended) = appending.await else { return vec![None; count] };
        let mut offsets = Vec::with_capacity(count);
        for appended in appended {
            let result = match appended {
                Ok(None) => Ok(-1),
                Ok(Some((appended, bytes))) => {
                    self.written_since_rewrite += bytes;
                    self.partition.wait_synced(appended.end).await.map(|()| appended.base_offset)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = &result {
                let error = error as &dyn std::error::Error;
                tracing::error!(topic = %self.partition.topic, error, "state could not be stored");
            }
            offsets.push(result.ok());
        }
        offsets
    }

    /// Writes the whole state at the end of the log, then drops what is before it.
    async fn rewrite(&mut self, state: Vec<Content>) {
        let mut first_offset = None;
        for part in state.into_iter().flat_map(split) {
            match self.write(vec![part]).await.first() {
                Some(Some(base_offset)) => first_offset = first_offset.or(Some(*base_offset)),
                _ => return,
            }
        }
        let before = first_offset.unwrap_or(-1);
        let partition = Arc::clone(&self.partition);
        let dropped = spawn_blocking(move || {
            let _ = partition.delete_before(before);
            partition.apply_retention()
        });
        match dropped.await {
            Ok(Ok(segments)) => tracing::info!(topic = %self.partition.topic, segments, "state written anew"),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(topic = %self.partition.topic, error, "old state could not be dropped");
            }
            Err(_) => tracing::error!(topic = %self.partition.topic, "state worker was lost"),
        }
        self.written_since_rewrite = 0;
    }
}

/// When a writer ends.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// The broker stops.
    pub(crate) stop: CancellationToken,
    /// Nobody is left who could ask for anything to be written.
    pub(crate) settled: CancellationToken,
}

impl Ends {
    /// Runs a writer until nobody is left who needs it; where nobody says so, a little longer than the broker.
    pub(crate) async fn run(self, writer: impl Future<Output = ()>) {
        const LINGER: Duration = Duration::from_secs(1);
        tokio::select! {
            () = writer => {}
            () = self.settled.cancelled() => {}
            () = async { self.stop.cancelled().await; tokio::time::sleep(LINGER).await } => {}
        }
    }
}

/// Makes one content of plain ones that follow each other; returns whom to tell about each.
fn merge(work: Vec<Work>) -> (Vec<Content>, Vec<Vec<Done>>) {
    let mut contents: Vec<Content> = Vec::new();
    let mut after: Vec<Vec<Done>> = Vec::new();
    for Work { content, done } in work {
        match (contents.last_mut(), after.last_mut(), content) {
            (Some(Content::Plain(before)), Some(waiting), Content::Plain(entries)) => {
                before.extend(entries);
                waiting.push(done);
            }
            (_, _, content) => {
                contents.push(content);
                after.push(vec![done]);
            }
        }
    }
    (contents, after)
}

/// Parts that fit a batch.
fn split(content: Content) -> Vec<Content> {
    let (producer, entries) = match content {
        Content::Plain(entries) => (None, entries),
        Content::Pending(producer, entries) => (Some(producer), entries),
        decision @ Content::Decision(..) => return vec![decision],
    };
    let of = |entries| match producer {
        Some(producer) => Content::Pending(producer, entries),
        None => Content::Plain(entries),
    };
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut bytes = 0;
    for (key, value) in entries {
        bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        part.push((key, value));
        if bytes >= BATCH_BYTES {
            parts.push(of(std::mem::take(&mut part)));
            bytes = 0;
        }
    }
    if !part.is_empty() {
        parts.push(of(part));
    }
    parts
}

/// Appends one batch; blocking. Returns where it went and its bytes, `None` if there was nothing to write.
fn append(partition: &Arc<Partition>, content: &Content) -> Result<Option<(Appended, u64)>, AppendError> {
    let now = partition.env.clock.now_ms();
    let batch = match content {
        Content::Plain(entries) | Content::Pending(_, entries) if entries.is_empty() => return Ok(None),
        Content::Plain(entries) => records::build(&borrow(entries), now),
        Content::Pending(producer, entries) => {
            let stamp = Stamp { producer: Some(*producer), control: false };
            records::build_stamped(stamp, &borrow(entries), now)
        }
        Content::Decision(producer, marker) => control::build(*producer, *marker, now),
    };
    let header = Header::parse(&batch).ok_or(AppendError::TooLarge)?;
    let appended = partition.append_own(&header, &batch)?;
    Ok(Some((appended, batch.len() as u64)))
}

fn borrow(entries: &[Entry]) -> Vec<records::KeyValue<'_>> {
    entries.iter().map(|(key, value)| (Some(key.as_slice()), value.as_deref())).collect()
}

/// What a state log says, read from its start.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    Record(&'a Record<'a>),
    /// Counts when the producer's transaction is committed.
    Pending(ProducerRun, &'a Record<'a>),
    Decision(ProducerRun, Marker),
}

/// Reads the log from its start; blocking. A damaged batch is skipped, as it was reported at recovery.
pub(crate) fn replay(partition: &Partition, mut each: impl FnMut(Said<'_>)) -> Result<u64, ReadError> {
    let offsets = partition.offsets();
    let mut at = offsets.log_start;
    let mut count = 0;
    while at < offsets.high_watermark {
        let demand = Demand {
            offset: at,
            bytes_max: REPLAY_BYTES,
            at_least_one: true,
            isolation: Isolation::Everything,
            held_max: usize::MAX,
        };
        let bytes = match partition.read(demand) {
            Ok(read) => read.records.load()?,
            Err(ReadError::Damaged) => {
                at += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        for (header, batch) in records::split_batches(bytes) {
            let producer = ProducerRun { id: header.producer_id, epoch: header.producer_epoch };
            if header.is_control() {
                if let Some(marker) = control::marker_of(&batch, &header) {
                    each(Said::Decision(producer, marker));
                }
            } else {
                for record in records::parse(&batch, &header).unwrap_or_default() {
                    if record.offset < at {
                        continue;
                    }
                    count += 1;
                    if header.is_transactional() {
                        each(Said::Pending(producer, &record));
                    } else {
                        each(Said::Record(&record));
                    }
                }
            }
            at = header.next_offset();
        }
    }
    Ok(count)
}
