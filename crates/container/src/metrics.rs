//! The names of this crate's metrics, in one place.

/// Counter: tries to tell somebody something. Labels: `channel`, `outcome` (`sent`, `skipped`, `failed`, `delayed`).
pub(crate) const NOTIFICATIONS_TOTAL: &str = "container_notifications_total";
/// Counter: notifications that the router asked for. Labels: `rule`.
pub(crate) const ROUTED_TOTAL: &str = "container_routed_total";

/// Counter: exchanges that came to a route. Label: `route`.
pub(crate) const ROUTE_EXCHANGES_TOTAL: &str = "container_route_exchanges_total";
/// Counter: those of them that ended with an exception. Label: `route`.
pub(crate) const ROUTE_FAILED_TOTAL: &str = "container_route_exchanges_failed_total";
/// Counter: attempts after the first. Label: `route`.
pub(crate) const ROUTE_REDELIVERED_TOTAL: &str = "container_route_redelivered_total";
/// Counter: exchanges that became a dead letter. Label: `route`.
pub(crate) const ROUTE_DEAD_LETTERS_TOTAL: &str = "container_route_dead_letters_total";
/// Counter: the time of the exchanges that ended. Label: `route`.
pub(crate) const ROUTE_MICROSECONDS_TOTAL: &str = "container_route_microseconds_total";
/// Gauge: exchanges in a route's steps, and those that wait for what they sent to be acknowledged. Label: `route`.
pub(crate) const ROUTE_IN_FLIGHT: &str = "container_route_exchanges_in_flight";
/// Counter: exchanges that came to a step. Labels: `route`, `step`.
pub(crate) const ROUTE_STEP_EXCHANGES_TOTAL: &str = "container_route_step_exchanges_total";
/// Counter: those of them that the step failed. Labels: `route`, `step`.
pub(crate) const ROUTE_STEP_FAILED_TOTAL: &str = "container_route_step_exchanges_failed_total";
/// Counter: attempts after the first. Labels: `route`, `step`.
pub(crate) const ROUTE_STEP_REDELIVERED_TOTAL: &str = "container_route_step_redelivered_total";
/// Counter: exchanges that the step failed and that became a dead letter. Labels: `route`, `step`.
pub(crate) const ROUTE_STEP_DEAD_LETTERS_TOTAL: &str = "container_route_step_dead_letters_total";
/// Counter: the time of the exchanges that went through the step. Labels: `route`, `step`.
pub(crate) const ROUTE_STEP_MICROSECONDS_TOTAL: &str = "container_route_step_microseconds_total";
