//! Letting go of old segments, by age, by size, and on request; offsets never go back.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::disk::{Disk, FileKind, remove_if_there};
use crate::log::partition::{AppendError, Offsets, Partition, State};
use crate::log::read::ReadError;
use crate::log::segment::{Segment, index_path, log_path};
use crate::num::u64_of;

/// Ends the names of files that belong to no segment any more.
pub(crate) const LEFTOVER: &str = ".deleted";

/// When a file that could not be removed is tried again, milliseconds.
const LEFTOVER_PAUSE_MS: i64 = 60_000;

/// A file of a dropped segment.
#[derive(Debug)]
pub(crate) struct Leftover {
    path: PathBuf,
    due_ms: i64,
}

impl Partition {
    /// Deletes the segments that the topic's configuration no longer wants; blocking. Returns how many went.
    pub(crate) fn apply_retention(&self) -> Result<usize, AppendError> {
        let config = self.config();
        let now = self.env.clock.now_ms();
        let mut state = self.state();
        if state.deleted || state.failed {
            return Ok(0);
        }
        self.remove_leftovers(&mut state, now);
        let mut doomed = wholly_below(&state.segments, state.log_start);
        if config.deletes {
            if config.retention_ms >= 0 {
                let expired =
                    |segment: &&Segment| segment.size > 0 && now.saturating_sub(time_of(segment)) > config.retention_ms;
                let by_age = state.segments.iter().take_while(expired).count();
                if by_age == state.segments.len() && by_age > 0 {
                    // Also the last one is expired: an empty one takes its place and keeps the end.
                    self.roll(&mut state)?;
                }
                doomed = doomed.max(by_age);
            }
            if config.retention_bytes >= 0 {
                doomed = doomed.max(oversize(&state.segments, u64_of(config.retention_bytes)));
            }
        }
        let count = doomed.min(state.segments.len().saturating_sub(1));
        let doomed: Vec<i64> = state.segments.iter().take(count).map(|segment| segment.base).collect();
        drop(state);
        self.drop_segments(&doomed, now.saturating_add(config.file_delete_delay_ms)).map_err(AppendError::Storage)
    }

    /// Makes everything below `before` unreadable (-1: below the high watermark); blocking. Returns the new log start.
    ///
    /// The caller notes it in the checkpoint before answering.
    pub(crate) fn delete_before(&self, before: i64) -> Result<Offsets, ReadError> {
        let mut state = self.state();
        if state.deleted {
            return Err(ReadError::Deleted);
        }
        let before = if before == -1 { state.visible } else { before };
        if before < 0 || before > state.visible {
            return Err(ReadError::OutOfRange);
        }
        if before > state.log_start {
            state.log_start = before;
            state.note_changed();
        }
        Ok(state.offsets())
    }

    /// Takes the segments with these bases out, which are the first, oldest first and each on stable storage before the
    /// next: so a crash leaves a gapless rest, of the machine too. Their files keep their bytes under another name until
    /// `due_ms`. Returns how many went.
    fn drop_segments(&self, doomed: &[i64], due_ms: i64) -> io::Result<usize> {
        for (dropped, base) in doomed.iter().enumerate() {
            if !self.drop_first(*base, due_ms)? {
                // Somebody else has dropped it, or the topic is gone.
                return Ok(dropped);
            }
            self.env.disk.sync_dir(&self.dir)?;
        }
        Ok(doomed.len())
    }

    /// Takes the first segment out, if it is still the one with this base and not the last.
    fn drop_first(&self, base: i64, due_ms: i64) -> io::Result<bool> {
        let mut state = self.state();
        let is_first = state.segments.len() > 1 && state.segments[0].base == base;
        if !is_first || state.deleted || state.failed {
            return Ok(false);
        }
        // If this fails the segment stays whole; without its log it is gone, whatever becomes of its index.
        self.let_go(&mut state, log_path(&self.dir, base), due_ms)?;
        let index = index_path(&self.dir, base);
        if let Err(error) = self.let_go(&mut state, index.clone(), due_ms) {
            tracing::warn!(topic = %self.topic, partition = self.index, %error, "index of a dropped segment is left for later");
            state.leftovers.push_back(Leftover { path: index, due_ms });
        }
        self.env.files.forget(self.key(base, FileKind::Log));
        self.env.files.forget(self.key(base, FileKind::Index));
        state.segments.remove(0);
        state.log_start = state.log_start.max(state.segments[0].base);
        state.note_changed();
        tracing::info!(topic = %self.topic, partition = self.index, segment = base, log_start = state.log_start, "segment deleted");
        self.env.changed.notify_one();
        Ok(true)
    }

    /// Removes a file, or gives it another name until `due_ms`.
    fn let_go(&self, state: &mut State, path: PathBuf, due_ms: i64) -> io::Result<()> {
        if due_ms <= self.env.clock.now_ms() {
            return remove_if_there(&*self.env.disk, &path);
        }
        if let Some(path) = set_aside(&*self.env.disk, &path)? {
            state.leftovers.push_back(Leftover { path, due_ms });
        }
        Ok(())
    }

    /// Removes the files of dropped segments whose time has come; one that cannot be removed is tried again later, and
    /// holds nothing else up.
    fn remove_leftovers(&self, state: &mut State, now: i64) {
        let leftovers = std::mem::take(&mut state.leftovers).into_iter();
        let (due, later): (VecDeque<_>, _) = leftovers.partition(|leftover| leftover.due_ms <= now);
        state.leftovers = later;
        for leftover in due {
            if let Err(error) = remove_if_there(&*self.env.disk, &leftover.path) {
                tracing::warn!(topic = %self.topic, partition = self.index, %error, "a file of a dropped segment is left for later");
                state.leftovers.push_back(Leftover { due_ms: now.saturating_add(LEFTOVER_PAUSE_MS), ..leftover });
            }
        }
    }
}

/// Gives the file of a dropped segment a name that is no segment's; `None` if there is no such file.
fn set_aside(disk: &dyn Disk, path: &Path) -> io::Result<Option<PathBuf>> {
    let mut name = path.as_os_str().to_owned();
    name.push(LEFTOVER);
    let aside = PathBuf::from(name);
    match disk.rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Leading segments of which nothing is readable any more.
fn wholly_below(segments: &[Segment], log_start: i64) -> usize {
    segments.windows(2).take_while(|pair| pair[1].base <= log_start).count()
}

/// Leading segments without which the rest is still at least `retention_bytes`.
fn oversize(segments: &[Segment], retention_bytes: u64) -> usize {
    let mut total: u64 = segments.iter().map(|segment| segment.size).sum();
    let mut count = 0;
    for segment in segments.iter().take(segments.len().saturating_sub(1)) {
        if total - segment.size < retention_bytes {
            break;
        }
        total -= segment.size;
        count += 1;
    }
    count
}

/// When a segment's last record was, as far as its records say.
fn time_of(segment: &Segment) -> i64 {
    if segment.max_timestamp >= 0 { segment.max_timestamp } else { segment.first_append_ms.max(0) }
}
