//! The log of group states and committed offsets: one writer, one sync for all that queued meanwhile, replay at start.
//!
//! What a caller wants done once its records are durable runs in the order of the log, also if the caller is gone: so
//! memory and log never tell different stories.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::catalog::Topic;
use crate::groups::records::Key;
use crate::log::batch::{Header, check_produced};
use crate::log::partition::{AppendError, Partition};
use crate::log::read::ReadError;
use crate::log::records;

/// Commits waiting to be written at most.
const QUEUE_MAX: usize = 4096;
/// Bytes of keys and values in one batch, about.
const BATCH_BYTES: usize = 512 * 1024;
/// `max.message.bytes` of the topic, so that one large group state fits.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Log bytes after which the state is written anew and everything before it dropped.
const REWRITE_AFTER_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes read at a time at the start.
const REPLAY_BYTES: usize = 1024 * 1024;

/// A key with its value, or with none to remove it.
pub(crate) type Entry = (Vec<u8>, Option<Vec<u8>>);

/// Records to write, and what follows when they are durable (`true`) or could not be written.
pub(crate) struct Work {
    pub(crate) entries: Vec<Entry>,
    pub(crate) done: Box<dyn FnOnce(bool) + Send>,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("entries", &self.entries.len()).finish_non_exhaustive()
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
    pub(crate) fn put(&self, entries: Vec<Entry>, done: impl FnOnce(bool) + Send + 'static) -> bool {
        self.queue.try_send(Work { entries, done: Box::new(done) }).is_ok()
    }
}

impl Writer {
    /// Writes until every [`Store`] is gone. `state` gives everything there is, for writing it anew.
    pub(crate) async fn run(mut self, state: impl Fn() -> Vec<Entry>) {
        while let Some(first) = self.queue.recv().await {
            let mut bytes = size_of_entries(&first.entries);
            let mut work = vec![first];
            while bytes < BATCH_BYTES
                && let Ok(next) = self.queue.try_recv()
            {
                bytes += size_of_entries(&next.entries);
                work.push(next);
            }
            let (entries, after): (Vec<_>, Vec<_>) = work.into_iter().map(|work| (work.entries, work.done)).unzip();
            let stored = self.write(entries.into_iter().flatten().collect()).await.is_some();
            for done in after {
                done(stored);
            }
            if stored && self.written_since_rewrite > REWRITE_AFTER_BYTES {
                self.rewrite(state()).await;
            }
        }
    }

    /// Writes one batch and waits until it is durable; returns its base offset.
    async fn write(&mut self, entries: Vec<Entry>) -> Option<i64> {
        if entries.is_empty() {
            return Some(-1);
        }
        let partition = Arc::clone(&self.partition);
        let appended = spawn_blocking(move || append(&partition, &entries)).await.ok()?;
        let result = match appended {
            Ok((appended, bytes)) => {
                self.written_since_rewrite += bytes;
                self.partition.wait_synced(appended.end).await.map(|()| appended.base_offset)
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(base_offset) => Some(base_offset),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "group state could not be stored");
                None
            }
        }
    }

    /// Writes the whole state at the end of the log, then drops what is before it.
    async fn rewrite(&mut self, state: Vec<Entry>) {
        let mut first_offset = None;
        let mut rest = state.into_iter().peekable();
        while rest.peek().is_some() {
            let mut bytes = 0;
            let mut part = Vec::new();
            while bytes < BATCH_BYTES
                && let Some((key, value)) = rest.next()
            {
                bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                part.push((key, value));
            }
            match self.write(part).await {
                Some(base_offset) => first_offset = first_offset.or(Some(base_offset)),
                None => return,
            }
        }
        let before = first_offset.unwrap_or(-1);
        let partition = Arc::clone(&self.partition);
        let dropped = spawn_blocking(move || {
            let _ = partition.delete_before(before);
            partition.apply_retention()
        });
        match dropped.await {
            Ok(Ok(segments)) => tracing::info!(segments, "group state written anew"),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old group state could not be dropped");
            }
            Err(_) => tracing::error!("group state worker was lost"),
        }
        self.written_since_rewrite = 0;
    }
}

fn size_of_entries(entries: &[Entry]) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}

/// Appends one batch; blocking. Returns where it went and its bytes.
fn append(
    partition: &Arc<Partition>,
    entries: &[Entry],
) -> Result<(crate::log::partition::Appended, u64), AppendError> {
    let borrowed: Vec<_> = entries.iter().map(|(key, value)| (Some(key.as_slice()), value.as_deref())).collect();
    let batch = records::build(&borrowed, partition.env.clock.now_ms());
    let header: Header = check_produced(&batch).map_err(|_| AppendError::TooLarge)?;
    let appended = partition.append(&header, &batch)?;
    Ok((appended, batch.len() as u64))
}

/// Reads the log from its start; blocking. A damaged batch is skipped, as it was reported at recovery.
pub(crate) fn replay(partition: &Partition, mut each: impl FnMut(Key, Option<&[u8]>)) -> Result<u64, ReadError> {
    let offsets = partition.offsets();
    let mut at = offsets.log_start;
    let mut count = 0;
    while at < offsets.high_watermark {
        let bytes = match partition.read(at, REPLAY_BYTES, true) {
            Ok((_, bytes)) => bytes,
            Err(ReadError::Damaged) => {
                at += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        for (header, batch) in records::split_batches(bytes) {
            for record in records::parse(&batch, &header).unwrap_or_default() {
                if let Some(key) = record.key.filter(|_| record.offset >= at).and_then(Key::decode) {
                    each(key, record.value);
                    count += 1;
                }
            }
            at = header.next_offset();
        }
    }
    Ok(count)
}
