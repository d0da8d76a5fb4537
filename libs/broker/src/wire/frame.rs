//! Frames: a length and that many bytes, read so that a stranger's announcement costs nothing.
//!
//! Memory is taken from the budget, and from the allocator, as bytes arrive.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::wire::memory::{Allowance, Gone, Memory, OWN_BYTES};

/// The smallest request: api key, version, correlation id.
pub(crate) const FRAME_BYTES_MIN: usize = 8;

/// What bounds the frames of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameLimits {
    pub(crate) bytes_min: usize,
    pub(crate) bytes_max: usize,
    /// Time without a request after which the connection is closed.
    pub(crate) idle: Duration,
    /// Time in which a begun frame must be whole.
    pub(crate) whole: Duration,
}

/// A whole request, with its share of the memory budget.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) body: Bytes,
    pub(crate) memory: Memory,
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("connection closed by the peer")]
    Closed,
    #[error("no request for too long")]
    Idle,
    #[error("frame length {0} is not allowed")]
    Length(i32),
    #[error("frame did not arrive in time")]
    Slow,
    #[error("connection broke")]
    Broken(#[from] std::io::Error),
}

impl From<Gone> for FrameError {
    fn from(_: Gone) -> Self {
        Self::Closed
    }
}

/// Reads the next frame.
pub(crate) async fn read_frame(
    from: &mut (impl AsyncRead + Unpin),
    limits: &FrameLimits,
    allowance: &Allowance,
) -> Result<Frame, FrameError> {
    let first = timeout(limits.idle, from.read_u8()).await.map_err(|_| FrameError::Idle)?;
    let first = first.map_err(|error| {
        if error.kind() == std::io::ErrorKind::UnexpectedEof { FrameError::Closed } else { error.into() }
    })?;
    let length = timeout(limits.whole, read_length(from, first, limits)).await.map_err(|_| FrameError::Slow)??;
    // Earlier requests of the same connection may take their time.
    let memory = allowance.begin(length).await?;
    let deadline = Instant::now() + limits.whole;
    timeout_at(deadline, read_body(from, length, memory, allowance)).await.map_err(|_| FrameError::Slow)?
}

async fn read_length(
    from: &mut (impl AsyncRead + Unpin),
    first: u8,
    limits: &FrameLimits,
) -> Result<usize, FrameError> {
    let mut rest = [0; 3];
    from.read_exact(&mut rest).await?;
    let announced = i32::from_be_bytes([first, rest[0], rest[1], rest[2]]);
    let length = usize::try_from(announced).ok();
    let allowed = length.filter(|length| (limits.bytes_min..=limits.bytes_max).contains(length));
    allowed.ok_or(FrameError::Length(announced))
}

async fn read_body(
    from: &mut (impl AsyncRead + Unpin),
    length: usize,
    mut memory: Memory,
    allowance: &Allowance,
) -> Result<Frame, FrameError> {
    let mut body = BytesMut::new();
    let mut target = length.min(OWN_BYTES);
    loop {
        body.reserve(target - body.len());
        while body.len() < target {
            let wanted = (target - body.len()) as u64;
            if (&mut *from).take(wanted).read_buf(&mut body).await? == 0 {
                return Err(FrameError::Closed);
            }
        }
        if target == length {
            return Ok(Frame { body: body.freeze(), memory });
        }
        let step = body.len().min(length - body.len());
        allowance.grow(&mut memory, step).await?;
        target += step;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use tokio::io::AsyncWriteExt;

    use std::sync::Arc;

    use crate::wire::memory::RequestMemory;

    const LIMITS: FrameLimits = FrameLimits {
        bytes_max: 1 << 20,
        idle: Duration::from_secs(5),
        whole: Duration::from_secs(5),
        bytes_min: FRAME_BYTES_MIN,
    };

    #[tokio::test]
    async fn lengths_that_cannot_be_are_refused() {
        let memory = RequestMemory::new(1 << 20);
        let allowance = Allowance::new(Arc::clone(&memory));
        for length in [0, -1, i32::MIN, 7, (1 << 20) + 1, i32::MAX, i32::from_be_bytes(*b"GET ")] {
            let bytes = length.to_be_bytes();
            let result = read_frame(&mut bytes.as_slice(), &LIMITS, &allowance).await;
            assert!(matches!(result, Err(FrameError::Length(refused)) if refused == length), "{length}");
        }
        assert_eq!(memory.free_bytes(), 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_announced_frame_takes_memory_as_it_comes_and_gives_it_back_when_it_does_not() {
        let memory = RequestMemory::new(1 << 20);
        let allowance = Allowance::new(Arc::clone(&memory));
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        client.write_all(&(1_i32 << 20).to_be_bytes()).await.unwrap();
        let reading = tokio::spawn(async move { read_frame(&mut server, &LIMITS, &allowance).await });
        client.write_all(&[1; 100]).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(memory.free_bytes(), 1 << 20, "a hundred bytes are the connection's own");
        client.write_all(&[1; OWN_BYTES]).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(memory.free_bytes(), (1 << 20) - OWN_BYTES);
        assert!(matches!(reading.await.unwrap(), Err(FrameError::Slow)));
        assert_eq!(memory.free_bytes(), 1 << 20);
    }

    #[tokio::test]
    async fn a_large_frame_is_read_whole_and_gives_its_memory_back() {
        let memory = RequestMemory::new(1 << 20);
        let allowance = Allowance::new(Arc::clone(&memory));
        let body: Vec<u8> = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
        let mut bytes = 500_000_i32.to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let frame = read_frame(&mut bytes.as_slice(), &LIMITS, &allowance).await.unwrap();
        assert_eq!(frame.body, body);
        assert_eq!(memory.free_bytes(), (1 << 20) - 500_000 + OWN_BYTES);
        drop(frame);
        assert_eq!(memory.free_bytes(), 1 << 20);
    }
}
