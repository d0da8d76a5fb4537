//! The names of every metric and span that this crate writes.

/// Events published by a relay. Labels: `relay`.
pub const PUBLISHED_TOTAL: &str = "eventkit_published_total";
/// Failed attempts of a relay to publish a batch. Labels: `relay`.
pub const PUBLISH_FAILURES_TOTAL: &str = "eventkit_publish_failures_total";
/// The age of the oldest event that is stored but not published, in seconds. Labels: `relay`.
pub const OLDEST_UNPUBLISHED_SECONDS: &str = "eventkit_oldest_unpublished_seconds";
/// From an event's being stored to its being acknowledged by the broker, in seconds. Labels: `relay`.
pub const PUBLISH_DELAY_SECONDS: &str = "eventkit_publish_delay_seconds";
/// Events that a consumer is through with. Labels: `group`, `event_type`, `outcome` (`handled`, `duplicate`, `dead_letter`, `ignored`).
pub const CONSUMED_TOTAL: &str = "eventkit_consumed_total";
/// Failed attempts of handlers. Labels: `group`, `event_type`, `kind`.
pub const HANDLER_FAILURES_TOTAL: &str = "eventkit_handler_failures_total";
/// The time of a handler's attempt, its commit included, in seconds. Labels: `group`, `event_type`.
pub const HANDLER_SECONDS: &str = "eventkit_handler_seconds";
/// Records taken from a partition whose handling has not ended. Labels: `group`.
pub const UNCOMMITTED_RECORDS: &str = "eventkit_uncommitted_records";
/// Records that a group has not committed, in partitions of this member; 0 once another has them. Labels: `group`, `topic`, `partition`.
pub const CONSUMER_LAG_RECORDS: &str = "eventkit_consumer_lag_records";
/// Partitions that are paused because too many records follow one that is not finished. Labels: `group`.
pub const STALLED_PARTITIONS: &str = "eventkit_stalled_partitions";
/// Events that a relay holds because the broker refuses them or an earlier one of their key. Labels: `relay`.
pub const HELD_EVENTS: &str = "eventkit_held_events";
/// Topics that take nothing from a relay: it may not write there, or they are not there. Labels: `relay`.
pub const STOPPED_TOPICS: &str = "eventkit_stopped_topics";
/// The last position of a service's store that a projection was rebuilt from. Labels: `group`, `projection`, `service`.
pub const PROJECTION_POSITION: &str = "eventkit_projection_position";
/// Rebuilt projections that were swapped in. Labels: `group`, `projection`.
pub const PROJECTION_REBUILDS_TOTAL: &str = "eventkit_projection_rebuilds_total";

/// The span (at debug level) of one event in one handler. Fields: `group`, `handler`, `event`, `traceparent`: by the last it
/// joins the request or the event that caused it, in whichever process that was.
pub const HANDLE_SPAN: &str = "eventkit_handle";
