//! Answers on their way out: bytes in memory, and records that are sent from their files a piece at a time, so that a
//! reader who takes them slowly holds no more than a piece.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::log::read::{Extent, Records};

/// Bytes in memory of an answer that is sent from files.
const PIECE_BYTES: usize = 128 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    parts: Vec<Records>,
    /// Whether the connection ends with it.
    pub(crate) last: bool,
}

impl Answer {
    pub(crate) fn new(frame: Bytes) -> Self {
        Self::of(vec![Records::Held(frame)])
    }

    /// One in several parts.
    pub(crate) fn of(parts: Vec<Records>) -> Self {
        Self { parts, last: false }
    }

    /// The same, and then the connection ends.
    pub(crate) fn ending(self) -> Self {
        Self { last: true, ..self }
    }

    /// Writes all of it.
    pub(crate) async fn write(self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if let [Records::Held(whole)] = &self.parts[..] {
            to.write_all(whole).await?;
            return to.flush().await;
        }
        let mut piece = Piece { bytes: vec![0; PIECE_BYTES], filled: 0 };
        for part in self.parts {
            match part {
                Records::Held(bytes) => piece.put(&bytes, to).await?,
                Records::Stored(extent) => piece.put_stored(extent, to).await?,
            }
        }
        piece.write(to).await?;
        to.flush().await
    }
}

/// What is written next.
struct Piece {
    bytes: Vec<u8>,
    filled: usize,
}

impl Piece {
    async fn put(&mut self, mut bytes: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.filled));
            self.bytes[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            self.write_if_full(to).await?;
        }
        Ok(())
    }

    async fn put_stored(&mut self, extent: Extent, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let Extent { file, mut position, length } = extent;
        let end = position + length as u64;
        while position < end {
            let wanted = (PIECE_BYTES - self.filled).min(crate::num::usize_of(end - position));
            let (from, until) = (self.filled, self.filled + wanted);
            let mut bytes = std::mem::take(&mut self.bytes);
            let file = Arc::clone(&file);
            let read = tokio::task::spawn_blocking(move || {
                file.read_exact_at(&mut bytes[from..until], position)?;
                io::Result::Ok(bytes)
            });
            self.bytes = read.await.map_err(io::Error::other)??;
            self.filled = until;
            position += wanted as u64;
            self.write_if_full(to).await?;
        }
        Ok(())
    }

    async fn write_if_full(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.filled == PIECE_BYTES { self.write(to).await } else { Ok(()) }
    }

    async fn write(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.bytes[..self.filled]).await?;
        self.filled = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn parts_come_out_in_their_order_whatever_their_sizes() {
        let mut file = tempfile::tempfile().unwrap();
        let stored: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
        file.write_all(&stored).unwrap();
        let file = Arc::new(file);
        let held: Vec<u8> = (0..200_000_u32).map(|at| (at % 13) as u8).collect();
        let (mut parts, mut expected) = (Vec::new(), Vec::<u8>::new());
        for (position, length) in [(0, 1), (10, PIECE_BYTES), (77, 0), (5, 3 * PIECE_BYTES + 9), (699_999, 1)] {
            for kept in [0, 5, PIECE_BYTES + 1] {
                parts.push(Records::Held(Bytes::copy_from_slice(&held[..kept])));
                expected.extend(&held[..kept]);
            }
            parts.push(Records::Stored(Extent { file: Arc::clone(&file), position: position as u64, length }));
            expected.extend(&stored[position..position + length]);
        }
        let mut written = Vec::new();
        Answer::of(parts).write(&mut written).await.unwrap();
        assert!(written == expected, "{} bytes of {}", written.len(), expected.len());
    }

    #[tokio::test]
    async fn records_whose_file_has_become_shorter_are_an_error_and_nothing_made_up() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"four").unwrap();
        let extent = Extent { file: Arc::new(file), position: 0, length: 5 };
        let mut written = Vec::new();
        let result = Answer::of(vec![Records::Stored(extent)]).write(&mut written).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(written.is_empty());
    }
}
