//! What every request goes through: id, span, limit, timeout, panics caught, metrics.
//!
//! One function in place of a stack of layers: one boxed future per request, and the order
//! (id outermost, so that every problem carries it) can be read from top to bottom.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use metrics::{Counter, Gauge, Histogram};
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::error_code::ErrorCode;
use crate::metrics::{HTTP_PANICS_TOTAL, HTTP_REQUEST_SECONDS, HTTP_REQUESTS_IN_FLIGHT, HTTP_REQUESTS_TOTAL};
use crate::problem::Problem;
use crate::request_id::{REQUEST_ID_HEADER, RequestId};

/// When a client that was refused for lack of room may come back.
const OVERLOADED_RETRY: Duration = Duration::from_secs(1);
/// The route of requests that no route matches: paths of strangers must not become metrics.
const NO_ROUTE: &str = "none";

/// The limits that requests pass.
#[derive(Clone)]
pub(super) struct Gate {
    meters: Arc<Meters>,
    timeout: Duration,
    /// `None` for the routes that must answer however much there is to do.
    room: Option<Arc<Semaphore>>,
}

impl Gate {
    pub(super) fn new(service: &Arc<str>, timeout: Duration, in_flight_max: Option<usize>) -> Self {
        let room = in_flight_max.map(|max| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))));
        Self { meters: Arc::new(Meters::of(service)), timeout, room }
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        let _place = match self.room.as_ref().map(|room| room.try_acquire()) {
            Some(Err(_)) => {
                return Problem::new(ErrorCode::Overloaded).retry_after(OVERLOADED_RETRY).into_response();
            }
            place => place,
        };
        let _counted = InFlight::enter(&self.meters.in_flight);
        let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(self.timeout, handled).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                metrics::counter!(HTTP_PANICS_TOTAL, "service" => Arc::clone(&self.meters.service)).increment(1);
                Problem::internal(format!("handler panicked: {}", panic_text(panic.as_ref()))).into_response()
            }
            Err(_) => Problem::new(ErrorCode::Timeout)
                .detail(format!("no answer within {} ms", self.timeout.as_millis()))
                .into_response(),
        }
    }
}

/// The metrics of requests, looked up once for each kind of request and answer.
struct Meters {
    service: Arc<str>,
    in_flight: Gauge,
    /// By route. They stay few: a request that no route matches counts under one name, whatever its path.
    of_routes: RwLock<HashMap<String, Vec<Meter>>>,
}

/// The metrics of one kind of request and answer.
#[derive(Clone)]
struct Meter {
    method: &'static str,
    status: u16,
    total: Counter,
    seconds: Histogram,
}

impl Meters {
    fn of(service: &Arc<str>) -> Self {
        let in_flight = metrics::gauge!(HTTP_REQUESTS_IN_FLIGHT, "service" => Arc::clone(service));
        Self { service: Arc::clone(service), in_flight, of_routes: RwLock::default() }
    }

    fn record(&self, method: &'static str, route: &str, status: u16, seconds: f64) {
        let known = self.known(method, route, status);
        let meter = known.unwrap_or_else(|| self.learn(method, route, status));
        meter.total.increment(1);
        meter.seconds.record(seconds);
    }

    fn known(&self, method: &'static str, route: &str, status: u16) -> Option<Meter> {
        let of_routes = self.of_routes.read().unwrap_or_else(PoisonError::into_inner);
        of_routes.get(route)?.iter().find(|meter| meter.method == method && meter.status == status).cloned()
    }

    fn learn(&self, method: &'static str, route: &str, status: u16) -> Meter {
        let service = &self.service;
        let total = metrics::counter!(
            HTTP_REQUESTS_TOTAL,
            "service" => Arc::clone(service),
            "method" => method,
            "route" => route.to_owned(),
            "status" => status.to_string(),
        );
        let seconds = metrics::histogram!(
            HTTP_REQUEST_SECONDS,
            "service" => Arc::clone(service),
            "method" => method,
            "route" => route.to_owned(),
        );
        let meter = Meter { method, status, total, seconds };
        let mut of_routes = self.of_routes.write().unwrap_or_else(PoisonError::into_inner);
        of_routes.entry(route.to_owned()).or_default().push(meter.clone());
        meter
    }
}

/// The middleware.
pub(super) async fn handle(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let method = method_name(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    request.extensions_mut().insert(id.clone());
    // Whoever looks at the headers finds the id in force, also where the client sent none.
    request.headers_mut().insert(REQUEST_ID_HEADER, id.header());
    let span = tracing::debug_span!("http_request", request_id = %id, method, route);
    let started = Instant::now();
    let header = id.header();
    let work = async {
        let response = gate.answer(request, next).await;
        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        let latency_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(status, latency_us, "request answered");
        gate.meters.record(method, route, status, elapsed.as_secs_f64());
        response
    };
    let mut response = id.scope(work.instrument(span)).await;
    response.headers_mut().insert(REQUEST_ID_HEADER, header);
    response
}

/// Counts a request while it is worked on, also when it is cancelled.
struct InFlight(Gauge);

impl InFlight {
    fn enter(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Any client can invent methods; metrics must not grow with them.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
