//! The Java client, through the tools that Apache Kafka has for it, with the client's defaults.

use anyhow::Context;

use super::client::PARTITIONS;
use super::load::SIZES;
use super::server::Server;
use super::{Turn, wire};

const PRODUCER: &str = "org.apache.kafka.tools.ProducerPerformance";
const CONSUMER: &str = "org.apache.kafka.tools.ConsumerPerformance";
/// It is slower than librdkafka: this part of the records is enough.
const SHARE: u32 = 2;
/// The tool starts Java anew, so the broker is what is warmed up.
const WARM_UP: u32 = 10;

/// How long the consumer waits for the next record.
const READ_MAX_MS: &str = "60000";

pub(super) fn measure(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    let server = turn.place.start()?;
    let address = server.address.to_string();
    for (size, bytes, times) in SIZES {
        let topic = size.replace(' ', "-");
        let records = turn.options.records * times / SHARE;
        wire::make_topic(server.address, &topic, PARTITIONS)?;
        wire::make_topic(server.address, "warm-up", PARTITIONS)?;
        let produce = |topic: &str, records: u32| {
            let (records, bytes) = (records.to_string(), bytes.to_string());
            turn.place.library()?.tool(
                PRODUCER,
                &[
                    "--bootstrap-server",
                    &address,
                    "--topic",
                    topic,
                    "--num-records",
                    &records,
                    "--record-size",
                    &bytes,
                    "--throughput",
                    "-1",
                    "--command-property",
                    "acks=all",
                ],
            )
        };
        produce("warm-up", records / WARM_UP)?;
        let (printed, produced_cpu) = costing(&server, records, || produce(&topic, records))?;
        let produced = produced(&printed).with_context(|| format!("no rate in what {PRODUCER} printed: {printed}"))?;
        let number = records.to_string();
        let consume = || {
            turn.place.library()?.tool(
                CONSUMER,
                &[
                    "--bootstrap-server",
                    &address,
                    "--topic",
                    &topic,
                    "--num-records",
                    &number,
                    "--timeout",
                    READ_MAX_MS,
                ],
            )
        };
        let (printed, consumed_cpu) = costing(&server, records, consume)?;
        let consumed = consumed(&printed).with_context(|| format!("no rate in what {CONSUMER} printed: {printed}"))?;
        turn.add(format!("Java producer {size}, records/s"), 0, produced);
        turn.add(format!("Java producer {size}, broker's CPU µs per record"), 2, produced_cpu);
        turn.add(format!("Java consumer {size}, fetch only, records/s"), 0, consumed);
        turn.add(format!("Java consumer {size}, broker's CPU µs per record"), 2, consumed_cpu);
    }
    Ok(())
}

/// What a tool printed, and what each of its records cost the broker.
fn costing(
    server: &Server,
    records: u32,
    tool: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<(String, f64)> {
    let before = server.cpu_seconds()?;
    let printed = tool()?;
    Ok((printed, (server.cpu_seconds()? - before) * 1e6 / f64::from(records)))
}

/// Records a second: the last line is of the whole run.
fn produced(printed: &str) -> Option<f64> {
    let line = printed.lines().rev().find(|line| line.contains(" records sent, "))?;
    let (_, rest) = line.split_once(" records sent, ")?;
    rest.split_once(" records/sec")?.0.trim().parse().ok()
}

/// Records a second without the time that it took to join the group.
fn consumed(printed: &str) -> Option<f64> {
    let mut lines = printed.lines().skip_while(|line| !line.contains("fetch.nMsg.sec"));
    let column = lines.next()?.split(',').position(|heading| heading.trim() == "fetch.nMsg.sec")?;
    lines.next()?.split(',').nth(column)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_the_producer_is_that_of_the_last_line() {
        let printed = "300000 records sent, 59988.0 records/sec (58.58 MB/sec), 10.0 ms avg latency, 1 ms max latency.\n\
            500000 records sent, 61234.5 records/sec (59.80 MB/sec), 400.12 ms avg latency, 600.00 ms max latency, \
            1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.\n";
        assert_eq!(produced(printed), Some(61234.5));
        assert_eq!(produced("nothing"), None);
    }

    #[test]
    fn the_rate_of_the_consumer_leaves_out_its_group() {
        let printed = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
            rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-11-25 10:00:00:000, 2026-11-25 10:00:02:000, 488.2, 244.1, 500000, 250000.0, 200, 1800, 271.2, 277777.7\n";
        assert_eq!(consumed(printed), Some(277_777.7));
        assert_eq!(consumed("nothing"), None);
    }
}
