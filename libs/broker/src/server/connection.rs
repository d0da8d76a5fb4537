//! One connection: requests are read ahead, answers go out in the order of the requests.
//!
//! Produce requests are appended as they are read, so that several of them share a sync; everything else runs when the
//! answers before it are out, as Kafka does it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, Ready};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::lines::Lines;
use crate::metrics as names;
use crate::num::i32_of;
use crate::security::listener::Listener;
use crate::security::session::{Session, Who};
use crate::security::subject;
use crate::server::Shared;
use crate::server::answer::Answer;
use crate::server::api::{self, Handle, api_versions};
use crate::wire::frame::{FRAME_BYTES_MIN, Frame, FrameError, FrameLimits, read_frame};
use crate::wire::header::{Head, Refusal, encode_response, peek, take_head};
use crate::wire::memory::{Allowance, Memory};

/// Largest request of a client that has not logged in, bytes.
const LOGIN_BYTES_MAX: usize = 64 * 1024;
/// How long a client may be silent before its login.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);
/// How long a stopping broker lets a connection finish what it has begun.
const DRAIN: Duration = Duration::from_secs(5);

/// One and the same request may be sent again and again.
static PANICS: Lines = Lines::new(1);

/// A request on its way through a handler.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) head: Head,
    pub(crate) session: Arc<Session>,
    /// Who the client is; nobody before its login.
    pub(crate) who: Option<Arc<Who>>,
    /// The API's name, for records.
    pub(crate) api: &'static str,
    pub(crate) peer: SocketAddr,
    /// The address the client came in by, and the listener.
    local: SocketAddr,
    listener: Arc<Listener>,
    body: Bytes,
    memory: Memory,
}

/// What comes of a request: an answer, none (produce with acks 0), or the end of the connection.
pub(crate) type Outcome = Result<Option<Answer>, Refusal>;

impl Call {
    /// Host and port of this broker as this client is told.
    pub(crate) fn advertised(&self) -> (StrBytes, i32) {
        self.listener.advertised(self.local)
    }

    /// Lets go of the request's bytes; what is left of the work needs them no more.
    pub(crate) fn release(&mut self) {
        self.body = Bytes::new();
        self.memory = Memory::default();
    }

    /// The request itself.
    pub(crate) fn decode<R: Decodable>(&self) -> Result<R, Refusal> {
        R::decode(&mut self.body.clone(), self.head.version).map_err(|error| Refusal::Malformed(error.to_string()))
    }

    /// The answer to it.
    pub(crate) fn answer<R: Encodable + HeaderVersion>(&self, response: &R) -> Outcome {
        let frame = encode_response(self.head.correlation, self.head.version, response)?;
        Ok(Some(Answer::new(frame)))
    }

    /// The answer to it, and then the end of the connection.
    pub(crate) fn last_answer<R: Encodable + HeaderVersion>(&self, response: &R) -> Outcome {
        let answer = self.answer(response)?;
        Ok(answer.map(Answer::ending))
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("reading failed")]
    Frame(#[from] FrameError),
    #[error("request refused")]
    Refused(#[from] Refusal),
    #[error("tls handshake failed")]
    Handshake(#[source] std::io::Error),
    #[error("writing failed")]
    Write(#[from] std::io::Error),
    #[error("answer was not taken in time")]
    SlowPeer,
    #[error("request gave way to smaller ones that waited for memory")]
    GaveWay,
}

/// Serves a connection until it ends or the broker stops.
pub(crate) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let Some(tls) = tls else {
        let (reading, writing) = stream.into_split();
        return serve(reading, writing, Ends::new(peer, local, listener, None, &shared), shared).await;
    };
    let shaking = timeout(LOGIN_PATIENCE, tls.accept(stream));
    let shaken = shaking.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let stream = shaken.map_err(|error| {
        shared.security.audit.handshake_failed(&listener.name, &error, peer.ip());
        Ended::Handshake(error)
    })?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let subject = match certificate.map(|certificate| subject::of_certificate(certificate)) {
        None => None,
        Some(Some(subject)) => Some(subject),
        // Nobody is let in under a name that could not be read.
        Some(None) => return Err(Refusal::Unauthenticated.into()),
    };
    let ends = Ends::new(peer, local, listener, subject, &shared);
    let (reading, writing) = tokio::io::split(stream);
    serve(reading, writing, ends, shared).await
}

/// What is known of both ends of a connection.
#[derive(Debug, Clone)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
    listener: Arc<Listener>,
    session: Arc<Session>,
}

impl Ends {
    fn new(
        peer: SocketAddr,
        local: SocketAddr,
        listener: Arc<Listener>,
        subject: Option<String>,
        shared: &Shared,
    ) -> Self {
        let session = Session::new(Arc::clone(&shared.security), Arc::clone(&listener), peer.ip(), subject);
        Self { peer, local, listener, session: Arc::new(session) }
    }
}

async fn serve(
    reading: impl AsyncRead + Unpin,
    writing: impl AsyncWrite + Unpin,
    ends: Ends,
    shared: Arc<Shared>,
) -> Result<(), Ended> {
    let (work, pending) = mpsc::channel(shared.config.in_flight_requests_max);
    let write_timeout = Duration::from_millis(shared.config.frame_timeout_ms);
    let allowance = Allowance::new(Arc::clone(&shared.request_memory));
    let reader = Reader { from: BufReader::new(reading), shared, ends, work };
    let writer = write_answers(writing, pending, write_timeout);
    tokio::pin!(writer);
    tokio::select! {
        () = allowance.gives_way() => Err(Ended::GaveWay),
        result = reader.run(&allowance) => {
            result?;
            // The broker stops: what was begun is finished.
            timeout(DRAIN, writer).await.unwrap_or(Ok(()))
        }
        result = &mut writer => result,
    }
}

struct Reader<R> {
    from: BufReader<R>,
    shared: Arc<Shared>,
    ends: Ends,
    work: mpsc::Sender<BoxFuture<'static, Outcome>>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads requests until the broker stops.
    async fn run(mut self, allowance: &Allowance) -> Result<(), Ended> {
        let config = &self.shared.config;
        let usual = FrameLimits {
            bytes_min: FRAME_BYTES_MIN,
            bytes_max: config.frame_bytes_max,
            idle: Duration::from_millis(config.connection_idle_ms),
            whole: Duration::from_millis(config.frame_timeout_ms),
        };
        loop {
            let limits = limits_of(&self.ends.session, usual);
            let frame = tokio::select! {
                () = self.shared.stop.cancelled() => return Ok(()),
                frame = read_frame(&mut self.from, &limits, allowance) => frame,
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
        let session = &self.ends.session;
        if session.takes_raw() {
            return Ok(proceed_raw(session, frame).await.boxed());
        }
        let (key, version, correlation) = peek(&frame.body)?;
        let api_key = ApiKey::try_from(key).map_err(|()| Refusal::ApiKey(key))?;
        if !session.admits(api_key) {
            return Err(Refusal::Unauthenticated);
        }
        let api = api::find(api_key).ok_or(Refusal::ApiKey(key))?;
        if !api.versions.contains(&version) {
            if api_key == ApiKey::ApiVersions {
                return Ok(futures::future::ready(api_versions::unsupported(correlation).map(small)).boxed());
            }
            return Err(Refusal::Version { key, version });
        }
        let mut body = frame.body;
        let head = take_head(&mut body, api_key, version)?;
        api.shape.check(version, &body).map_err(|error| Refusal::Malformed(error.to_string()))?;
        metrics::counter!(names::REQUESTS, "api" => api.name).increment(1);
        let (shared, Ends { peer, local, listener, session }) = (Arc::clone(&self.shared), self.ends.clone());
        let (who, api_name) = (session.who(), api.name);
        let memory = frame.memory;
        let mut call = Call { shared, head, session, who, api: api_name, peer, local, listener, body, memory };
        let taken = metrics::histogram!(names::REQUEST_SECONDS, "api" => api.name);
        let read = Instant::now();
        let work = match api.handle {
            Handle::Ordered(handle) => guarded(async move {
                call.memory.begun();
                handle(call).await
            }),
            Handle::Eager(handle) => {
                call.memory.begun();
                let begun = AssertUnwindSafe(handle(call)).catch_unwind().await.map_err(|_| panicked())??;
                guarded(begun)
            }
        };
        Ok(work.inspect(move |_| taken.record(read.elapsed())).boxed())
    }
}

fn small(frame: Bytes) -> Option<Answer> {
    Some(Answer::new(frame))
}

/// Before its login a client gets little room and little time.
fn limits_of(session: &Session, usual: FrameLimits) -> FrameLimits {
    if session.who().is_some() {
        return usual;
    }
    FrameLimits {
        bytes_min: if session.takes_raw() { 1 } else { usual.bytes_min },
        bytes_max: LOGIN_BYTES_MAX.min(usual.bytes_max),
        idle: LOGIN_PATIENCE.min(usual.idle),
        whole: LOGIN_PATIENCE.min(usual.whole),
    }
}

/// Takes the login of an old client further, whose messages have no header.
async fn proceed_raw(session: &Session, frame: Frame) -> Ready<Outcome> {
    let outcome = match session.proceed(&frame.body).await {
        Ok(reply) => {
            let mut bytes = BytesMut::with_capacity(reply.bytes.len() + 4);
            bytes.put_i32(i32_of(reply.bytes.len()));
            bytes.extend_from_slice(&reply.bytes);
            Ok(small(bytes.freeze()))
        }
        Err(_) => Err(Refusal::Login),
    };
    futures::future::ready(outcome)
}

/// A handler whose panic ends its connection and nothing else.
fn guarded(work: impl Future<Output = Outcome> + Send + 'static) -> BoxFuture<'static, Outcome> {
    AssertUnwindSafe(work).catch_unwind().map(|result| result.unwrap_or_else(|_| Err(panicked()))).boxed()
}

fn panicked() -> Refusal {
    if let Some(left_out) = PANICS.admit() {
        tracing::error!(left_out, "request handler panicked, its connection is closed");
    }
    Refusal::Panicked
}

/// Runs the handlers in order and writes their answers.
async fn write_answers(
    mut to: impl AsyncWrite + Unpin,
    mut pending: mpsc::Receiver<BoxFuture<'static, Outcome>>,
    limit: Duration,
) -> Result<(), Ended> {
    while let Some(work) = pending.recv().await {
        if let Some(answer) = work.await? {
            let is_last = answer.last;
            timeout(limit, answer.write(&mut to)).await.map_err(|_| Ended::SlowPeer)??;
            if is_last {
                return Err(Refusal::Login.into());
            }
        }
    }
    Ok(())
}
