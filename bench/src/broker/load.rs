//! Many records through librdkafka, large and small ones: how fast, what one costs, and what memory it takes.

use std::time::Duration;

use super::client::{self, Cost, PARTITIONS};
use super::{Measure, Turn};

/// Record sizes by name, and how many times as many records there are of them.
pub(crate) const SIZES: [(&str, usize, u32); 2] = [("1 KiB", 1024, 1), ("100 B", 100, 5)];
/// Before anything is measured, this part of the records goes through: Java compiles what is busy.
const WARM_UP: u32 = 5;
/// How long a broker is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

const WARM_UP_TOPIC: &str = "warm-up";

/// What is measured of a load, as it is called.
pub(crate) fn rate(what: &str, size: &str) -> String {
    format!("{what} {size}, records/s")
}

pub(crate) fn broker_cpu(what: &str, size: &str) -> String {
    format!("{what} {size}, broker's CPU µs per record")
}

pub(crate) fn client_cpu(what: &str, size: &str) -> String {
    format!("{what} {size}, client's CPU µs per record")
}

pub(crate) const PRODUCE: &str = "librdkafka produce";
pub(crate) const CONSUME: &str = "librdkafka consume";

/// Produces, then consumes the same.
#[allow(clippy::disallowed_methods, reason = "nothing else runs on this thread")]
pub(super) fn measure(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    let wants = |measure| turn.options.wants(measure);
    let (wants_produce, wants_consume, wants_memory) =
        (wants(Measure::Produce), wants(Measure::Consume), wants(Measure::Memory));
    let server = turn.place.start()?;
    let address = server.address;
    if wants_memory {
        std::thread::sleep(IDLE);
        turn.add("RSS idle, MiB", 1, server.rss_mib()?);
    }
    super::wire::make_topic(address, WARM_UP_TOPIC, PARTITIONS)?;
    for (size, bytes, times) in SIZES {
        let (topic, records) = (size.replace(' ', "-"), turn.options.records * times);
        super::wire::make_topic(address, &topic, PARTITIONS)?;
        client::produce(address, WARM_UP_TOPIC, records / WARM_UP, bytes)?;
        let cost = client::watch(&server, records, || client::produce(address, &topic, records, bytes))?;
        if wants_produce {
            add(turn, PRODUCE, size, cost);
        }
        if wants_consume {
            client::consume(address, WARM_UP_TOPIC, records / WARM_UP)?;
            let cost = client::watch(&server, records, || client::consume(address, &topic, records))?;
            add(turn, CONSUME, size, cost);
        }
    }
    if wants_memory {
        turn.add("RSS after the load, MiB", 1, server.rss_mib()?);
        turn.add("RSS at the most, MiB", 1, server.rss_peak_mib()?);
    }
    Ok(())
}

fn add(turn: &mut Turn<'_>, what: &str, size: &str, cost: Cost) {
    turn.add(rate(what, size), 0, cost.records_per_second);
    turn.add(broker_cpu(what, size), 2, cost.broker_cpu_micros);
    turn.add(client_cpu(what, size), 2, cost.client_cpu_micros);
}
