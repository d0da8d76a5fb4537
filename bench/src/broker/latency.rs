//! How long a record takes from its producer to a consumer that waits for it, while they come at a steady rate.

use std::net::SocketAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::client::{PARTITIONS, Producer, Reader};
use super::{Turn, wire};
use crate::summary::percentile;

/// Records a second.
const RATE: u32 = 1_000;
const BYTES: usize = 1024;
/// The producer's linger.ms, one after the other.
const LINGERS_MS: [u32; 2] = [0, 5];
/// Sent before anything is measured.
const WARM_UP_SECONDS: u32 = 5;
/// How long the records of the last second may wait, half of them at least, for the broker to have kept up.
const KEPT_UP_MICROS_MAX: u64 = 100_000;

pub(super) fn measure(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    let server = turn.place.start()?;
    for linger_ms in LINGERS_MS {
        let topic = format!("linger-{linger_ms}");
        wire::make_topic(server.address, &topic, PARTITIONS)?;
        let cpu_before = server.cpu_seconds()?;
        let records = (WARM_UP_SECONDS + turn.options.seconds) * RATE;
        let mut micros = travel(server.address, &topic, linger_ms, records)?;
        let cpu = server.cpu_seconds()? - cpu_before;
        let last_second = micros.split_off(micros.len() - usize::try_from(RATE)?);
        let has_kept_up = percentile(&sorted(&last_second), 50).is_some_and(|micros| micros <= KEPT_UP_MICROS_MAX);
        micros.extend(last_second);
        let measured = sorted(&micros[usize::try_from(WARM_UP_SECONDS * RATE)?..]);
        let ms = |percent| percentile(&measured, percent).context("no record was measured").map(millis);
        let (p50, p99, max) = (ms(50)?, ms(99)?, ms(100)?);
        turn.add(format!("end to end, linger {linger_ms}, p50, ms"), 2, p50);
        turn.add(format!("end to end, linger {linger_ms}, p99, ms"), 2, p99);
        turn.add(format!("end to end, linger {linger_ms}, longest, ms"), 1, max);
        let per_record = cpu * 1e6 / f64::from(records);
        turn.add(format!("end to end, linger {linger_ms}, broker's CPU µs per record"), 1, per_record);
        let contender = turn.contender();
        turn.figures.add_whether(contender, format!("end to end, linger {linger_ms}, kept up"), has_kept_up);
    }
    Ok(())
}

fn sorted(micros: &[u64]) -> Vec<u64> {
    let mut sorted = micros.to_vec();
    sorted.sort_unstable();
    sorted
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

/// Microseconds that each record took, in the order in which they were sent.
fn travel(address: SocketAddr, topic: &str, linger_ms: u32, records: u32) -> anyhow::Result<Vec<u64>> {
    let clock = Instant::now();
    let reader = Reader::open(address, topic, PARTITIONS)?;
    let (greeted, wait_for_greetings) = sync_channel(1);
    let reading = std::thread::spawn(move || read(&reader, clock, records, &greeted));
    let sent = send(address, topic, linger_ms, records, clock, || {
        wait_for_greetings.recv().context("the reader ended before it had read anything")
    });
    let micros = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    sent?;
    micros
}

/// Sends at the rate, whether what was sent before has arrived or not.
#[allow(clippy::disallowed_methods, reason = "this thread waits for the time of the next record")]
fn send(
    address: SocketAddr,
    topic: &str,
    linger_ms: u32,
    records: u32,
    clock: Instant,
    wait_for_reader: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut producer = Producer::open(address, topic, Some(linger_ms))?;
    producer.greet(PARTITIONS)?;
    wait_for_reader()?;
    let began = Instant::now();
    let mut payload = vec![0; BYTES];
    for number in 0..records {
        let due = Duration::from_secs(1) / RATE * number;
        if let Some(early) = due.checked_sub(began.elapsed()) {
            std::thread::sleep(early);
        }
        let stamp = Stamp { number, sent_micros: u64::try_from(clock.elapsed().as_micros())? };
        stamp.write(&mut payload)?;
        producer.send(&payload)?;
        producer.look();
    }
    producer.flush()
}

/// Reads everything, and tells when a record of each partition is there.
fn read(reader: &Reader, clock: Instant, records: u32, greeted: &SyncSender<()>) -> anyhow::Result<Vec<u64>> {
    for _ in 0..PARTITIONS {
        reader.next(|_| ())?;
    }
    greeted.send(())?;
    let mut micros = vec![0; usize::try_from(records)?];
    for _ in 0..records {
        let stamp = reader.next(Stamp::read)?.context("a record that nobody has sent")?;
        let now = u64::try_from(clock.elapsed().as_micros())?;
        let place = micros.get_mut(usize::try_from(stamp.number)?).context("a record that nobody has sent")?;
        *place = now.saturating_sub(stamp.sent_micros);
    }
    Ok(micros)
}

/// What a record says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    number: u32,
    sent_micros: u64,
}

impl Stamp {
    fn write(self, payload: &mut [u8]) -> anyhow::Result<()> {
        let place = payload.first_chunk_mut::<12>().context("a payload has place for a stamp")?;
        place[..4].copy_from_slice(&self.number.to_be_bytes());
        place[4..].copy_from_slice(&self.sent_micros.to_be_bytes());
        Ok(())
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (number, rest) = payload.split_first_chunk()?;
        let sent_micros = u64::from_be_bytes(*rest.first_chunk()?);
        Some(Self { number: u32::from_be_bytes(*number), sent_micros })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { number: 7, sent_micros: 1 << 40 };
        let mut payload = [0; 100];
        stamp.write(&mut payload).unwrap();
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(b"short"), None);
    }
}
