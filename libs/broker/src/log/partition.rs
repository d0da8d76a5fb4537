//! One partition: appending, group commit, and the numbers others may see.
//!
//! Invariants: the high watermark is the synced end, so nothing is visible or acknowledged that a crash could take
//! back (but for topics that chose otherwise, see `flush`); appends are in offset order under one lock; at most one sync of a partition runs, and everything appended
//! while it runs shares the next.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Instant;

use tokio::sync::watch;
use uuid::Uuid;

use crate::log::batch::{self, Header};
use crate::log::checkpoint::Known;
use crate::log::control;
use crate::log::disk::{FileKey, FileKind, create_dirs, remove_dirs_if_there, remove_if_there};
use crate::log::index::{ENTRY_BYTES, offset_fits};
use crate::log::point::Point;
use crate::log::producers::{Producers, Verdict};
use crate::log::read::Isolation;
use crate::log::retention::Leftover;
use crate::log::segment::{Segment, SegmentIndex, create_files, index_path, log_path};
use crate::log::transactions::{self, Ending};
use crate::log::waiters::Waiters;
use crate::log::{LogConfig, LogEnv};
use crate::metrics as names;
use crate::sync::{lock, read, write};

/// Bytes appended after which the next checkpoint also writes a recovery point.
const POINT_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// Smaller batches are copied behind their headers, to be one write; larger ones are written in two.
const COPIED_BYTES_MAX: usize = 64 * 1024;

/// The epoch of the only leader there is.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// A partition of a topic.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic_id: Uuid,
    pub(crate) topic: Arc<str>,
    pub(crate) index: i32,
    pub(crate) dir: PathBuf,
    pub(crate) env: Arc<LogEnv>,
    pub(crate) waiters: Waiters,
    pub(crate) counters: Counters,
    serial: u64,
    config: RwLock<Arc<LogConfig>>,
    state: Mutex<State>,
    view: RwLock<View>,
    progress: watch::Sender<Progress>,
    /// Held while the log is synced: whether that ever failed.
    sync_failed: Mutex<bool>,
}

/// What is counted for a topic, looked up once.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) appended_bytes: metrics::Counter,
    pub(crate) appended_records: metrics::Counter,
    pub(crate) fetched_bytes: metrics::Counter,
    pub(crate) fetched_records: metrics::Counter,
}

impl Counters {
    fn of(topic: &Arc<str>) -> Self {
        Self {
            appended_bytes: metrics::counter!(names::APPENDED_BYTES, "topic" => Arc::clone(topic)),
            appended_records: metrics::counter!(names::APPENDED_RECORDS, "topic" => Arc::clone(topic)),
            fetched_records: metrics::counter!(names::FETCHED_RECORDS, "topic" => Arc::clone(topic)),
            fetched_bytes: metrics::counter!(names::FETCHED_BYTES, "topic" => Arc::clone(topic)),
        }
    }
}

/// What a partition knows of itself.
#[derive(Debug)]
pub(crate) struct State {
    /// Rising by base offset; the last is written to. Empty until the first append.
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start: i64,
    /// Offset of the next record.
    pub(crate) end: i64,
    /// Everything below is on stable storage.
    pub(crate) synced: i64,
    /// Bytes of the last segment below `synced`.
    pub(crate) synced_size: u64,
    /// Everything below is acknowledged and may be read: the high watermark. It is `synced`, unless the topic chose
    /// otherwise by `flush.messages`.
    pub(crate) visible: i64,
    /// Bytes of the last segment below `visible`.
    pub(crate) visible_size: u64,
    pub(crate) producers: Producers,
    /// Transactions whose markers are not on stable storage yet.
    pub(crate) ending: Vec<Ending>,
    /// Offset up to which compaction has been.
    pub(crate) cleaned_to: i64,
    /// A sync failed: what is on stable storage is unknown, nothing more is taken.
    pub(crate) failed: bool,
    pub(crate) deleted: bool,
    pub(crate) syncing: bool,
    /// A later sync is planned for what was acknowledged before it.
    pub(crate) sync_planned: bool,
    /// Files of dropped segments, and when they may be removed.
    pub(crate) leftovers: VecDeque<Leftover>,
    bytes_since_point: u64,
    unnoted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    visible: i64,
    stopped: bool,
}

/// First readable offset, high watermark, and where undecided transactions begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable: i64,
}

/// What is told of a partition without waiting for whoever works on it, who may wait for the disk.
#[derive(Debug, Clone, Copy)]
struct View {
    offsets: Offsets,
    /// First offset of the segment being written.
    active_base: i64,
    visible_size: u64,
    failed: bool,
    deleted: bool,
}

impl View {
    fn of(state: &State) -> Self {
        Self {
            offsets: state.offsets(),
            active_base: state.segments.last().map_or(state.end, |active| active.base),
            visible_size: state.visible_size,
            failed: state.failed,
            deleted: state.deleted,
        }
    }
}

/// The state, held; blocking, as long as a sync may take. What was changed is told when it is let go of.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    partition: &'a Partition,
    state: MutexGuard<'a, State>,
    changed: bool,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.changed = true;
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.changed {
            self.partition.tell(&self.state);
        }
    }
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// Offset after the last record: durable once the partition is synced up to here.
    pub(crate) end: i64,
    /// The broker's time under LogAppendTime, else -1.
    pub(crate) append_time: i64,
    pub(crate) log_start: i64,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("batch is larger than the topic allows")]
    TooLarge,
    #[error("sequence number is out of order")]
    OutOfOrder,
    #[error("producer epoch is stale")]
    StaleEpoch,
    #[error("batch is not of an open transaction")]
    OutsideTransaction,
    #[error("partition was deleted")]
    Deleted,
    #[error("partition is read-only since a sync failed")]
    ReadOnly,
    #[error("storage failed")]
    Storage(#[source] io::Error),
}

impl State {
    /// The state of a partition whose log begins at `start` and is empty.
    pub(crate) fn empty(start: i64) -> Self {
        Self::recovered(Vec::new(), start, start, Producers::default())
    }

    /// The state recovery found; everything below `end` is on stable storage.
    pub(crate) fn recovered(segments: Vec<Segment>, log_start: i64, end: i64, producers: Producers) -> Self {
        let synced_size = segments.last().map_or(0, |segment| segment.size);
        Self {
            segments,
            log_start,
            end,
            synced: end,
            synced_size,
            visible: end,
            visible_size: synced_size,
            producers,
            ending: Vec::new(),
            cleaned_to: 0,
            failed: false,
            deleted: false,
            syncing: false,
            sync_planned: false,
            leftovers: VecDeque::new(),
            bytes_since_point: 0,
            unnoted: false,
        }
    }

    /// What clients may see.
    pub(crate) fn offsets(&self) -> Offsets {
        Offsets { log_start: self.log_start, high_watermark: self.visible, last_stable: self.last_stable() }
    }

    /// Whether more is taken.
    pub(super) fn check_writable(&self) -> Result<(), AppendError> {
        match self {
            Self { deleted: true, .. } => Err(AppendError::Deleted),
            Self { failed: true, .. } => Err(AppendError::ReadOnly),
            _ => Ok(()),
        }
    }

    /// Has the next checkpoint note this partition.
    pub(crate) fn note_changed(&mut self) {
        self.unnoted = true;
    }
}

impl Partition {
    pub(crate) fn new(
        env: Arc<LogEnv>,
        topic: Arc<str>,
        topic_id: Uuid,
        index: i32,
        config: Arc<LogConfig>,
        state: State,
    ) -> Arc<Self> {
        let dir = partition_dir(&env.data_dir, topic_id, index);
        let progress = watch::Sender::new(Progress { visible: state.visible, stopped: false });
        Arc::new(Self {
            topic_id,
            index,
            dir,
            serial: env.next_serial(),
            counters: Counters::of(&topic),
            topic,
            env,
            waiters: Waiters::default(),
            config: RwLock::new(config),
            view: RwLock::new(View::of(&state)),
            state: Mutex::new(state),
            progress,
            sync_failed: Mutex::new(false),
        })
    }

    pub(crate) fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&read(&self.config))
    }

    pub(crate) fn set_config(&self, config: Arc<LogConfig>) {
        *write(&self.config) = config;
    }

    pub(crate) fn state(&self) -> Locked<'_> {
        Locked { partition: self, state: lock(&self.state), changed: false }
    }

    /// What clients may see; at once, whatever is done to the partition.
    pub(crate) fn offsets(&self) -> Offsets {
        read(&self.view).offsets
    }

    /// Whether its topic is gone, and its records with it.
    pub(crate) fn is_deleted(&self) -> bool {
        read(&self.view).deleted
    }

    /// Whether it takes no more records; at once.
    pub(crate) fn is_failed(&self) -> bool {
        read(&self.view).failed
    }

    /// More than what a reader at `offset` could get now; at once, and without touching a file.
    pub(crate) fn readable_bytes_at_most(&self, offset: i64, isolation: Isolation) -> u64 {
        let view = *read(&self.view);
        match offset {
            _ if offset >= isolation.end(&view.offsets) => 0,
            _ if offset >= view.active_base => view.visible_size,
            // Closed segments, which are large.
            _ => u64::MAX,
        }
    }

    fn tell(&self, state: &State) {
        *write(&self.view) = View::of(state);
    }

    /// Bytes of all segments; blocking.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.state().segments.iter().map(|segment| segment.size).sum()
    }

    pub(crate) fn log_file(&self, base: i64) -> io::Result<Arc<std::fs::File>> {
        self.env.files.get(self.key(base, FileKind::Log), &log_path(&self.dir, base))
    }

    pub(crate) fn index_file(&self, base: i64) -> io::Result<Arc<std::fs::File>> {
        self.env.files.get(self.key(base, FileKind::Index), &index_path(&self.dir, base))
    }

    pub(crate) fn key(&self, base: i64, kind: FileKind) -> FileKey {
        FileKey { partition: self.serial, base, kind }
    }

    /// Appends one checked batch and sees to its sync; blocking, but only on the page cache unless a segment is full.
    ///
    /// `admit` is asked under the lock whether the batch may still come: so a marker is not overtaken. The batch is
    /// durable when [`Self::wait_synced`] returns for its end.
    pub(crate) fn append(
        self: &Arc<Self>,
        header: &Header,
        bytes: &[u8],
        admit: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<Appended, AppendError> {
        let config = self.config();
        if header.total_bytes() > config.message_bytes_max {
            return Err(AppendError::TooLarge);
        }
        let mut state = self.state();
        state.check_writable()?;
        match state.producers.judge(header) {
            Verdict::Append => {}
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
            Verdict::StaleEpoch => return Err(AppendError::StaleEpoch),
            Verdict::OutsideTransaction => return Err(AppendError::OutsideTransaction),
            Verdict::Duplicate(seen) => {
                let append_time = if config.log_append_time { seen.timestamp } else { -1 };
                let log_start = state.log_start;
                return Ok(Appended {
                    base_offset: seen.base_offset,
                    end: seen.last_offset + 1,
                    append_time,
                    log_start,
                });
            }
        }
        admit()?;
        self.put(&mut state, header, bytes, &config)
    }

    /// Appends a batch of the broker's own; blocking as [`Self::append`].
    pub(crate) fn append_own(self: &Arc<Self>, header: &Header, bytes: &[u8]) -> Result<Appended, AppendError> {
        let config = self.config();
        let mut state = self.state();
        state.check_writable()?;
        self.put(&mut state, header, bytes, &config)
    }

    pub(super) fn put(
        self: &Arc<Self>,
        state: &mut State,
        header: &Header,
        bytes: &[u8],
        config: &LogConfig,
    ) -> Result<Appended, AppendError> {
        let now = self.env.clock.now_ms();
        self.make_room(state, header, config, now)?;
        let base_offset = state.end;
        let append_time = config.log_append_time.then_some(now);
        let (head, records) =
            bytes.split_first_chunk().ok_or_else(|| AppendError::Storage(io::ErrorKind::InvalidData.into()))?;
        let mut head = *head;
        batch::patch_head(&mut head, records, base_offset, LEADER_EPOCH, append_time);
        if records.len() < COPIED_BYTES_MAX {
            self.write(state, &[&[&head, records].concat()])?;
        } else {
            self.write(state, &[&head, records])?;
        }
        let header = Header { base_offset, max_timestamp: append_time.unwrap_or(header.max_timestamp), ..*header };
        if let Some(active) = state.segments.last_mut() {
            active.note(&header, now);
        }
        let marker = header.is_control().then(|| control::marker_of(bytes, &header)).flatten();
        state.note_producer(&header, marker, now, self.env.producers_max);
        state.end = header.next_offset();
        state.bytes_since_point += header.total_bytes();
        self.counters.appended_bytes.increment(header.total_bytes());
        self.counters.appended_records.increment(u64::from(header.count.unsigned_abs()));
        self.after_append(state, config);
        Ok(Appended { base_offset, end: state.end, append_time: append_time.unwrap_or(-1), log_start: state.log_start })
    }

    /// Writes parts of one batch one after the other at the end of the last segment: all, or none that counts.
    fn write(&self, state: &mut State, parts: &[&[u8]]) -> Result<(), AppendError> {
        let Some((base, position)) = state.segments.last().map(|active| (active.base, active.size)) else {
            return Err(AppendError::Storage(io::Error::from(io::ErrorKind::NotFound)));
        };
        let file = self.log_file(base).map_err(AppendError::Storage)?;
        let mut at = position;
        let written = parts.iter().try_for_each(|part| {
            self.env.disk.write_at(&file, part, at)?;
            at += part.len() as u64;
            io::Result::Ok(())
        });
        let Err(error) = written else { return Ok(()) };
        metrics::counter!(names::STORAGE_FAILURES).increment(1);
        tracing::error!(topic = %self.topic, partition = self.index, %error, "append failed, cutting the file back");
        if let Err(error) = self.env.disk.set_len(&file, position) {
            tracing::error!(topic = %self.topic, partition = self.index, %error, "cutting the file back failed");
            self.fail(state);
        }
        Err(AppendError::Storage(error))
    }

    /// Sees to it that the last segment exists and has room for the batch.
    fn make_room(&self, state: &mut State, header: &Header, config: &LogConfig, now: i64) -> Result<(), AppendError> {
        let end = state.end;
        let Some(active) = state.segments.last() else {
            create_dirs(&*self.env.disk, &self.env.data_dir, &self.dir).map_err(AppendError::Storage)?;
            self.begin_files(end).map_err(AppendError::Storage)?;
            state.segments.push(Segment::empty(end));
            (state.synced_size, state.visible_size) = (0, 0);
            return Ok(());
        };
        let full = active.size > 0 && active.size + header.total_bytes() > config.segment_bytes;
        let old = active.first_append_ms >= 0 && now.saturating_sub(active.first_append_ms) > config.segment_ms;
        let last_offset = end.saturating_add(i64::from(header.last_offset_delta));
        if full || (old && active.size > 0) || !offset_fits(active.base, last_offset) {
            self.roll(state)?;
        }
        Ok(())
    }

    /// Closes the last segment (synced, index complete, recovery point) and begins one at the end.
    pub(crate) fn roll(&self, state: &mut State) -> Result<(), AppendError> {
        let end = state.end;
        // An empty one is where the next would begin.
        let Some(base) = state.segments.last().map(|active| active.base).filter(|base| *base < end) else {
            return Ok(());
        };
        let file = self.log_file(base).map_err(AppendError::Storage)?;
        if let Err(error) = self.sync_log(&file) {
            self.fail_unsynced(state, &error);
            return Err(AppendError::Storage(error));
        }
        let closed = self.close_index(state).map_err(AppendError::Storage)?;
        // Only now: files of a segment that does not begin where the last one ends would be a hole after a crash.
        self.begin_files(end).map_err(AppendError::Storage)?;
        if let Some(active) = state.segments.last_mut() {
            active.index = SegmentIndex::Closed { entries: closed };
        }
        state.segments.push(Segment::empty(end));
        (state.synced_size, state.visible_size) = (0, 0);
        self.advance(state, end);
        let point = Point {
            offset: end,
            segment: end,
            position: 0,
            index_entries: 0,
            max_timestamp: -1,
            max_timestamp_offset: -1,
            producers: state.producers.clone(),
            aborted: Vec::new(),
        };
        state.bytes_since_point = 0;
        // Without the point the next recovery scans more; nothing is lost.
        if let Err(error) = point.save(&*self.env.disk, &self.dir) {
            tracing::warn!(topic = %self.topic, partition = self.index, %error, "recovery point not written");
        }
        Ok(())
    }

    /// Makes the files of a segment that begins at `base`, both or none; what is left all the same recovery removes.
    fn begin_files(&self, base: i64) -> io::Result<()> {
        create_files(&*self.env.disk, &self.dir, base).inspect_err(|_| {
            for path in [log_path(&self.dir, base), index_path(&self.dir, base)] {
                if let Err(error) = remove_if_there(&*self.env.disk, &path) {
                    tracing::warn!(topic = %self.topic, partition = self.index, %error, "file of a segment that did not begin is left");
                }
            }
        })
    }

    /// Completes the index file of the last segment; returns its entries.
    fn close_index(&self, state: &State) -> io::Result<u32> {
        let Some(active) = state.segments.last() else { return Ok(0) };
        let SegmentIndex::Active { index, persisted } = &active.index else { return Ok(active.summary().entries) };
        let file = self.index_file(active.base)?;
        let mut bytes = index.encode_from(*persisted, active.base);
        let summary = active.summary();
        bytes.extend(transactions::encode(&active.aborted));
        bytes.extend(summary.encode());
        let position = *persisted as u64 * ENTRY_BYTES;
        self.env.disk.write_at(&file, &bytes, position)?;
        self.env.disk.set_len(&file, position + bytes.len() as u64)?;
        self.env.disk.sync(&file)?;
        Ok(summary.entries)
    }

    /// Makes a running sync loop take the new end, or starts one.
    pub(crate) fn start_sync(self: &Arc<Self>, state: &mut State) {
        if state.syncing {
            return;
        }
        state.syncing = true;
        let this = Arc::clone(self);
        self.env.runtime.spawn(async move {
            loop {
                let Ok(slot) = Arc::clone(&this.env.sync_slots).acquire_owned().await else { return };
                let worker = Arc::clone(&this);
                let more = tokio::task::spawn_blocking(move || {
                    let more = worker.sync_once();
                    drop(slot);
                    more
                });
                match more.await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => {
                        let mut state = this.state();
                        this.fail(&mut state);
                        return;
                    }
                }
            }
        });
    }

    /// One sync for everything appended so far; `true` if more came meanwhile.
    fn sync_once(self: &Arc<Self>) -> bool {
        let (target, base, size) = {
            let mut state = self.state();
            let Some((base, size)) = state.segments.last().map(|active| (active.base, active.size)) else {
                state.syncing = false;
                return false;
            };
            if state.synced >= state.end || state.failed || state.deleted {
                state.syncing = false;
                return false;
            }
            (state.end, base, size)
        };
        let result = self.log_file(base).and_then(|file| self.sync_log(&file));
        let mut state = self.state();
        match result {
            Ok(()) if state.deleted => {}
            Ok(()) => {
                // A roll meanwhile has synced more than this.
                if state.segments.last().is_some_and(|active| active.base == base) {
                    state.synced_size = state.synced_size.max(size);
                    state.visible_size = state.visible_size.max(size);
                }
                self.advance(&mut state, target);
            }
            Err(error) => self.fail_unsynced(&mut state, &error),
        }
        let behind = state.synced < state.end && !state.failed && !state.deleted;
        let config = self.config();
        let more = behind && self.is_due(&state, &config);
        state.syncing = more;
        if behind && !more {
            self.plan_sync(&mut state, &config);
        }
        more
    }

    /// Syncs the log. Once that failed it fails for ever: the system tells of an error but once, to whoever asks first,
    /// and from then on takes what it could not write for written.
    fn sync_log(&self, file: &std::fs::File) -> io::Result<()> {
        let mut failed = lock(&self.sync_failed);
        if *failed {
            return Err(io::Error::other("an earlier sync failed"));
        }
        let started = Instant::now();
        let result = self.env.disk.sync(file);
        metrics::histogram!(names::SYNC_SECONDS).record(started.elapsed());
        if result.is_err() {
            *failed = true;
            metrics::counter!(names::STORAGE_FAILURES).increment(1);
        }
        result
    }

    /// A sync of the log failed: what is on stable storage is not known any more.
    fn fail_unsynced(&self, state: &mut State, error: &io::Error) {
        if !state.deleted {
            tracing::error!(topic = %self.topic, partition = self.index, %error, "sync failed, the partition is read-only until restart");
            self.fail(state);
        }
    }

    fn advance(&self, state: &mut State, synced: i64) {
        if synced <= state.synced {
            return;
        }
        state.synced = synced;
        state.unnoted = true;
        self.env.changed.notify_one();
        self.show(state, synced);
    }

    /// Raises the high watermark.
    pub(crate) fn show(&self, state: &mut State, visible: i64) {
        if visible > state.visible {
            state.visible = visible;
            state.ending.retain(|ending| ending.marker_offset >= visible);
            // Whoever is woken looks at once.
            self.tell(state);
            self.progress.send_modify(|progress| progress.visible = visible);
            self.waiters.wake();
        }
    }

    /// Takes nothing more until the next start.
    pub(crate) fn fail(&self, state: &mut State) {
        if !state.failed {
            state.failed = true;
            metrics::gauge!(names::FAILED_PARTITIONS).increment(1);
        }
        self.progress.send_modify(|progress| progress.stopped = true);
        self.waiters.wake();
    }

    /// Returns when everything below `end` may be acknowledged: when it is on stable storage, or as soon as it is
    /// appended where the topic chose that.
    ///
    /// # Errors
    /// [`AppendError::ReadOnly`] when that can no longer be said.
    pub(crate) async fn wait_synced(&self, end: i64) -> Result<(), AppendError> {
        let mut progress = self.progress.subscribe();
        match progress.wait_for(|progress| progress.visible >= end || progress.stopped).await {
            Ok(progress) if progress.visible >= end => Ok(()),
            _ => Err(AppendError::ReadOnly),
        }
    }

    /// Syncs what is not synced yet, in the caller's thread.
    pub(crate) fn flush(self: &Arc<Self>) {
        while self.sync_once() {}
    }

    /// What the checkpoint is to say, and a recovery point where enough was written since the last; blocking.
    /// `None` if nothing changed since it was last asked.
    pub(crate) fn checkpoint(&self, all: bool) -> Option<Known> {
        let (known, candidate) = {
            let mut state = self.state();
            let is_news = state.unnoted || all && state.bytes_since_point > 0;
            if !is_news {
                return None;
            }
            state.unnoted = false;
            let due = state.bytes_since_point >= if all { 1 } else { POINT_EVERY_BYTES };
            let candidate = (due && !state.failed && !state.deleted).then(|| candidate_point(&state)).flatten();
            if candidate.is_some() {
                state.bytes_since_point = 0;
            }
            (known_of(&state), candidate)
        };
        if let Some((point, entries)) = candidate
            && let Err(error) = self.save_point(&point, &entries)
        {
            tracing::warn!(topic = %self.topic, partition = self.index, %error, "recovery point not written");
        }
        Some(known)
    }

    /// The checkpoint's entry, changed or not.
    pub(crate) fn known(&self) -> Known {
        known_of(&self.state())
    }

    fn save_point(&self, point: &Point, entries: &[u8]) -> io::Result<()> {
        let log = self.log_file(point.segment)?;
        if let Err(error) = self.sync_log(&log) {
            self.fail_unsynced(&mut self.state(), &error);
            return Err(error);
        }
        let index = self.index_file(point.segment)?;
        let from = point.index_entries * ENTRY_BYTES - entries.len() as u64;
        {
            // The segment may have been closed meanwhile: then its index is complete already.
            let state = self.state();
            let Some(active) = state.segments.last().filter(|active| active.base == point.segment) else {
                return Ok(());
            };
            let SegmentIndex::Active { .. } = &active.index else { return Ok(()) };
            self.env.disk.write_at(&index, entries, from)?;
        }
        self.env.disk.sync(&index)?;
        if let Some(active) = self.state().segments.last_mut().filter(|active| active.base == point.segment)
            && let SegmentIndex::Active { persisted, .. } = &mut active.index
        {
            *persisted = (*persisted).max(crate::num::usize_of(point.index_entries));
        }
        point.save(&*self.env.disk, &self.dir)
    }

    /// Takes the partition away: waiters are told, its files go.
    pub(crate) fn delete(&self) -> io::Result<()> {
        {
            let mut state = self.state();
            state.deleted = true;
            state.note_changed();
            self.progress.send_modify(|progress| progress.stopped = true);
        }
        self.waiters.wake();
        self.env.files.forget_partition(self.serial);
        remove_dirs_if_there(&*self.env.disk, &self.dir)
    }
}

/// Where a partition's files are.
pub(crate) fn partition_dir(data_dir: &Path, topic_id: Uuid, index: i32) -> PathBuf {
    data_dir.join("topics").join(topic_id.simple().to_string()).join(index.to_string())
}

fn known_of(state: &State) -> Known {
    let segment = state.segments.last().map_or(state.synced, |active| active.base);
    Known { log_start: state.log_start, synced: state.synced, segment, position: state.synced_size }
}

/// The state as a recovery point, to be written once the log is synced that far, and the index entries it needs.
fn candidate_point(state: &State) -> Option<(Point, Vec<u8>)> {
    let active = state.segments.last()?;
    let SegmentIndex::Active { index, persisted } = &active.index else { return None };
    let point = Point {
        offset: state.end,
        segment: active.base,
        position: active.size,
        index_entries: index.len() as u64,
        max_timestamp: active.max_timestamp,
        max_timestamp_offset: active.max_timestamp_offset,
        producers: state.producers.clone(),
        aborted: active.aborted.clone(),
    };
    Some((point, index.encode_from(*persisted, active.base)))
}
