//! Whether a process lives and whether it is ready: `/health/live`, `/health/ready`, `/metrics`.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::FutureExt;
use futures::future::join_all;
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How one thing that a process needs is doing. Reasons are public: no addresses, no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ready,
    /// Not as it should be, but requests are answered: the status stays 200.
    Degraded {
        /// What is the matter.
        reason: String,
    },
    /// Requests should go elsewhere: 503.
    Down {
        /// What is the matter.
        reason: String,
    },
}

impl Health {
    /// Not as it should be.
    #[must_use]
    pub fn degraded(reason: impl Into<String>) -> Self {
        Self::Degraded { reason: reason.into() }
    }

    /// Not usable.
    #[must_use]
    pub fn down(reason: impl Into<String>) -> Self {
        Self::Down { reason: reason.into() }
    }

    /// The worst is the greatest.
    fn rank(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Degraded { .. } => 1,
            Self::Down { .. } => 2,
        }
    }
}

/// Something that can say how it is doing.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// How it is doing now. Slow answers are cut off and count as down.
    async fn check(&self) -> Health;
}

#[async_trait]
impl<C, F> HealthCheck for C
where
    C: Fn() -> F + Send + Sync,
    F: Future<Output = Health> + Send,
{
    async fn check(&self) -> Health {
        self().await
    }
}

type Checks = Vec<(String, Arc<dyn HealthCheck>)>;

/// The named checks of a process. Clones share them.
#[derive(Clone, Default)]
pub struct HealthChecks {
    checks: Arc<RwLock<Checks>>,
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthChecks").field("checks", &self.all().len()).finish()
    }
}

impl HealthChecks {
    /// No checks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, or replaces the one of that name. A closure will do:
    /// `checks.add("database", || async { Health::Ready })`.
    pub fn add(&self, name: impl Into<String>, check: impl HealthCheck + 'static) {
        let name = name.into();
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.retain(|(other, _)| *other != name);
        checks.push((name, Arc::new(check)));
    }

    fn all(&self) -> Checks {
        self.checks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks all at once; no answer within `limit`, or a panic, is down.
    async fn report(&self, limit: Duration) -> Vec<(String, Health)> {
        let checks = self.all();
        let asked = checks.iter().map(|(name, check)| async move {
            let answer = std::panic::AssertUnwindSafe(check.check()).catch_unwind();
            let health = match timeout(limit, answer).await {
                Ok(Ok(health)) => health,
                Ok(Err(_)) => Health::down("the check itself failed"),
                Err(_) => Health::down(format!("no answer within {} ms", limit.as_millis())),
            };
            (name.clone(), health)
        });
        join_all(asked).await
    }
}

/// What the routes beside a service's own need.
#[derive(Clone)]
pub(super) struct Operations {
    pub(super) checks: HealthChecks,
    pub(super) check_timeout: Duration,
    pub(super) draining: CancellationToken,
    pub(super) telemetry: Option<Telemetry>,
}

impl Operations {
    pub(super) fn into_router(self) -> Router {
        let mut router = Router::new().route("/health/live", get(live)).route("/health/ready", get(ready));
        if self.telemetry.is_some() {
            router = router.route("/metrics", get(metrics));
        }
        router.with_state(self)
    }
}

/// The process runs and answers; nothing else is asked, or a broken dependency would restart it.
async fn live() -> Response {
    Json(serde_json::json!({ "status": "live" })).into_response()
}

async fn ready(State(operations): State<Operations>) -> Response {
    let mut report = operations.checks.report(operations.check_timeout).await;
    if operations.draining.is_cancelled() {
        report.push(("process".to_owned(), Health::down("stopping")));
    }
    let worst = report.iter().map(|(_, health)| health.rank()).max().unwrap_or(0);
    let (status, word) = match worst {
        0 => (StatusCode::OK, "ready"),
        1 => (StatusCode::OK, "degraded"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "down"),
    };
    let checks: serde_json::Map<String, serde_json::Value> =
        report.into_iter().map(|(name, health)| (name, serde_json::json!(health))).collect();
    let body = Json(serde_json::json!({ "status": word, "checks": checks }));
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}

async fn metrics(State(operations): State<Operations>) -> Response {
    let text = operations.telemetry.map(|telemetry| telemetry.render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}
