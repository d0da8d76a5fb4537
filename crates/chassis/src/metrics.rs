//! The names of this crate's metrics, in one place.

/// Counter: requests answered, by `service`, `method`, `route`, `status`.
pub const HTTP_REQUESTS_TOTAL: &str = "http_requests_total";
/// Histogram: seconds from the head of a request to the head of its answer, by `service`, `method`, `route`.
pub const HTTP_REQUEST_SECONDS: &str = "http_request_seconds";
/// Gauge: requests being worked on, by `service`.
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "http_requests_in_flight";
/// Gauge: open connections, by `service`.
pub const HTTP_CONNECTIONS: &str = "http_connections";
/// Counter: requests whose handler panicked, by `service`.
pub const HTTP_PANICS_TOTAL: &str = "http_panics_total";
