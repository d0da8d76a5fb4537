//! Exchanges of a route are followed step by step, and told one by one as they end.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chassis::{ErrorCode, Principal, Problem, ValidJson};
use contracts::audit::Action as Done;
use eventkit::Work;
use futures::stream;
use routes::run::{Followed, Trace};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::tell;
use crate::api::Desks;
use crate::routes::Routes;

/// The most exchanges that one trace follows.
const EXCHANGES_MAX: usize = 100;
/// The longest that one trace waits for them.
const TIMEOUT_MAX_MS: u64 = 600_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TraceRequest {
    route: String,
    /// How many exchanges are followed.
    count: usize,
    /// How long they are waited for.
    timeout_ms: u64,
}

/// A line of the answer.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
enum Line<'l> {
    Exchange(&'l Followed),
    End {
        /// `count`: all have been followed; `timeout`: not so many came, or did not end; otherwise what the route is now:
        /// `stopped`, `suspended`, `replaced`, `removed`, or `started` again.
        reason: &'static str,
        /// How many have ended.
        followed: usize,
        /// How many have begun and not ended.
        under_way: usize,
    },
}

/// Follows the next exchanges of a route.
#[utoipa::path(
    post, path = "/operator/v1/routes/trace",
    responses((status = 200, description = "A JSON document a line: each exchange when it has ended, and at last why no more follow"))
)]
pub(super) async fn trace_route(
    State(desks): State<Desks>,
    principal: Principal,
    mut work: Work,
    ValidJson(request): ValidJson<TraceRequest>,
) -> Result<Response, Problem> {
    let TraceRequest { route, count, timeout_ms } = request;
    if !(1..=EXCHANGES_MAX).contains(&count) || !(1..=TIMEOUT_MAX_MS).contains(&timeout_ms) {
        let detail = format!("count is 1 to {EXCHANGES_MAX}, timeoutMs 1 to {TIMEOUT_MAX_MS}");
        return Err(Problem::new(ErrorCode::ValidationFailed).detail(detail));
    }
    let routes = desks.routes.clone();
    let trace = routes.0.deployment.engine().trace(&route, count, routes.0.masking.clone());
    let trace = trace.map_err(|reason| Problem::new(ErrorCode::Conflict).detail(reason))?;
    tell(&mut work, &principal, Done::Trace, format!("route-{route}"), (None, None)).await?;
    tracing::info!(route, count, timeout_ms, "route is traced by the operator");
    let (told, lines) = mpsc::channel(1);
    tokio::spawn(follow(routes, trace, Instant::now() + Duration::from_millis(timeout_ms), told));
    let lines = stream::unfold(lines, |mut lines| async {
        let line: Option<String> = lines.recv().await;
        line.map(|line| (Ok::<_, Infallible>(line), lines))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Tells what is followed, until it is enough, it is time, the route has stopped, or nobody listens any more.
async fn follow(routes: Routes, mut trace: Trace, deadline: Instant, told: mpsc::Sender<String>) {
    let mut followed = 0;
    let reason = loop {
        let next = tokio::select! {
            () = told.closed() => return,
            next = timeout_at(deadline, trace.next()) => next,
        };
        match next {
            Ok(Some(exchange)) => {
                followed += 1;
                if told.send(line(&Line::Exchange(&exchange))).await.is_err() {
                    return;
                }
            }
            Ok(None) if trace.is_full() => break "count",
            Ok(None) => break routes.0.deployment.engine().fate(&trace).await,
            Err(_) => break "timeout",
        }
    };
    let under_way = trace.under_way();
    for exchange in &under_way {
        if told.send(line(&Line::Exchange(exchange))).await.is_err() {
            return;
        }
    }
    // Whoever listened may have gone.
    let _ = told.send(line(&Line::End { reason, followed, under_way: under_way.len() })).await;
}

fn line(line: &Line<'_>) -> String {
    // Texts and numbers are always JSON.
    let json = serde_json::to_string(line).unwrap_or_default();
    format!("{json}\n")
}
