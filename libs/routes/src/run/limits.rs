//! The most of everything, for each route.

/// What a route may use at the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Exchanges of one route that are under way at a time; the source waits beyond.
    pub in_flight_max: usize,
    /// Records of one partition that are unfinished; the partition is not read for a while beyond.
    pub open_records_max: usize,
    /// Bytes of the records of one partition that are unfinished; the partition is not read for a while beyond. Of
    /// records that are taken in a transaction, all of them together.
    pub open_bytes_max: usize,
    /// Bytes of what the records of one transaction send, before they have been through the route; beyond that they are
    /// done again, fewer in one transaction, and a single record fails.
    pub transaction_bytes_max: usize,
    /// Messages that wait in a `seda:` queue that says nothing else.
    pub queue_max: usize,
    /// Bytes of a body that a source lets in; a larger record of a topic becomes a dead letter.
    pub body_bytes_max: usize,
    /// Parts that a split makes, recipients of a list.
    pub parts_max: usize,
    /// Turns of a loop.
    pub turns_max: u64,
    /// How deep routes may call each other.
    pub depth_max: u16,
    /// Groups that an aggregation collects at a time.
    pub groups_max: usize,
    /// Exchanges in one group.
    pub group_max: usize,
    /// Keys that a repository in memory remembers; the oldest go first.
    pub keys_max: usize,
    /// Endpoints that are kept for addresses that depend on the message.
    pub endpoints_max: usize,
    /// Copies that are on their own way (wiretaps, parts in parallel) at a time.
    pub background_max: usize,
    /// How long routes may take to end what is under way when they are stopped.
    pub stop_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 1_000,
            open_records_max: 4_096,
            open_bytes_max: 16 * 1024 * 1024,
            transaction_bytes_max: 64 * 1024 * 1024,
            queue_max: 1_000,
            body_bytes_max: 16 * 1024 * 1024,
            parts_max: 1_000_000,
            turns_max: 1_000_000,
            depth_max: 50,
            groups_max: 10_000,
            group_max: 100_000,
            keys_max: 100_000,
            endpoints_max: 1_000,
            background_max: 1_000,
            stop_ms: 30_000,
        }
    }
}
