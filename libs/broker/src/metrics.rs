//! Names of every metric the broker records, in one place, so that dashboards and code cannot drift apart.

/// Counter, label `api`: requests answered.
pub const REQUESTS: &str = "broker_requests_total";
/// Histogram, seconds, label `api`: from a request being read to its answer being ready, waiting for records included.
pub const REQUEST_SECONDS: &str = "broker_request_seconds";
/// Gauge: open client connections.
pub const CONNECTIONS: &str = "broker_connections";
/// Counter: connections closed because of bytes that are no request.
pub const REFUSED_CONNECTIONS: &str = "broker_refused_connections_total";
/// Counter, label `mechanism`: clients that could not prove who they are.
pub const FAILED_AUTHENTICATIONS: &str = "broker_failed_authentications_total";
/// Counter, label `api`: requests, or parts of them, that access rules refused.
pub const REFUSED_OPERATIONS: &str = "broker_refused_operations_total";
/// Counter, label `topic`: bytes of record batches appended.
pub const APPENDED_BYTES: &str = "broker_appended_bytes_total";
/// Counter, label `topic`: records appended.
pub const APPENDED_RECORDS: &str = "broker_appended_records_total";
/// Counter, label `topic`: bytes of record batches handed to consumers.
pub const FETCHED_BYTES: &str = "broker_fetched_bytes_total";
/// Counter, label `topic`: records in batches handed to consumers.
pub const FETCHED_RECORDS: &str = "broker_fetched_records_total";
/// Gauge, label `topic`: bytes of log on disk; 0 for a topic that is gone.
pub const LOG_BYTES: &str = "broker_log_bytes";
/// Gauge, labels `group` and `topic`: records below the high watermark that the group has not committed; 0 when
/// nothing of the topic is committed any more. Of more than 10,000 pairs since the start further ones are not told.
pub const GROUP_LAG: &str = "broker_group_lag_records";
/// Histogram, seconds: one sync of a segment file.
pub const SYNC_SECONDS: &str = "broker_sync_seconds";
/// Counter: syncs or writes that failed.
pub const STORAGE_FAILURES: &str = "broker_storage_failures_total";
/// Counter: batches found damaged, at recovery or while reading.
pub const DAMAGED_BATCHES: &str = "broker_damaged_batches_total";
/// Gauge: partitions that are read-only since a sync failed.
pub const FAILED_PARTITIONS: &str = "broker_failed_partitions";
/// Counter: group rebalances completed.
pub const REBALANCES: &str = "broker_group_rebalances_total";

/// Every name there is.
pub const ALL: &[&str] = &[
    REQUESTS,
    REQUEST_SECONDS,
    CONNECTIONS,
    REFUSED_CONNECTIONS,
    FAILED_AUTHENTICATIONS,
    REFUSED_OPERATIONS,
    APPENDED_BYTES,
    APPENDED_RECORDS,
    FETCHED_BYTES,
    FETCHED_RECORDS,
    LOG_BYTES,
    GROUP_LAG,
    SYNC_SECONDS,
    STORAGE_FAILURES,
    DAMAGED_BATCHES,
    FAILED_PARTITIONS,
    REBALANCES,
];
