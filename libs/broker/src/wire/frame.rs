//! Frames: a length and that many bytes, read so that a stranger's announcement costs nothing.
//!
//! Memory is taken from the budget, and from the allocator, as bytes arrive.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// Memory reserved for a frame before its first byte is there.
const FIRST_CHUNK_BYTES: usize = 64 * 1024;
/// The smallest request: api key, version, correlation id.
pub(crate) const FRAME_BYTES_MIN: usize = 8;

/// What bounds the frames of a connection.
#[derive(Debug, Clone)]
pub(crate) struct FrameLimits {
    pub(crate) bytes_min: usize,
    pub(crate) bytes_max: usize,
    /// Time without a request after which the connection is closed.
    pub(crate) idle: Duration,
    /// Time in which a begun frame must be whole.
    pub(crate) whole: Duration,
    /// Bytes over all connections.
    pub(crate) memory: Arc<Semaphore>,
}

/// A whole request, with its share of the memory budget.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) body: Bytes,
    pub(crate) memory: OwnedSemaphorePermit,
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

/// Reads the next frame.
pub(crate) async fn read_frame(from: &mut (impl AsyncRead + Unpin), limits: &FrameLimits) -> Result<Frame, FrameError> {
    let first = timeout(limits.idle, from.read_u8()).await.map_err(|_| FrameError::Idle)?;
    let first = first.map_err(|error| {
        if error.kind() == std::io::ErrorKind::UnexpectedEof { FrameError::Closed } else { error.into() }
    })?;
    let deadline = Instant::now() + limits.whole;
    timeout_at(deadline, read_rest(from, first, limits)).await.map_err(|_| FrameError::Slow)?
}

async fn read_rest(from: &mut (impl AsyncRead + Unpin), first: u8, limits: &FrameLimits) -> Result<Frame, FrameError> {
    let mut rest = [0; 3];
    from.read_exact(&mut rest).await?;
    let announced = i32::from_be_bytes([first, rest[0], rest[1], rest[2]]);
    let length = usize::try_from(announced).unwrap_or(0);
    if !(limits.bytes_min..=limits.bytes_max).contains(&length) {
        return Err(FrameError::Length(announced));
    }
    let mut body = BytesMut::new();
    let mut memory: Option<OwnedSemaphorePermit> = None;
    while body.len() < length {
        let step = body.len().max(FIRST_CHUNK_BYTES).min(length - body.len());
        let share = acquire(&limits.memory, step).await?;
        match &mut memory {
            Some(memory) => memory.merge(share),
            None => memory = Some(share),
        }
        body.reserve(step);
        let target = body.len() + step;
        while body.len() < target {
            let wanted = (target - body.len()) as u64;
            if (&mut *from).take(wanted).read_buf(&mut body).await? == 0 {
                return Err(FrameError::Closed);
            }
        }
    }
    let memory = memory.ok_or(FrameError::Length(announced))?;
    Ok(Frame { body: body.freeze(), memory })
}

async fn acquire(memory: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, FrameError> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Arc::clone(memory).acquire_many_owned(bytes).await.map_err(|_| FrameError::Closed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use tokio::io::AsyncWriteExt;

    fn limits(memory: &Arc<Semaphore>) -> FrameLimits {
        FrameLimits {
            bytes_max: 1 << 20,
            idle: Duration::from_secs(5),
            whole: Duration::from_secs(5),
            bytes_min: FRAME_BYTES_MIN,
            memory: Arc::clone(memory),
        }
    }

    #[tokio::test]
    async fn lengths_that_cannot_be_are_refused() {
        let memory = Arc::new(Semaphore::new(1 << 20));
        for length in [0, -1, i32::MIN, 7, (1 << 20) + 1, i32::MAX, i32::from_be_bytes(*b"GET ")] {
            let bytes = length.to_be_bytes();
            let result = read_frame(&mut bytes.as_slice(), &limits(&memory)).await;
            assert!(matches!(result, Err(FrameError::Length(refused)) if refused == length), "{length}");
        }
        assert_eq!(memory.available_permits(), 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_announced_frame_that_never_comes_holds_one_chunk_and_then_nothing() {
        let memory = Arc::new(Semaphore::new(1 << 20));
        let (mut client, mut server) = tokio::io::duplex(1 << 16);
        client.write_all(&(1_i32 << 20).to_be_bytes()).await.unwrap();
        client.write_all(&[1; 100]).await.unwrap();
        let limits = limits(&memory);
        let reading = tokio::spawn(async move { read_frame(&mut server, &limits).await });
        tokio::task::yield_now().await;
        assert_eq!(memory.available_permits(), (1 << 20) - FIRST_CHUNK_BYTES);
        assert!(matches!(reading.await.unwrap(), Err(FrameError::Slow)));
        assert_eq!(memory.available_permits(), 1 << 20);
    }

    #[tokio::test]
    async fn a_large_frame_is_read_whole_and_gives_its_memory_back() {
        let memory = Arc::new(Semaphore::new(1 << 20));
        let body: Vec<u8> = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
        let mut bytes = 500_000_i32.to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let frame = read_frame(&mut bytes.as_slice(), &limits(&memory)).await.unwrap();
        assert_eq!(frame.body, body);
        assert_eq!(memory.available_permits(), (1 << 20) - 500_000);
        drop(frame);
        assert_eq!(memory.available_permits(), 1 << 20);
    }
}
