//! Finding offsets by time.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;

use crate::log::batch::{Header, checksum_holds};
use crate::log::index;
use crate::log::partition::Partition;
use crate::log::read::{Place, ReadError};
use crate::log::records;
use crate::log::segment::{Segment, SegmentIndex};
use crate::log::walk::{Step, Walker};
use crate::num::usize_of;

/// A record's offset and timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

impl Partition {
    /// The first record at or after `timestamp`, below the high watermark; blocking.
    ///
    /// In a compressed batch the answer is the batch's first record, since batches are never opened.
    pub(crate) fn find_by_time(&self, timestamp: i64) -> Result<Option<Found>, ReadError> {
        let mut after = -1;
        while let Some((place, log_start, high_watermark)) = self.place_by_time(timestamp, after)? {
            let mut walker = Walker::new(&place.file, place.position, place.offset, place.limit, false);
            loop {
                match walker.step()? {
                    Step::Batch { position, header } => {
                        if header.max_timestamp < timestamp || header.last_offset() < log_start {
                            continue;
                        }
                        if header.base_offset >= high_watermark {
                            return Ok(None);
                        }
                        if let Some(found) = record_in(&place, position, &header, log_start, |time| time >= timestamp)?
                        {
                            return Ok(Some(found));
                        }
                    }
                    Step::Damaged { resumes: Some(_), .. } => {}
                    Step::Damaged { .. } | Step::End => break,
                }
            }
            after = place.base;
        }
        Ok(None)
    }

    /// The record with the largest timestamp that can be read; blocking.
    pub(crate) fn find_max_timestamp(&self) -> Result<Option<Found>, ReadError> {
        let mut walked: HashMap<i64, i64> = HashMap::new();
        while let Some(candidate) = self.newest_segment(&walked)? {
            match candidate {
                Newest::Known { timestamp } => {
                    let found = self.find_by_time(timestamp)?;
                    return Ok(found.map(|found| Found { timestamp, ..found }));
                }
                // Its newest record was deleted or is not synced yet: the others have to be looked at.
                Newest::Unread { place, log_start } => {
                    walked.insert(place.base, newest_in(&place, log_start)?);
                }
            }
        }
        Ok(None)
    }

    /// The segment with the largest timestamp, where `walked` says what was found in some.
    fn newest_segment(&self, walked: &HashMap<i64, i64>) -> Result<Option<Newest>, ReadError> {
        let state = self.state();
        let timestamp_of = |segment: &Segment| walked.get(&segment.base).copied().unwrap_or(segment.max_timestamp);
        let filled = state.segments.iter().filter(|segment| segment.size > 0 && timestamp_of(segment) >= 0);
        let newest = filled.max_by(|a, b| timestamp_of(a).cmp(&timestamp_of(b)).then(b.base.cmp(&a.base)));
        let Some(newest) = newest else { return Ok(None) };
        let readable = (state.log_start..state.visible).contains(&newest.max_timestamp_offset);
        if readable || walked.contains_key(&newest.base) {
            return Ok(Some(Newest::Known { timestamp: timestamp_of(newest) }));
        }
        let limit = if state.segments.last().is_some_and(|last| last.base == newest.base) {
            state.visible_size
        } else {
            newest.size
        };
        let base = newest.base;
        let place = Place { base, file: self.log_file(base)?, position: 0, offset: base, limit };
        Ok(Some(Newest::Unread { place, log_start: state.log_start }))
    }

    /// The first segment after base `after` that may hold `timestamp`, with log start and high watermark.
    fn place_by_time(&self, timestamp: i64, after: i64) -> Result<Option<(Place, i64, i64)>, ReadError> {
        let state = self.state();
        let count = state.segments.len();
        let found = state
            .segments
            .iter()
            .enumerate()
            .find(|(_, segment)| segment.base > after && segment.max_timestamp >= timestamp);
        let Some((at, segment)) = found else { return Ok(None) };
        let base = segment.base;
        let entry = match &segment.index {
            SegmentIndex::Active { index, .. } => index.by_time(timestamp),
            SegmentIndex::Closed { entries } => {
                index::search(&*self.index_file(base)?, base, *entries, |entry| entry.timestamp_before < timestamp)?
            }
        };
        let (position, offset) = entry.map_or((0, base), |entry| (entry.position, entry.offset));
        let limit = if at + 1 == count { state.visible_size } else { segment.size };
        let place = Place { base, file: self.log_file(base)?, position, offset, limit };
        Ok(Some((place, state.log_start, state.visible)))
    }
}

/// The segment that has the largest timestamp.
enum Newest {
    Known { timestamp: i64 },
    Unread { place: Place, log_start: i64 },
}

/// The largest timestamp of the readable records of a segment, -1 if there is none; in a batch that is readable in part
/// that of the batch.
fn newest_in(place: &Place, log_start: i64) -> Result<i64, ReadError> {
    let mut newest = -1;
    let mut walker = Walker::new(&place.file, place.position, place.offset, place.limit, false);
    loop {
        match walker.step()? {
            Step::Batch { header, .. } if header.last_offset() >= log_start => {
                newest = newest.max(header.max_timestamp);
            }
            Step::Batch { .. } | Step::Damaged { resumes: Some(_), .. } => {}
            Step::Damaged { .. } | Step::End => return Ok(newest),
        }
    }
}

/// The first record of a batch at or above `log_start` whose time is wanted.
fn record_in(
    place: &Place,
    position: u64,
    header: &Header,
    log_start: i64,
    wanted: impl Fn(i64) -> bool,
) -> Result<Option<Found>, ReadError> {
    if header.is_compressed() || header.is_log_append_time() {
        let timestamp = if header.is_log_append_time() { header.max_timestamp } else { header.base_timestamp };
        return Ok(Some(Found { offset: header.base_offset.max(log_start), timestamp }));
    }
    let mut bytes = vec![0; usize_of(header.total_bytes())];
    place.file.read_exact_at(&mut bytes, position)?;
    if !checksum_holds(&bytes, header) {
        return Ok(None);
    }
    let records = records::parse(&bytes, header).unwrap_or_default();
    let found = records.iter().find(|record| record.offset >= log_start && wanted(record.timestamp));
    Ok(found.map(|record| Found { offset: record.offset, timestamp: record.timestamp }))
}
