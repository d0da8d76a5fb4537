//! Walking the batches of a segment file, past damaged ones: a flipped bit costs its own batch and nothing else.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::log::batch::{HEADER_BYTES, Header, checksum_holds};
use crate::num::usize_of;

/// Bytes read at a time when only headers are wanted.
const WINDOW_BYTES: u64 = 16 * 1024;
/// Bytes read at a time when every batch is checked, or looked for.
const SCAN_BYTES: u64 = 1024 * 1024;

/// What stands at the walker's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A batch.
    Batch { position: u64, header: Header },
    /// Bytes that are no batch. If another follows the walk goes on there.
    Damaged { position: u64, from_offset: i64, resumes: Option<(u64, i64)> },
    /// The limit was reached.
    End,
}

/// Goes from batch to batch up to a limit.
#[derive(Debug)]
pub(crate) struct Walker<'a> {
    file: &'a File,
    limit: u64,
    position: u64,
    expected: i64,
    /// Check every batch's checksum (recovery) or only that headers follow each other (reading).
    verify: bool,
    previous: Option<(u64, Header)>,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Walker<'a> {
    /// Starts at `position`, where the batch with base offset `expected` stands.
    pub(crate) fn new(file: &'a File, position: u64, expected: i64, limit: u64, verify: bool) -> Self {
        Self { file, limit, position, expected, verify, previous: None, window: Vec::new(), window_at: 0 }
    }

    /// The next batch, or damage, or the end.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        if self.position >= self.limit {
            return Ok(Step::End);
        }
        let position = self.position;
        if let Some(header) = self.batch_at(position)? {
            self.previous = Some((position, header));
            self.position += header.total_bytes();
            self.expected = header.next_offset();
            return Ok(Step::Batch { position, header });
        }
        self.resume(position)
    }

    /// The batch at `position` if it is the expected one and whole.
    fn batch_at(&mut self, position: u64) -> io::Result<Option<Header>> {
        let Some(header) = self.header_at(position)? else { return Ok(None) };
        if header.base_offset != self.expected {
            return Ok(None);
        }
        if self.verify && !self.is_whole(position, &header)? {
            return Ok(None);
        }
        Ok(Some(header))
    }

    fn header_at(&mut self, position: u64) -> io::Result<Option<Header>> {
        if position + HEADER_BYTES as u64 > self.limit {
            return Ok(None);
        }
        let header = Header::parse(self.bytes(position, HEADER_BYTES as u64)?);
        Ok(header.filter(|header| header.is_plausible() && position + header.total_bytes() <= self.limit))
    }

    fn is_whole(&mut self, position: u64, header: &Header) -> io::Result<bool> {
        let batch = self.bytes(position, header.total_bytes())?;
        Ok(checksum_holds(batch, header))
    }

    /// Looks for the next whole batch after damage at `position`.
    fn resume(&mut self, position: u64) -> io::Result<Step> {
        let mut damaged_at = position;
        let mut from_offset = self.expected;
        // A damaged length leads astray: then the damage is in the batch before.
        if let Some((at, header)) = self.previous
            && !self.is_whole(at, &header)?
        {
            damaged_at = at;
            from_offset = header.base_offset;
        }
        self.previous = None;
        let mut at = damaged_at + 1;
        while at + HEADER_BYTES as u64 <= self.limit {
            if self.bytes(at + 16, 1)?[0] == 2
                && let Some(header) = self.header_at(at)?
                && header.base_offset >= from_offset
                && self.is_whole(at, &header)?
            {
                self.position = at;
                self.expected = header.base_offset;
                return Ok(Step::Damaged {
                    position: damaged_at,
                    from_offset,
                    resumes: Some((at, header.base_offset)),
                });
            }
            at += 1;
        }
        self.position = self.limit;
        Ok(Step::Damaged { position: damaged_at, from_offset, resumes: None })
    }

    /// `length` bytes at `position`, which lie below the limit.
    fn bytes(&mut self, position: u64, length: u64) -> io::Result<&[u8]> {
        let held = self.window_at..self.window_at + self.window.len() as u64;
        if position < held.start || position + length > held.end {
            let window = if self.verify { SCAN_BYTES } else { WINDOW_BYTES };
            let wanted = length.max(window).min(self.limit.saturating_sub(position));
            self.window.resize(usize_of(wanted), 0);
            self.file.read_exact_at(&mut self.window, position)?;
            self.window_at = position;
        }
        let from = usize_of(position - self.window_at);
        self.window.get(from..from + usize_of(length)).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::log::batch::patch;
    use crate::log::records::build;

    /// Three batches of two records each; returns the file's bytes and where each batch begins.
    fn three() -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for at in 0..3_i64 {
            let value = vec![b'a'; 40 + usize::try_from(at).unwrap()];
            let mut batch = build(&[(None, Some(value.as_slice())), (Some(b"k".as_slice()), None)], at);
            patch(&mut batch, at * 2, 0, None);
            starts.push(bytes.len() as u64);
            bytes.extend(batch);
        }
        (bytes, starts)
    }

    fn walk(bytes: &[u8], verify: bool) -> Vec<Step> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut walker = Walker::new(&file, 0, 0, bytes.len() as u64, verify);
        let mut steps = Vec::new();
        loop {
            match walker.step().unwrap() {
                Step::End => return steps,
                step => steps.push(step),
            }
        }
    }

    #[test]
    fn any_flipped_bit_in_the_middle_batch_costs_only_that_batch() {
        let (bytes, starts) = three();
        // Bytes 12..16 are the leader epoch, which nothing protects and nobody reads back.
        for at in (starts[1]..starts[2]).filter(|at| !(12..16).contains(&(at - starts[1]))) {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[usize_of(at)] ^= 1 << bit;
                let steps = walk(&damaged, true);
                assert_eq!(steps.len(), 3, "byte {at} bit {bit}: {steps:?}");
                assert!(matches!(steps[0], Step::Batch { position: 0, .. }));
                assert_eq!(
                    steps[1],
                    Step::Damaged { position: starts[1], from_offset: 2, resumes: Some((starts[2], 4)) }
                );
                assert!(matches!(steps[2], Step::Batch { position, .. } if position == starts[2]));
            }
        }
    }

    #[test]
    fn a_reader_that_checks_headers_only_still_finds_the_batch_after_a_damaged_length() {
        let (bytes, starts) = three();
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[usize_of(starts[1]) + 11] ^= 1 << bit;
            let steps = walk(&damaged, false);
            assert!(
                matches!(steps.last(), Some(Step::Batch { position, .. }) if *position == starts[2]),
                "bit {bit}: {steps:?}"
            );
        }
    }

    #[test]
    fn a_tail_cut_anywhere_ends_in_damage_that_does_not_resume() {
        let (bytes, starts) = three();
        for length in usize_of(starts[2]) + 1..bytes.len() {
            let steps = walk(&bytes[..length], true);
            assert_eq!(
                steps[2],
                Step::Damaged { position: starts[2], from_offset: 4, resumes: None },
                "length {length}"
            );
        }
    }
}
