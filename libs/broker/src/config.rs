//! Everything about a broker that its owner can choose, with defaults that suit one machine.

mod properties;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::log::disk::{Disk, SystemDisk};
use crate::security::config::SecurityConfig;

/// The broker's configuration. Unknown keys are refused when it is read from a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `host:port` told to clients; unset tells each client the address it came in by.
    pub advertise: Option<String>,
    /// Who may come in, where, and what they may do.
    pub security: SecurityConfig,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// This broker's id in metadata.
    pub node_id: i32,
    /// Whether a topic comes into being when a client first names it.
    pub auto_create_topics: bool,
    /// Partitions of topics whose creator does not say.
    pub partitions_default: i32,
    /// Partitions over all topics.
    pub partitions_max: usize,
    /// Largest record batch, bytes, where the topic does not say (`max.message.bytes`).
    pub message_bytes_max: i32,
    /// Segment size in bytes where the topic does not say (`segment.bytes`).
    pub segment_bytes: i32,
    /// Segment age in milliseconds where the topic does not say (`segment.ms`).
    pub segment_ms: i64,
    /// Retention in milliseconds where the topic does not say (`retention.ms`); -1 keeps for ever.
    pub retention_ms: i64,
    /// Retention in bytes per partition where the topic does not say (`retention.bytes`); -1 keeps all.
    pub retention_bytes: i64,
    /// How often expired segments are looked for, milliseconds.
    pub retention_check_interval_ms: u64,
    /// How often compacted topics are looked at, milliseconds.
    pub compaction_check_interval_ms: u64,
    /// Keys that one pass of compaction holds in memory at most, about 40 bytes each; further ones wait for the next pass.
    pub compaction_keys_max: usize,
    /// How often the synced ends are noted in the checkpoint while something changes, milliseconds.
    pub checkpoint_interval_ms: u64,
    /// How often sizes of topics and lags of groups are measured, milliseconds.
    pub measure_interval_ms: u64,
    /// Segment and index files held open at most.
    pub open_files_max: usize,
    /// Syncs running at the same time at most.
    pub syncs_max: usize,
    /// Idempotent producers remembered per partition at most; the longest idle is forgotten first.
    pub producers_per_partition_max: usize,
    /// Shortest session timeout a group member may ask for, milliseconds.
    pub group_session_timeout_min_ms: i32,
    /// Longest session timeout a group member may ask for, milliseconds.
    pub group_session_timeout_max_ms: i32,
    /// How often members of groups whose partitions the broker shares (KIP-848) are to be heard of, milliseconds.
    pub consumer_group_heartbeat_interval_ms: i32,
    /// A member of such a group that was not heard of for this long is out, milliseconds.
    pub consumer_group_session_timeout_ms: u64,
    /// How long a new group waits for more members before its first generation, milliseconds.
    pub group_initial_rebalance_delay_ms: u64,
    /// Members of one group at most.
    pub group_members_max: usize,
    /// Groups at most.
    pub groups_max: usize,
    /// Bytes of metadata kept with a committed offset at most.
    pub offset_metadata_bytes_max: usize,
    /// How long offsets of a group without members are kept, milliseconds.
    pub offsets_retention_ms: i64,
    /// How often expired offsets and groups of which nothing is left are looked for, milliseconds.
    pub offsets_retention_check_interval_ms: u64,
    /// Transactional ids at most.
    pub transactional_ids_max: usize,
    /// Longest time that a producer may ask for its transactions, milliseconds.
    pub transaction_timeout_max_ms: i32,
    /// How long a transactional id without a transaction is kept, milliseconds.
    pub transactional_id_expiration_ms: i64,
    /// Largest request frame, bytes.
    pub frame_bytes_max: usize,
    /// Bytes of requests in memory over all connections at most, besides 64 KiB that each connection has for itself.
    pub request_memory_bytes_max: usize,
    /// Bytes of records in one fetch answer at most.
    pub fetch_bytes_max: usize,
    /// Fetch sessions at most; 0 keeps none.
    pub fetch_sessions_max: usize,
    /// A fetch session that was not used for this long gives its place to a new one, milliseconds.
    pub fetch_session_evict_after_ms: u64,
    /// Client connections at most.
    pub connections_max: usize,
    /// Client connections of one address at most; of IPv6, of one network of 64 bits. 0: three quarters of all.
    pub connections_per_address_max: usize,
    /// Requests of one connection under way at most.
    pub in_flight_requests_max: usize,
    /// A connection without a request is closed after this long, milliseconds.
    pub connection_idle_ms: u64,
    /// A request or answer that is not through after this long closes its connection, milliseconds.
    pub frame_timeout_ms: u64,
    /// Where the time comes from.
    #[serde(skip)]
    pub clock: Arc<dyn Clock>,
    /// How segment files are written and synced; tests put a failing one here.
    #[serde(skip)]
    pub disk: Arc<dyn Disk>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9092)),
            advertise: None,
            security: SecurityConfig::default(),
            data_dir: PathBuf::from("data/broker"),
            node_id: 1,
            auto_create_topics: true,
            partitions_default: 3,
            partitions_max: 10_000,
            message_bytes_max: 1_048_588,
            segment_bytes: 256 * 1024 * 1024,
            segment_ms: 7 * 24 * 3_600_000,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            retention_check_interval_ms: 60_000,
            compaction_check_interval_ms: 15_000,
            compaction_keys_max: 500_000,
            checkpoint_interval_ms: 2_000,
            measure_interval_ms: 10_000,
            open_files_max: 512,
            syncs_max: 8,
            producers_per_partition_max: 10_000,
            group_session_timeout_min_ms: 1_000,
            group_session_timeout_max_ms: 1_800_000,
            consumer_group_heartbeat_interval_ms: 5_000,
            consumer_group_session_timeout_ms: 45_000,
            group_initial_rebalance_delay_ms: 0,
            group_members_max: 1_000,
            groups_max: 10_000,
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_retention_check_interval_ms: 600_000,
            transactional_ids_max: 10_000,
            transaction_timeout_max_ms: 900_000,
            transactional_id_expiration_ms: 7 * 24 * 3_600_000,
            frame_bytes_max: 100 * 1024 * 1024,
            request_memory_bytes_max: 256 * 1024 * 1024,
            fetch_bytes_max: 50 * 1024 * 1024,
            fetch_sessions_max: 1_000,
            fetch_session_evict_after_ms: 120_000,
            connections_max: 1_000,
            connections_per_address_max: 0,
            in_flight_requests_max: 64,
            connection_idle_ms: 600_000,
            frame_timeout_ms: 60_000,
            clock: Arc::new(SystemClock),
            disk: Arc::new(SystemDisk),
        }
    }
}

impl Config {
    /// How many connections one address may have.
    pub(crate) fn connections_per_address(&self) -> usize {
        match self.connections_per_address_max {
            0 => (self.connections_max - self.connections_max / 4).max(1),
            most => most,
        }
    }

    /// Refuses values that cannot work before anything is touched.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |key: &'static str, reason: &str| Err(Error::Config { key, reason: reason.to_owned() });
        if self.partitions_default < 1 {
            return bad("partitions_default", "must be at least 1");
        }
        if self.segment_bytes < 1024 {
            return bad("segment_bytes", "must be at least 1024");
        }
        if self.message_bytes_max < 1 {
            return bad("message_bytes_max", "must be positive");
        }
        if self.frame_bytes_max < 1024 || self.frame_bytes_max > 1024 * 1024 * 1024 {
            return bad("frame_bytes_max", "must be from 1 KiB to 1 GiB");
        }
        if self.request_memory_bytes_max < self.frame_bytes_max {
            return bad("request_memory_bytes_max", "must hold one largest frame");
        }
        if self.fetch_bytes_max < 1024 || self.fetch_bytes_max > 1024 * 1024 * 1024 {
            return bad("fetch_bytes_max", "must be from 1 KiB to 1 GiB");
        }
        for (key, value) in [
            ("open_files_max", self.open_files_max),
            ("syncs_max", self.syncs_max),
            ("connections_max", self.connections_max),
            ("in_flight_requests_max", self.in_flight_requests_max),
            ("compaction_keys_max", self.compaction_keys_max),
            ("producers_per_partition_max", self.producers_per_partition_max),
        ] {
            if value == 0 {
                return bad(key, "must be at least 1");
            }
        }
        if self.consumer_group_heartbeat_interval_ms < 1 {
            return bad("consumer_group_heartbeat_interval_ms", "must be at least 1");
        }
        if self.offsets_retention_check_interval_ms == 0 {
            return bad("offsets_retention_check_interval_ms", "must be at least 1");
        }
        self.listeners()?;
        self.security.check()?;
        Ok(())
    }
}

/// `host:port` (with brackets around an IPv6 host) in two.
pub(crate) fn split_host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return None;
    }
    Some((host.to_owned(), port.parse().ok()?))
}
