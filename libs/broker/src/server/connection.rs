//! One connection: requests are read ahead, answers go out in the order of the requests.
//!
//! Produce requests are appended as they are read, so that several of them share a sync; everything else runs when the
//! answers before it are out, as Kafka does it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::metrics as names;
use crate::security::listener::Listener;
use crate::server::Shared;
use crate::server::api::{self, Handle, api_versions};
use crate::wire::frame::{Frame, FrameError, FrameLimits, read_frame};
use crate::wire::header::{Head, Refusal, encode_response, peek, take_head};

/// How long a stopping broker lets a connection finish what it has begun.
const DRAIN: Duration = Duration::from_secs(5);

/// A request on its way through a handler.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) head: Head,
    pub(crate) peer: SocketAddr,
    /// The address the client came in by, and the listener.
    local: SocketAddr,
    listener: Arc<Listener>,
    body: Bytes,
    _memory: OwnedSemaphorePermit,
}

/// A whole answer, with its share of the memory budget if it is a large one.
#[derive(Debug)]
pub(crate) struct Answer {
    frame: Bytes,
    pub(crate) memory: Option<OwnedSemaphorePermit>,
}

/// What comes of a request: an answer, none (produce with acks 0), or the end of the connection.
pub(crate) type Outcome = Result<Option<Answer>, Refusal>;

impl Call {
    /// Host and port of this broker as this client is told.
    pub(crate) fn advertised(&self) -> (StrBytes, i32) {
        self.listener.advertised(self.local)
    }

    /// The request itself.
    pub(crate) fn decode<R: Decodable>(&self) -> Result<R, Refusal> {
        R::decode(&mut self.body.clone(), self.head.version).map_err(|error| Refusal::Malformed(error.to_string()))
    }

    /// The answer to it.
    pub(crate) fn answer<R: Encodable + HeaderVersion>(&self, response: &R) -> Outcome {
        let frame = encode_response(self.head.correlation, self.head.version, response)?;
        Ok(Some(Answer { frame, memory: None }))
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("reading failed")]
    Frame(#[from] FrameError),
    #[error("request refused")]
    Refused(#[from] Refusal),
    #[error("writing failed")]
    Write(#[from] std::io::Error),
    #[error("answer was not taken in time")]
    SlowPeer,
}

/// Serves a connection until it ends or the broker stops.
pub(crate) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    shared: Arc<Shared>,
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let (reading, writing) = stream.into_split();
    let (work, pending) = mpsc::channel(shared.config.in_flight_requests_max);
    let write_timeout = Duration::from_millis(shared.config.frame_timeout_ms);
    let reader = Reader { from: BufReader::new(reading), shared, peer, local, listener, work };
    let writer = write_answers(writing, pending, write_timeout);
    tokio::pin!(writer);
    tokio::select! {
        result = reader.run() => {
            result?;
            // The broker stops: what was begun is finished.
            timeout(DRAIN, writer).await.unwrap_or(Ok(()))
        }
        result = &mut writer => result,
    }
}

struct Reader {
    from: BufReader<OwnedReadHalf>,
    shared: Arc<Shared>,
    peer: SocketAddr,
    local: SocketAddr,
    listener: Arc<Listener>,
    work: mpsc::Sender<BoxFuture<'static, Outcome>>,
}

impl Reader {
    /// Reads requests until the broker stops.
    async fn run(mut self) -> Result<(), Ended> {
        let config = &self.shared.config;
        let limits = FrameLimits {
            bytes_max: config.frame_bytes_max,
            idle: Duration::from_millis(config.connection_idle_ms),
            whole: Duration::from_millis(config.frame_timeout_ms),
            memory: Arc::clone(&self.shared.request_memory),
        };
        loop {
            let frame = tokio::select! {
                () = self.shared.stop.cancelled() => return Ok(()),
                frame = read_frame(&mut self.from, &limits) => frame,
            };
            let frame = match frame {
                Err(FrameError::Closed) => return Err(FrameError::Closed.into()),
                Err(error) => {
                    metrics::counter!(names::REFUSED_CONNECTIONS).increment(1);
                    return Err(error.into());
                }
                Ok(frame) => frame,
            };
            let work = match self.begin(frame).await {
                Ok(work) => work,
                Err(refusal) => {
                    metrics::counter!(names::REFUSED_CONNECTIONS).increment(1);
                    return Err(refusal.into());
                }
            };
            if self.work.send(work).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Checks a request and does what must be done in order; what is left becomes its answer.
    async fn begin(&self, frame: Frame) -> Result<BoxFuture<'static, Outcome>, Refusal> {
        let (key, version, correlation) = peek(&frame.body)?;
        let api_key = ApiKey::try_from(key).map_err(|()| Refusal::ApiKey(key))?;
        let api = api::find(api_key).ok_or(Refusal::ApiKey(key))?;
        if !api.versions.contains(&version) {
            if api_key == ApiKey::ApiVersions {
                return Ok(futures::future::ready(api_versions::unsupported(correlation).map(Self::small)).boxed());
            }
            return Err(Refusal::Version { key, version });
        }
        let mut body = frame.body;
        let head = take_head(&mut body, api_key, version)?;
        api.shape.check(version, &body).map_err(|error| Refusal::Malformed(error.to_string()))?;
        metrics::counter!(names::REQUESTS, "api" => api.name).increment(1);
        let shared = Arc::clone(&self.shared);
        let listener = Arc::clone(&self.listener);
        let call = Call { shared, head, peer: self.peer, local: self.local, listener, body, _memory: frame.memory };
        let taken = metrics::histogram!(names::REQUEST_SECONDS, "api" => api.name);
        let read = Instant::now();
        let work = match api.handle {
            Handle::Ordered(handle) => guarded(async move { handle(call).await }),
            Handle::Eager(handle) => {
                let begun = AssertUnwindSafe(handle(call)).catch_unwind().await.map_err(|_| panicked())??;
                guarded(begun)
            }
        };
        Ok(work.inspect(move |_| taken.record(read.elapsed())).boxed())
    }

    fn small(frame: Bytes) -> Option<Answer> {
        Some(Answer { frame, memory: None })
    }
}

/// A handler whose panic ends its connection and nothing else.
fn guarded(work: impl Future<Output = Outcome> + Send + 'static) -> BoxFuture<'static, Outcome> {
    AssertUnwindSafe(work).catch_unwind().map(|result| result.unwrap_or_else(|_| Err(panicked()))).boxed()
}

fn panicked() -> Refusal {
    tracing::error!("request handler panicked, its connection is closed");
    Refusal::Panicked
}

/// Runs the handlers in order and writes their answers.
async fn write_answers(
    mut to: OwnedWriteHalf,
    mut pending: mpsc::Receiver<BoxFuture<'static, Outcome>>,
    limit: Duration,
) -> Result<(), Ended> {
    while let Some(work) = pending.recv().await {
        if let Some(answer) = work.await? {
            timeout(limit, to.write_all(&answer.frame)).await.map_err(|_| Ended::SlowPeer)??;
            drop(answer.memory);
        }
    }
    Ok(())
}
