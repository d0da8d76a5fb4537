//! The HTTP server of every part: limits against slow and greedy clients, ids, metrics, health,
//! problems for everything that goes wrong, and a stop that finishes what was begun.

mod connection;
mod health;
mod request;
mod stall;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use health::{Health, HealthCheck, HealthChecks};

use crate::extract::{unknown_method, unknown_route};
use crate::lifecycle::Running;
use crate::telemetry::Telemetry;
use health::Operations;
use request::Gate;

/// The section `http`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// A request without an answer after this time is answered 503 and its work is dropped.
    pub request_timeout_ms: u64,
    /// How long the head of a request may take, and how long an unused connection stays open.
    pub header_read_timeout_ms: u64,
    /// How long a client may take no byte of an answer.
    pub write_stall_timeout_ms: u64,
    /// After a stop was asked for: how long requests in flight may take.
    pub drain_timeout_ms: u64,
    /// After a stop was asked for: how long `/health/ready` says 503 before the port is closed.
    pub drain_delay_ms: u64,
    /// The largest request body. A route may set its own with [`DefaultBodyLimit`].
    pub body_bytes_max: usize,
    /// The largest request head.
    pub header_bytes_max: usize,
    /// Connections at a time; more wait in the operating system's queue.
    pub connections_max: usize,
    /// Requests being worked on at a time; more are answered 503 at once.
    pub requests_in_flight_max: usize,
    /// How long the answer to a POST with an `Idempotency-Key` is kept for its repetitions.
    pub idempotency_keep_ms: u64,
    /// A health check without an answer after this time counts as down.
    pub health_timeout_ms: u64,
}

/// A router, ready to be served.
///
/// Besides the router's own routes it answers `/health/live`, `/health/ready` and `/metrics`
/// (which the limit on requests in flight does not concern), and problem documents for unknown
/// routes and methods.
#[derive(Debug)]
pub struct HttpServer {
    service: Arc<str>,
    config: HttpConfig,
    router: Router,
    checks: HealthChecks,
    telemetry: Option<Telemetry>,
    fallback: bool,
}

impl HttpServer {
    /// A server of `router`; `service` names it in metrics and logs.
    #[must_use]
    pub fn new(service: impl Into<Arc<str>>, config: &HttpConfig, router: Router) -> Self {
        Self {
            service: service.into(),
            config: config.clone(),
            router,
            checks: HealthChecks::default(),
            telemetry: None,
            fallback: true,
        }
    }

    /// The checks behind `/health/ready`. More may be added while it runs.
    #[must_use]
    pub fn health(mut self, checks: &HealthChecks) -> Self {
        self.checks = checks.clone();
        self
    }

    /// What `/metrics` shows; without it, there is no such route.
    #[must_use]
    pub fn metrics(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = Some(telemetry.clone());
        self
    }

    /// Keeps the router's own fallback for unknown routes, in place of a 404 problem.
    #[must_use]
    pub fn own_fallback(mut self) -> Self {
        self.fallback = false;
        self
    }

    /// Serves until `stop`; then finishes requests in flight within `drain_timeout_ms`, and
    /// cuts those that are left.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let draining = CancellationToken::new();
        let limits = connection::Limits::new(&self.config);
        let service = Arc::clone(&self.service);
        let router = self.into_router(&draining);
        connection::serve(listener, router, service, limits, stop, draining).await;
    }

    /// As [`HttpServer::serve`], in the background, as a part of [`crate::Parts`].
    #[must_use]
    pub fn start(self, listener: TcpListener) -> Running {
        Running::spawn(|stop| async move {
            self.serve(listener, stop).await;
            Ok::<(), crate::Error>(())
        })
    }

    /// The router with everything that does not need a socket; for tests of handlers.
    /// `draining` makes `/health/ready` say that the process is stopping.
    pub fn into_router(self, draining: &CancellationToken) -> Router {
        let config = &self.config;
        let timeout = Duration::from_millis(config.request_timeout_ms);
        let gate = Gate::new(&self.service, timeout, Some(config.requests_in_flight_max));
        let mut router = self.router;
        if self.fallback {
            router = router.fallback(unknown_route);
        }
        let router = router
            .method_not_allowed_fallback(unknown_method)
            .layer(DefaultBodyLimit::max(config.body_bytes_max))
            .layer(from_fn_with_state(gate, request::handle));
        let operations = Operations {
            checks: self.checks,
            check_timeout: Duration::from_millis(config.health_timeout_ms),
            draining: draining.clone(),
            telemetry: self.telemetry,
        };
        let gate = Gate::new(&self.service, timeout, None);
        let operations = operations
            .into_router()
            .method_not_allowed_fallback(unknown_method)
            .layer(from_fn_with_state(gate, request::handle));
        operations.merge(router)
    }
}
