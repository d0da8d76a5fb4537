//! What several modules of these tests need.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use chassis::{HttpConfig, HttpServer};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Longer than anything a test waits for; reached only when the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn http_config() -> HttpConfig {
    HttpConfig {
        request_timeout_ms: 20_000,
        header_read_timeout_ms: 20_000,
        write_stall_timeout_ms: 20_000,
        drain_timeout_ms: 20_000,
        drain_delay_ms: 0,
        body_bytes_max: 1024,
        header_bytes_max: 8192,
        connections_max: 64,
        requests_in_flight_max: 64,
        idempotency_keep_ms: 86_400_000,
        health_timeout_ms: 5_000,
    }
}

/// A server on a free port of this machine.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

pub(crate) async fn serve(server: HttpServer) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.serve(listener, stop.clone()));
    Server { url: format!("http://{address}"), address, stop, served }
}

pub(crate) async fn serve_router(config: &HttpConfig, router: Router) -> Server {
    serve(HttpServer::new("test", config, router)).await
}

/// One request to a router without a socket.
pub(crate) async fn call(router: Router, request: Request<Body>) -> Response<Body> {
    let server = HttpServer::new("test", &http_config(), router);
    server.into_router(&CancellationToken::new()).oneshot(request).await.unwrap()
}

pub(crate) async fn json_of(response: Response<Body>) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Waits, but not for ever.
pub(crate) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work).await.expect("this should have happened by now")
}
