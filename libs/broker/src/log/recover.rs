//! Finding a partition's state on disk after a stop of any kind.
//!
//! The scan begins at the newest recovery point. A damaged end is cut back to the last whole batch, but never below
//! the checkpoint: what was synced is kept, and a damaged batch there is reported and later refused to readers.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::log::batch::Header;
use crate::log::checkpoint::Known;
use crate::log::compact;
use crate::log::control::{self, Marker};
use crate::log::disk::{Disk, remove_if_there};
use crate::log::index::{Index, Summary};
use crate::log::partition::State;
use crate::log::point::Point;
use crate::log::producers::Producers;
use crate::log::segment::{self, Segment, SegmentIndex, create_files, index_path, log_path};
use crate::log::transactions::{self, Aborted};
use crate::log::walk::{Step, Walker};
use crate::metrics as names;
use crate::num::usize_of;

/// Bytes that are written again at a time.
const AGAIN_BYTES: u64 = 128 * 1024;

/// What recovery needs besides the directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) known: Option<Known>,
    pub(crate) producers_max: usize,
    pub(crate) now_ms: i64,
    pub(crate) disk: &'a dyn Disk,
}

/// Where the scan of the log has come.
struct Progress {
    segments: Vec<Segment>,
    producers: Producers,
    end: i64,
    /// The last segment ends in bytes that are no batch: nothing may be written behind them, where a reader could take
    /// them and what follows for one.
    is_end_damaged: bool,
}

impl Progress {
    /// Accounts for a batch; `segment` is the one it is in.
    fn note(&mut self, segment: &mut Segment, header: &Header, marker: Option<Marker>, now: i64, producers_max: usize) {
        if let Some(marker) = marker {
            let began = self.producers.note_marker(header, now, producers_max);
            if let (Marker::Abort, Some(first_offset)) = (marker, began) {
                let (producer_id, last_offset) = (header.producer_id, header.last_offset());
                segment.aborted.push(Aborted { producer_id, first_offset, last_offset });
            }
        } else if !header.is_control() {
            self.producers.note(header, now, producers_max);
        }
        self.end = header.next_offset();
    }
}

impl Recovery<'_> {
    /// The partition's state, with everything below its end on stable storage.
    pub(crate) fn run(self) -> io::Result<State> {
        if self.dir.exists() {
            compact::settle(self.disk, self.dir)?;
        }
        let bases = segment::list(self.dir)?;
        let synced = self.known.map_or(0, |known| known.synced);
        if bases.is_empty() {
            if let Some(known) = self.known.filter(|known| known.synced > known.log_start) {
                self.report_loss(known.log_start, known.synced);
            }
            return Ok(State::empty(synced));
        }
        let point = Point::load(self.dir, |point| bases.contains(&point.segment) && self.holds(point))?;
        let mut closed = self.closed_before(&bases, point.as_ref())?;
        let mut progress =
            Progress { segments: Vec::new(), producers: Producers::default(), end: bases[0], is_end_damaged: false };
        let mut following = VecDeque::from(bases);
        while let Some(base) = following.pop_front() {
            let before_point = point.as_ref().is_some_and(|point| base < point.segment);
            if before_point && let Some(closed) = closed.pop_front() {
                progress.segments.push(closed);
                continue;
            }
            let from = point.as_ref().filter(|point| point.segment == base);
            self.scan(base, from, before_point, &mut following, &mut progress)?;
            self.drop_strays(&mut following, progress.end, point.as_ref())?;
            if !following.is_empty()
                && let Some(segment) = progress.segments.last_mut()
            {
                self.close(segment)?;
            }
        }
        self.finish(progress)
    }

    /// Removes empty segments that do not begin where the log ends before them: their files were made, and then either
    /// the log went on without them, or the records before them did not come to the disk.
    fn drop_strays(&self, following: &mut VecDeque<i64>, end: i64, point: Option<&Point>) -> io::Result<()> {
        let is_all =
            self.known.is_some_and(|known| known.synced <= end) && point.is_none_or(|point| point.offset <= end);
        while let Some(next) = following.front().copied() {
            let is_stray = next < end || (next > end && is_all);
            if !is_stray || std::fs::metadata(log_path(self.dir, next))?.len() > 0 {
                break;
            }
            self.remove_segment(next)?;
            following.pop_front();
        }
        Ok(())
    }

    /// Whether the log file still reaches as far as the point says.
    fn holds(&self, point: &Point) -> bool {
        std::fs::metadata(log_path(self.dir, point.segment)).is_ok_and(|file| file.len() >= point.position)
    }

    /// The segments before the point, if the index files of all of them are whole. One that is not has to be scanned,
    /// and with it everything before it: transactions that end in it may have begun there.
    fn closed_before(&self, bases: &[i64], point: Option<&Point>) -> io::Result<VecDeque<Segment>> {
        let mut closed = VecDeque::new();
        for base in bases.iter().filter(|base| point.is_some_and(|point| **base < point.segment)) {
            match self.closed(*base)? {
                Some(segment) => closed.push_back(segment),
                None => return Ok(VecDeque::new()),
            }
        }
        Ok(closed)
    }

    /// A closed segment, told by its index file alone; `None` if that is not whole.
    fn closed(&self, base: i64) -> io::Result<Option<Segment>> {
        let file = match std::fs::File::open(index_path(self.dir, base)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = std::fs::metadata(log_path(self.dir, base))?.len();
        let Some(summary) = Summary::load(&file)?.filter(|summary| summary.log_bytes == bytes) else {
            return Ok(None);
        };
        Ok(summary.load_aborted(&file)?.map(|aborted| Segment::closed(base, summary, aborted)))
    }

    /// Reads a segment's batches; if it has to be cut what follows is removed, which is not connected to the log any more.
    fn scan(
        &self,
        base: i64,
        from: Option<&Point>,
        below_point: bool,
        following: &mut VecDeque<i64>,
        progress: &mut Progress,
    ) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(log_path(self.dir, base))?;
        let length = file.metadata()?.len();
        let floor = self.floor(base, length, below_point);
        let mut segment = Segment::empty(base);
        progress.end = progress.end.max(base);
        progress.is_end_damaged = false;
        let mut at = (0, base);
        if let Some(point) = from {
            segment = self.recover_from(point)?;
            progress.producers = point.producers.clone();
            progress.end = point.offset;
            at = (point.position, point.offset);
        }
        let synced = floor.max(at.0);
        let mut walker = Walker::new(&file, at.0, at.1, length, true);
        let mut whole = true;
        loop {
            match walker.step()? {
                Step::Batch { position, header } => {
                    segment.size = position;
                    let time =
                        if header.max_timestamp >= 0 { header.max_timestamp.min(self.now_ms) } else { self.now_ms };
                    segment.note(&header, time);
                    let is_marker = header.is_control() && !header.is_placeholder();
                    let marker = if is_marker { marker_at(&file, position, &header)? } else { None };
                    progress.note(&mut segment, &header, marker, self.now_ms, self.producers_max);
                }
                Step::Damaged { position, from_offset, resumes } if position < floor => {
                    self.report_damage(base, position, from_offset);
                    let (next, offset) = match resumes {
                        Some((next, offset)) if next <= floor => (next, offset),
                        // Nothing whole up to the floor, which is itself the place of a batch, or the end.
                        _ => {
                            progress.is_end_damaged = floor == length;
                            (floor, self.floor_offset(base).unwrap_or(progress.end))
                        }
                    };
                    segment.size = next;
                    progress.end = progress.end.max(offset);
                    walker = Walker::new(&file, next, offset, length, true);
                }
                Step::Damaged { position, .. } => {
                    // The last first, so that a crash leaves no hole.
                    while let Some(rest) = following.pop_back() {
                        self.remove_segment(rest)?;
                    }
                    self.cut_back(&file, base, position, length)?;
                    whole = false;
                    break;
                }
                Step::End => break,
            }
        }
        if !whole || self.known.is_none_or(|known| progress.end > known.synced) {
            self.write_again(&file, synced, segment.size)?;
            self.disk.sync(&file)?;
        }
        progress.segments.push(segment);
        Ok(())
    }

    /// Writes what was not known to be synced once more, so that a sync does make it so. After a sync that failed the
    /// system holds it in memory and takes it for written: it would be read here, and gone after a loss of power.
    fn write_again(&self, file: &File, from: u64, to: u64) -> io::Result<()> {
        let mut bytes = vec![0; usize_of(to.saturating_sub(from).min(AGAIN_BYTES))];
        let mut at = from;
        while at < to {
            let part = &mut bytes[..usize_of((to - at).min(AGAIN_BYTES))];
            file.read_exact_at(part, at)?;
            self.disk.write_at(file, part, at)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    fn cut_back(&self, file: &std::fs::File, base: i64, position: u64, length: u64) -> io::Result<()> {
        tracing::warn!(
            topic = self.topic,
            partition = self.partition,
            segment = base,
            position,
            cut = length - position,
            "torn end cut back"
        );
        self.disk.set_len(file, position)
    }

    /// Bytes of the segment that were known to be synced.
    fn floor(&self, base: i64, length: u64, below_point: bool) -> u64 {
        match self.known {
            _ if below_point => length,
            Some(known) if base < known.segment => length,
            Some(known) if base == known.segment => known.position.min(length),
            _ => 0,
        }
    }

    /// Offset of the batch at the floor, where the checkpoint says it.
    fn floor_offset(&self, base: i64) -> Option<i64> {
        self.known.filter(|known| known.segment == base).map(|known| known.synced)
    }

    fn recover_from(&self, point: &Point) -> io::Result<Segment> {
        let mut segment = Segment::empty(point.segment);
        let index = match std::fs::File::open(index_path(self.dir, point.segment)) {
            Ok(file) => Index::load(&file, point.segment, point.index_entries, point.position).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(error),
        };
        // Entries read back are on disk as they are in memory, all of them.
        let persisted = index.len();
        segment.index = SegmentIndex::Active { index, persisted };
        segment.size = point.position;
        segment.max_timestamp = point.max_timestamp;
        segment.max_timestamp_offset = point.max_timestamp_offset;
        segment.aborted.clone_from(&point.aborted);
        segment.first_append_ms = if point.position > 0 { point.max_timestamp.clamp(0, self.now_ms) } else { -1 };
        Ok(segment)
    }

    /// Writes the index of a segment that is not the last but was never closed.
    fn close(&self, segment: &mut Segment) -> io::Result<()> {
        let summary = segment.summary();
        let SegmentIndex::Active { index, .. } = &segment.index else { return Ok(()) };
        let mut bytes = index.encode_from(0, segment.base);
        bytes.extend(transactions::encode(&segment.aborted));
        bytes.extend(summary.encode());
        crate::log::disk::replace_file(self.disk, &index_path(self.dir, segment.base), &bytes)?;
        segment.index = SegmentIndex::Closed { entries: summary.entries };
        Ok(())
    }

    /// Sees to it that the log ends no lower than it was known to and has a last segment with both files.
    fn finish(&self, mut progress: Progress) -> io::Result<State> {
        let known_end = self.known.map_or(0, |known| known.synced);
        let first = progress.segments.first().map_or(0, |segment| segment.base);
        if progress.end < known_end || progress.is_end_damaged {
            if progress.end < known_end {
                self.report_loss(progress.end, known_end);
            }
            let known_end = known_end.max(progress.end);
            if let Some(last) = progress.segments.last_mut() {
                self.close(last)?;
            }
            create_files(self.disk, self.dir, known_end)?;
            progress.segments.push(Segment::empty(known_end));
            progress.end = known_end;
        }
        if let Some(last) = progress.segments.last() {
            let index = index_path(self.dir, last.base);
            if !index.exists() {
                self.disk.create(&index)?;
                self.disk.sync_dir(self.dir)?;
            }
        }
        let log_start = self.known.map_or(0, |known| known.log_start).max(first).min(progress.end);
        let mut state = State::recovered(progress.segments, log_start, progress.end, progress.producers);
        state.cleaned_to = compact::load_cleaned(self.dir).min(state.end);
        Ok(state)
    }

    fn remove_segment(&self, base: i64) -> io::Result<()> {
        tracing::warn!(
            topic = self.topic,
            partition = self.partition,
            segment = base,
            "segment that is not connected to the log removed"
        );
        self.disk.remove(&log_path(self.dir, base))?;
        remove_if_there(self.disk, &index_path(self.dir, base))?;
        self.disk.sync_dir(self.dir)
    }

    fn report_damage(&self, segment: i64, position: u64, offset: i64) {
        metrics::counter!(names::DAMAGED_BATCHES).increment(1);
        tracing::error!(
            topic = self.topic,
            partition = self.partition,
            segment,
            position,
            offset,
            "batch below the synced end is damaged and will be refused"
        );
    }

    fn report_loss(&self, from: i64, to: i64) {
        metrics::counter!(names::DAMAGED_BATCHES).increment(1);
        tracing::error!(
            topic = self.topic,
            partition = self.partition,
            from,
            to,
            "synced records are missing from the data directory"
        );
    }
}

/// The marker in the control batch at `position`.
fn marker_at(file: &File, position: u64, header: &Header) -> io::Result<Option<Marker>> {
    let mut batch = vec![0; usize_of(header.total_bytes())];
    file.read_exact_at(&mut batch, position)?;
    Ok(control::marker_of(&batch, header))
}
