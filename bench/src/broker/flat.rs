//! What a record costs in a small log and in a large one: written at its end, read from its beginning, and found at any
//! offset.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::client;
use super::server::Server;
use super::wire::{self, Wire};
use super::{Turn, start};

const TOPIC: &str = "log";
/// What is done before anything is measured is done here: Java compiles what is busy.
const WARM_UP_TOPIC: &str = "warm-up";
/// One partition, so that it is one log.
const PARTITIONS: i32 = 1;
const RECORD_BYTES: u32 = 1024;
/// From a size to the next one that is looked at.
const SIZES_MB: [u32; 5] = [1, 100, 1_000, 10_000, 100_000];

/// Records that are written at each size.
const WRITTEN: u32 = 65_536;
/// Records that are read from the beginning on, again and again where there are fewer.
const READ: u32 = 1_048_576;
/// Records that are looked for at one offset after the other.
const FOUND: u32 = 2_000;
const FETCH_BYTES_MAX: i32 = 1024 * 1024;
/// A large odd number: its multiples are all over the log.
const STRIDE: i64 = 2_654_435_761;

pub(super) fn measure(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    let largest = turn.options.gb;
    let smaller = SIZES_MB.into_iter().filter(|size| *size < largest);
    let server = turn.place.start()?;
    wire::make_topic(server.address, TOPIC, PARTITIONS)?;
    warm_up(&server)?;
    let mut stored = 0;
    for size_mb in smaller.chain([largest]) {
        let wanted = start::records_of(size_mb, RECORD_BYTES)?;
        if wanted > stored {
            client::produce(server.address, TOPIC, wanted - stored, usize::try_from(RECORD_BYTES)?)?;
            // The producer's greeting is one more.
            stored = wanted + 1;
        }
        stored += probe(turn, &server, size_mb, stored)?;
    }
    Ok(())
}

/// Has everything done once that is measured, on another topic.
fn warm_up(server: &Server) -> anyhow::Result<()> {
    wire::make_topic(server.address, WARM_UP_TOPIC, PARTITIONS)?;
    client::produce(server.address, WARM_UP_TOPIC, WRITTEN, usize::try_from(RECORD_BYTES)?)?;
    let mut wire = Wire::connect(server.address)?;
    read(&mut wire, WARM_UP_TOPIC, WRITTEN + 1, READ)?;
    find(&mut wire, WARM_UP_TOPIC, WRITTEN + 1)?;
    Ok(())
}

/// Measures at one size; how many records were added.
fn probe(turn: &mut Turn<'_>, server: &Server, size_mb: u32, stored: u32) -> anyhow::Result<u32> {
    let size = if size_mb < 1_000 { format!("{size_mb} MB") } else { format!("{} GB", f64::from(size_mb) / 1000.0) };
    let mut wire = Wire::connect(server.address)?;

    forget(turn.place.folder())?;
    let cold = stored.min(READ / 4);
    let took = read(&mut wire, TOPIC, stored, cold)?;
    turn.add(format!("log of {size}, read from disk, µs per record"), 2, micros(took, cold));

    let before = server.cpu_seconds()?;
    let took = read(&mut wire, TOPIC, stored, READ)?;
    turn.add(format!("log of {size}, read from memory, µs per record"), 2, micros(took, READ));
    let cpu = (server.cpu_seconds()? - before) * 1e6 / f64::from(READ);
    turn.add(format!("log of {size}, read from memory, broker's CPU µs per record"), 2, cpu);

    let took = find(&mut wire, TOPIC, stored)?;
    turn.add(format!("log of {size}, fetch at any offset, µs"), 0, micros(took, FOUND));

    let bytes = usize::try_from(RECORD_BYTES)?;
    let cost = client::watch(server, WRITTEN, || client::produce(server.address, TOPIC, WRITTEN, bytes))?;
    turn.add(format!("log of {size}, produce, µs per record"), 2, 1e6 / cost.records_per_second);
    turn.add(format!("log of {size}, produce, broker's CPU µs per record"), 2, cost.broker_cpu_micros);
    turn.add(format!("log of {size}, RSS, MiB"), 1, server.rss_mib()?);
    Ok(WRITTEN + 1)
}

fn micros(took: Duration, records: u32) -> f64 {
    took.as_secs_f64() * 1e6 / f64::from(records)
}

/// Reads from the beginning, and from the beginning again at the end.
fn read(wire: &mut Wire, topic: &str, stored: u32, records: u32) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let (mut left, mut offset) = (i64::from(records), 0);
    while left > 0 {
        let next = wire::next_offset(&wire.fetch(topic, 0, offset, FETCH_BYTES_MAX)?)?;
        left -= next - offset;
        offset = if next >= i64::from(stored) { 0 } else { next };
    }
    Ok(began.elapsed())
}

/// Fetches the batch at one offset after the other, all over the log.
fn find(wire: &mut Wire, topic: &str, stored: u32) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for number in 0..FOUND {
        wire.fetch(topic, 0, i64::from(number) * STRIDE % i64::from(stored), 1)?;
    }
    Ok(began.elapsed())
}

/// Has the operating system forget what it holds of a folder's files.
fn forget(folder: &Path) -> anyhow::Result<()> {
    rustix::fs::sync();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                fadvise(File::open(path)?, 0, None, Advice::DontNeed)?;
            }
        }
    }
    Ok(())
}
