//! Compaction: of each key only the last record is kept, in closed segments, which become fewer by that.
//!
//! One pass reads the keys of what was not cleaned yet, then writes every segment below anew without what those replace.
//! A group of segments is replaced in one step: the new file is synced, then renamed to a name that says which offsets it
//! covers; from there on recovery finishes what a crash cut short.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::LogConfig;
use crate::log::batch::Header;
use crate::log::clean::{self, Fate, Left, Raw};
use crate::log::disk::{Disk, FileKind, remove_if_there, replace_file};
use crate::log::partition::{Partition, State};
use crate::log::point;
use crate::log::retention::LEFTOVER;
use crate::log::segment::{Segment, SegmentIndex, index_path, log_path};
use crate::log::transactions::Aborted;
use crate::log::walk::{Step, Walker};
use crate::num::usize_of;
use crate::sealed;

/// Parts per million in a whole.
pub(crate) const WHOLE_PPM: u64 = 1_000_000;

/// A closed segment that can be cleaned.
#[derive(Debug, Clone, Copy)]
struct Source {
    base: i64,
    /// Base of the next segment.
    end: i64,
    size: u64,
}

/// What a pass is to do.
#[derive(Debug)]
struct Plan {
    sources: Vec<Source>,
    /// Offset from which nothing was cleaned yet.
    dirty_from: i64,
    /// What was aborted, by producer.
    aborted: HashMap<i64, Vec<Aborted>>,
    dir: PathBuf,
    config: Arc<LogConfig>,
    now: i64,
}

/// The last offset of every key in what was read of the dirty part.
#[derive(Debug)]
struct Latest {
    by_key: HashMap<u128, i64>,
    hashers: [RandomState; 2],
    /// Offset up to which keys were read.
    end: i64,
    /// Some batch could not be looked into: its keys are unknown, and no tombstone may go.
    unreadable: bool,
}

impl Latest {
    /// A key's hash in 128 bits, under keys that nobody outside knows.
    fn hash(&self, key: &[u8]) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(key)) << 64 | u128::from(low.hash_one(key))
    }
}

impl Partition {
    /// Cleans what is due to be cleaned; blocking. Returns how many segments became how many.
    ///
    /// # Errors
    /// If a file cannot be read or written, or holds a damaged batch; everything is as it was then.
    pub(crate) fn compact(&self, keys_max: usize) -> io::Result<Option<(usize, usize)>> {
        let Some(plan) = self.plan() else { return Ok(None) };
        match self.carry_out(&plan, keys_max) {
            // Retention or the deletion of the topic took a file meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            done => done,
        }
    }

    fn carry_out(&self, plan: &Plan, keys_max: usize) -> io::Result<Option<(usize, usize)>> {
        let latest = read_keys(plan, keys_max)?;
        let mut after = 0;
        let mut rest = plan.sources.as_slice();
        while !rest.is_empty() {
            let written = self.write_group(rest, plan, &latest)?;
            let (group, next) = rest.split_at(written.sources);
            if !written.changed && group.len() == 1 {
                self.env.disk.remove(&self.dir.join(format!("{:020}.cleaned", written.segment.base)))?;
            } else if !self.replace(group, written.segment)? {
                return Ok(None);
            }
            rest = next;
            after += 1;
        }
        replace_file(&*self.env.disk, &cleaned_path(&self.dir), &sealed::seal(latest.end.to_string()))?;
        self.state().cleaned_to = latest.end;
        let before = plan.sources.len();
        tracing::debug!(topic = %self.topic, partition = self.index, before, after, "compacted");
        Ok(Some((before, after)))
    }

    /// What can be cleaned, if it is enough.
    fn plan(&self) -> Option<Plan> {
        let config = self.config();
        if !config.compacts {
            return None;
        }
        let now = self.env.clock.now_ms();
        let state = self.state();
        if state.deleted || state.failed {
            return None;
        }
        let newest = now.saturating_sub(config.compaction_lag_min_ms);
        let last_stable = state.last_stable();
        let mut sources = Vec::new();
        let (mut clean_bytes, mut dirty_bytes, mut oldest_dirty) = (0, 0, i64::MAX);
        for pair in state.segments.windows(2) {
            let [segment, next] = pair else { continue };
            let is_young = config.compaction_lag_min_ms > 0 && segment.max_timestamp > newest;
            if next.base > last_stable || is_young {
                break;
            }
            if next.base <= state.cleaned_to {
                clean_bytes += segment.size;
            } else {
                dirty_bytes += segment.size;
                oldest_dirty = oldest_dirty.min(segment.max_timestamp);
            }
            sources.push(Source { base: segment.base, end: next.base, size: segment.size });
        }
        let overdue = now.saturating_sub(oldest_dirty) > config.compaction_lag_max_ms;
        let ppm = dirty_bytes.saturating_mul(WHOLE_PPM).checked_div(clean_bytes + dirty_bytes).unwrap_or(0);
        if dirty_bytes == 0 || (ppm < config.dirty_ppm_min && !overdue) {
            return None;
        }
        let mut aborted: HashMap<i64, Vec<Aborted>> = HashMap::new();
        for one in state.segments.iter().flat_map(|segment| &segment.aborted) {
            aborted.entry(one.producer_id).or_default().push(*one);
        }
        Some(Plan { sources, dirty_from: state.cleaned_to, aborted, dir: self.dir.clone(), config, now })
    }

    /// Writes what is left of the first source, and of those after it that fit the same segment, into a file of its own
    /// and syncs that.
    ///
    /// Of transactions that were aborted nothing is left, nor need anybody be told of them.
    fn write_group(&self, sources: &[Source], plan: &Plan, latest: &Latest) -> io::Result<Written> {
        let Some(first) = sources.first() else { return Err(io::Error::from(io::ErrorKind::InvalidInput)) };
        let path = self.dir.join(format!("{:020}.cleaned", first.base));
        let file = self.env.disk.create(&path)?;
        let mut to = Output { segment: Segment::empty(first.base), file, gap: None, changed: false, partition: self };
        let mut taken = 0;
        for source in sources {
            let fits = to.segment.size + source.size <= plan.config.segment_bytes
                && source.end - first.base <= i64::from(i32::MAX);
            if taken > 0 && !fits {
                break;
            }
            walk(&plan.dir, source, |header, batch| match left_of(header, batch, plan, latest) {
                Left::Whole => to.put(header, batch),
                Left::Part(part) => {
                    to.changed = true;
                    to.put(&Header::parse(&part).unwrap_or(*header), &part)
                }
                Left::Nothing => {
                    to.changed |= !header.is_placeholder();
                    to.gap.get_or_insert(header.base_offset);
                    Ok(())
                }
            })?;
            taken += 1;
        }
        to.fill(sources.get(taken - 1).map_or(first.end, |last| last.end))?;
        self.env.disk.sync(&to.file)?;
        Ok(Written { segment: to.segment, sources: taken, changed: to.changed })
    }

    /// Puts the written segment in the place of the group; `false` if the group is not there any more.
    fn replace(&self, group: &[Source], mut written: Segment) -> io::Result<bool> {
        let (base, end) = (written.base, group.last().map_or(written.base, |last| last.end));
        let mut state = self.state();
        let present = state.segments.iter().position(|segment| segment.base == base);
        let Some(at) = present.filter(|at| is_there(&state, *at, group)) else {
            self.env.disk.remove(&self.dir.join(format!("{base:020}.cleaned")))?;
            return Ok(false);
        };
        // An older recovery point speaks of the segments as they were.
        if let Some(active) = state.segments.last() {
            point::remove_below(&*self.env.disk, &self.dir, active.base)?;
        }
        let swap = Swap { path: self.dir.join(format!("{base:020}-{end:020}.swap")), base, end };
        self.env.disk.rename(&self.dir.join(format!("{base:020}.cleaned")), &swap.path)?;
        match self.finish_replacing(group, &swap, &written) {
            Ok(entries) => written.index = SegmentIndex::Closed { entries },
            Err(error) => {
                // Recovery brings this to an end. The cleaned file counts already, under whichever of its names, and is
                // read until then; of the others some may be gone.
                let file = fs::File::open(&swap.path).or_else(|_| fs::File::open(log_path(&self.dir, base)));
                if let Ok(file) = file {
                    self.env.files.keep(self.key(base, FileKind::Log), file);
                    state.segments.splice(at..at + group.len(), [written]);
                }
                self.fail(&mut state);
                return Err(error);
            }
        }
        state.segments.splice(at..at + group.len(), [written]);
        Ok(true)
    }

    /// Everything after the rename from which on the cleaned file counts; returns the entries of its index.
    fn finish_replacing(&self, group: &[Source], swap: &Swap, written: &Segment) -> io::Result<u32> {
        self.env.disk.sync_dir(&self.dir)?;
        for source in group {
            self.env.files.forget(self.key(source.base, FileKind::Log));
            self.env.files.forget(self.key(source.base, FileKind::Index));
        }
        finish_swap(&*self.env.disk, &self.dir, swap)?;
        let summary = written.summary();
        let SegmentIndex::Active { index, .. } = &written.index else { return Ok(summary.entries) };
        let mut bytes = index.encode_from(0, swap.base);
        bytes.extend(summary.encode());
        replace_file(&*self.env.disk, &index_path(&self.dir, swap.base), &bytes)?;
        Ok(summary.entries)
    }
}

/// What became of the first sources.
struct Written {
    segment: Segment,
    /// How many they were.
    sources: usize,
    /// Whether anything is different from before.
    changed: bool,
}

/// A cleaned file on its way to its place.
struct Output<'a> {
    segment: Segment,
    file: fs::File,
    /// First offset of which nothing was kept since the last batch.
    gap: Option<i64>,
    changed: bool,
    partition: &'a Partition,
}

impl Output<'_> {
    fn put(&mut self, header: &Header, batch: &[u8]) -> io::Result<()> {
        self.fill(header.base_offset)?;
        self.write(header, batch)
    }

    /// Fills the gap before `offset`, if there is one.
    fn fill(&mut self, offset: i64) -> io::Result<()> {
        let Some(gap) = self.gap.take() else { return Ok(()) };
        let batch = clean::placeholder(gap, offset - 1);
        let header = Header::parse(&batch).ok_or(io::ErrorKind::InvalidData)?;
        self.write(&header, &batch)
    }

    fn write(&mut self, header: &Header, batch: &[u8]) -> io::Result<()> {
        self.partition.env.disk.write_at(&self.file, batch, self.segment.size)?;
        self.segment.note(header, header.max_timestamp);
        Ok(())
    }
}

/// Calls with each batch of a segment; a damaged one is an error.
fn walk(dir: &Path, source: &Source, mut each: impl FnMut(&Header, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let file = fs::File::open(log_path(dir, source.base))?;
    let mut walker = Walker::new(&file, 0, source.base, source.size, true);
    let mut batch = Vec::new();
    loop {
        match walker.step()? {
            Step::Batch { position, header } => {
                batch.resize(usize_of(header.total_bytes()), 0);
                file.read_exact_at(&mut batch, position)?;
                each(&header, &batch)?;
            }
            Step::Damaged { .. } => return Err(io::Error::from(io::ErrorKind::InvalidData)),
            Step::End => return Ok(()),
        }
    }
}

/// Reads the keys of what was not cleaned yet, as many as are allowed, whole batches.
fn read_keys(plan: &Plan, keys_max: usize) -> io::Result<Latest> {
    let mut latest = Latest {
        by_key: HashMap::new(),
        hashers: [RandomState::new(), RandomState::new()],
        end: plan.dirty_from,
        unreadable: false,
    };
    let mut full = false;
    for source in &plan.sources {
        walk(&plan.dir, source, |header, batch| {
            let counts = !full && header.next_offset() > plan.dirty_from;
            if !header.is_control() && !is_aborted(header, plan) {
                let body = clean::body(batch, header);
                let records = body.as_ref().and_then(|body| clean::split(body, header));
                // Also of what is clean it must be known whether it can be read.
                latest.unreadable |= records.is_none();
                let records = records.unwrap_or_default();
                if counts && latest.by_key.len() + records.len() > keys_max && !latest.by_key.is_empty() {
                    full = true;
                    return Ok(());
                }
                for record in records.iter().filter(|_| counts) {
                    if let Some(key) = record.key {
                        let key = latest.hash(key);
                        latest.by_key.insert(key, record.offset);
                    }
                }
            }
            if counts {
                latest.end = header.next_offset();
            }
            Ok(())
        })?;
    }
    Ok(latest)
}

/// What is left of a batch.
fn left_of(header: &Header, batch: &[u8], plan: &Plan, latest: &Latest) -> Left {
    // Everything here is decided: markers have nothing more to say, and what was aborted is gone.
    if header.is_control() || is_aborted(header, plan) {
        return Left::Nothing;
    }
    let body = clean::body(batch, header);
    let Some(records) = body.as_ref().and_then(|body| clean::split(body, header)) else { return Left::Whole };
    let expired = header.delete_horizon().is_some_and(|horizon| plan.now > horizon) && !latest.unreadable;
    let decide = |record: &Raw<'_>| {
        let Some(key) = record.key else { return Fate::Drop };
        let replaced = latest.by_key.get(&latest.hash(key)).is_some_and(|last| record.offset < *last);
        if replaced || (record.is_tombstone && expired) { Fate::Drop } else { Fate::Keep }
    };
    // The horizon begins when all that a tombstone deletes is gone: what comes after the keys that were read waits.
    let was_read = header.next_offset() <= latest.end;
    let horizon = was_read.then(|| plan.now.saturating_add(plan.config.delete_retention_ms));
    clean::filter(batch, header, &records, horizon, decide)
}

fn is_aborted(header: &Header, plan: &Plan) -> bool {
    header.is_transactional()
        && plan.aborted.get(&header.producer_id).is_some_and(|aborted| {
            aborted.iter().any(|one| (one.first_offset..=one.last_offset).contains(&header.base_offset))
        })
}

/// Whether the segments of a group are the ones from number `at` on.
fn is_there(state: &State, at: usize, group: &[Source]) -> bool {
    let present = state.segments.iter().skip(at).take(group.len());
    !state.deleted
        && !state.failed
        && at + group.len() < state.segments.len()
        && present.map(|segment| (segment.base, segment.size)).eq(group.iter().map(|source| (source.base, source.size)))
}

/// A cleaned file that is to take the place of the segments it covers.
struct Swap {
    path: PathBuf,
    base: i64,
    end: i64,
}

/// Takes the covered segments away and puts the file in their place.
fn finish_swap(disk: &dyn Disk, dir: &Path, swap: &Swap) -> io::Result<()> {
    for base in crate::log::segment::list(dir)? {
        if base > swap.base && base < swap.end {
            disk.remove(&log_path(dir, base))?;
        }
        if base >= swap.base && base < swap.end {
            remove_if_there(disk, &index_path(dir, base))?;
        }
    }
    disk.rename(&swap.path, &log_path(dir, swap.base))?;
    disk.sync_dir(dir)
}

/// Finishes replacements that a crash cut short, and forgets those that it cut before they counted, and what was left
/// of dropped segments; blocking.
pub(crate) fn settle(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.ends_with(".cleaned") || name.ends_with(LEFTOVER) {
            disk.remove(&path)?;
        } else if let Some((base, end)) = name.strip_suffix(".swap").and_then(|range| range.split_once('-')) {
            let (Ok(base), Ok(end)) = (base.parse(), end.parse()) else { continue };
            finish_swap(disk, dir, &Swap { path, base, end })?;
        }
    }
    Ok(())
}

fn cleaned_path(dir: &Path) -> PathBuf {
    dir.join("cleaned")
}

/// Offset up to which the partition was cleaned, 0 if that is not known; blocking.
pub(crate) fn load_cleaned(dir: &Path) -> i64 {
    let bytes = fs::read(cleaned_path(dir)).unwrap_or_default();
    let text = sealed::open(&bytes).ok().and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).filter(|offset| *offset >= 0).unwrap_or(0)
}
