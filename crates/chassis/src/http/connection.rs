//! Accepting connections, their limits, and the drain at the end.
//!
//! hyper is used directly: `axum::serve` sets no limit on how slowly a request's head may come.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::HttpConfig;
use super::stall::StallGuard;
use crate::metrics::HTTP_CONNECTIONS;

/// After a failure to accept that has nothing to do with one client (no file handles left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits on connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    header_read_timeout: Duration,
    write_stall_timeout: Duration,
    drain_timeout: Duration,
    drain_delay: Duration,
    header_bytes_max: usize,
    connections_max: usize,
}

impl Limits {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            header_read_timeout: Duration::from_millis(config.header_read_timeout_ms),
            write_stall_timeout: Duration::from_millis(config.write_stall_timeout_ms),
            drain_timeout: Duration::from_millis(config.drain_timeout_ms),
            drain_delay: Duration::from_millis(config.drain_delay_ms),
            header_bytes_max: config.header_bytes_max,
            connections_max: config.connections_max.min(Semaphore::MAX_PERMITS),
        }
    }
}

/// Serves until `stop`, then drains. Dropping the future cuts all connections.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    service: Arc<str>,
    limits: Limits,
    stop: CancellationToken,
    draining: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let close = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut closing = pin!(async {
        stop.cancelled().await;
        draining.cancel();
        sleep(limits.drain_delay).await;
    });
    loop {
        tokio::select! {
            biased;
            () = &mut closing => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (stream, peer, place) = accept(&listener, &room) => {
                let connection = Connection {
                    router: router.clone(),
                    service: Arc::clone(&service),
                    limits,
                    close: close.clone(),
                    _place: place,
                };
                connections.spawn(connection.run(stream, peer));
            }
        }
    }
    drop(listener);
    close.cancel();
    let open = connections.len();
    tracing::debug!(%service, open, "port closed, finishing requests in flight");
    let drained = timeout(limits.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        let cut = connections.len();
        tracing::warn!(%service, cut, "requests in flight were cut off after the drain timeout");
        connections.shutdown().await;
    }
}

/// The next connection, once there is room for it. Cancel safe.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

struct Connection {
    router: Router,
    service: Arc<str>,
    limits: Limits,
    close: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, peer: SocketAddr) {
        let _counted = Open::enter(&self.service);
        // Answers are written whole; waiting to fill packets only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection was gone at once");
            return;
        }
        let io = TokioIo::new(StallGuard::new(stream, self.limits.write_stall_timeout));
        let service = TowerToHyperService::new(with_peer(self.router, peer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read_timeout)
            .max_buf_size(self.limits.header_bytes_max)
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let outcome = tokio::select! {
            outcome = &mut connection => outcome,
            () = self.close.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "connection ended early");
        }
    }
}

fn with_peer(
    router: Router,
    peer: SocketAddr,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
    router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    })
}

/// Counts a connection while it is open.
struct Open(metrics::Gauge);

impl Open {
    fn enter(service: &Arc<str>) -> Self {
        let gauge = metrics::gauge!(HTTP_CONNECTIONS, "service" => Arc::clone(service));
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
