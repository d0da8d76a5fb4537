//! The memory that many partitions and many connections take.

use super::Turn;
use super::wire::{self, Wire};

const TOPIC: &str = "many";
const CONNECTIONS: i32 = 500;
/// Each connection writes to and reads from as many of its own.
const PARTITIONS_EACH: i32 = 2;
const RECORD_BYTES: usize = 1024;
const FETCH_BYTES_MAX: i32 = 1024 * 1024;

pub(super) fn measure(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    let server = turn.place.start()?;
    let partitions = CONNECTIONS * PARTITIONS_EACH;
    wire::make_topic(server.address, TOPIC, partitions)?;
    let batch = wire::batch(RECORD_BYTES)?;
    let mut connections = Vec::new();
    for connection in 0..CONNECTIONS {
        let mut wire = Wire::connect(server.address)?;
        for partition in connection * PARTITIONS_EACH..(connection + 1) * PARTITIONS_EACH {
            wire::produce_to_new(&mut wire, TOPIC, partition, &batch)?;
            wire.fetch(TOPIC, partition, 0, FETCH_BYTES_MAX)?;
        }
        connections.push(wire);
    }
    turn.add(format!("RSS with {partitions} partitions and {CONNECTIONS} connections, MiB"), 1, server.rss_mib()?);
    // Until here they were all open.
    drop(connections);
    Ok(())
}
