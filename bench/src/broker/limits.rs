//! What the machine can do at the most, by itself, and how much of it the brokers reach.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use anyhow::Context;

use super::figures::Figures;
use super::load::{CONSUME, PRODUCE, SIZES, broker_cpu, client_cpu, rate};
use super::server::Contender;

const MIB: u32 = 1024 * 1024;
const SYNC_SMALL: &str = "limit: 4 KiB appended and synced, times/s";
const SYNC: &str = "limit: appended and synced by 1 MiB, MB/s";
const SYNC_LARGE: &str = "limit: appended and synced by 16 MiB, MB/s";
const LOOPBACK: &str = "limit: one connection over loopback, MB/s";
const CRC: &str = "limit: CRC-32C on one core, MB/s";
const COPY: &str = "limit: copying on one core, MB/s";

const SYNCS_SMALL: u32 = 500;
const SYNCED_MIB: u32 = 512;
const LOOPBACK_MIB: u32 = 2_048;
const CORE_MIB: u32 = 4_096;
/// More than the processor's caches hold.
const COPIED_MIB: u32 = 64;
/// Both brokers check a batch once, and copy it from the socket and to the file, or from the file and to the socket.
const COPIES: f64 = 2.0;

/// Measures the machine once.
pub(super) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let mut add = |what, value| figures.add(Contender::Machine, what, 0, value);
    let seconds = syncs(4 * 1024, SYNCS_SMALL)?;
    add(SYNC_SMALL, f64::from(SYNCS_SMALL) / seconds);
    add(SYNC, megabytes(SYNCED_MIB) / syncs(MIB, SYNCED_MIB)?);
    add(SYNC_LARGE, megabytes(SYNCED_MIB) / syncs(16 * MIB, SYNCED_MIB / 16)?);
    add(LOOPBACK, megabytes(LOOPBACK_MIB) / loopback()?);
    add(CRC, megabytes(CORE_MIB) / checksums()?);
    add(COPY, megabytes(CORE_MIB) / copies()?);
    Ok(())
}

fn megabytes(mebibytes: u32) -> f64 {
    f64::from(mebibytes) * f64::from(MIB) / 1e6
}

/// Appends to a file and syncs it, over and over; seconds.
fn syncs(bytes: u32, times: u32) -> anyhow::Result<f64> {
    let block = vec![b'x'; usize::try_from(bytes)?];
    let mut file = tempfile::tempfile()?;
    let began = Instant::now();
    for _ in 0..times {
        file.write_all(&block)?;
        file.sync_data()?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Sends from one thread to another over loopback; seconds.
fn loopback() -> anyhow::Result<f64> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let began = Instant::now();
    let sending = std::thread::spawn(move || {
        let block = vec![b'x'; 256 * 1024];
        (0..LOOPBACK_MIB * 4).try_for_each(|_| sender.write_all(&block))
    });
    let mut block = vec![0; 256 * 1024];
    while receiver.read(&mut block)? > 0 {}
    sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    Ok(began.elapsed().as_secs_f64())
}

/// The checksum of a batch as large as a large one, over and over; seconds.
fn checksums() -> anyhow::Result<f64> {
    let block = vec![b'x'; usize::try_from(MIB)?];
    let began = Instant::now();
    for _ in 0..CORE_MIB {
        black_box(crc32c::crc32c(black_box(&block)));
    }
    Ok(began.elapsed().as_secs_f64())
}

/// From memory to memory; seconds.
fn copies() -> anyhow::Result<f64> {
    let from = vec![b'x'; usize::try_from(COPIED_MIB * MIB)?];
    let mut to = vec![b'y'; from.len()];
    let began = Instant::now();
    for _ in 0..CORE_MIB / COPIED_MIB {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    }
    Ok(began.elapsed().as_secs_f64())
}

/// What the brokers reached of it, as far as they were measured.
pub(super) fn compare(figures: &mut Figures) -> anyhow::Result<()> {
    let [sync, loopback] = [figures.limit(SYNC_LARGE)?, figures.limit(LOOPBACK)?];
    let floor_micros_per_byte = 1.0 / figures.limit(CRC)? + COPIES / figures.limit(COPY)?;
    let cores = f64::from(u32::try_from(std::thread::available_parallelism()?.get())?);
    for (what, pipe, limit) in [(PRODUCE, "synced disk", sync), (CONSUME, "loopback", loopback)] {
        for (size, bytes, _) in SIZES {
            let bytes = f64::from(u32::try_from(bytes).context("a record is small")?);
            for contender in [Contender::Techleet, Contender::Kafka, Contender::KafkaFsync] {
                let median = |name: String| figures.median(contender, &name);
                let (Some(rate), Some(broker), Some(client)) =
                    (median(rate(what, size)), median(broker_cpu(what, size)), median(client_cpu(what, size)))
                else {
                    continue;
                };
                let mut add = |name: String, share: f64| figures.add_percent(contender, name, share * 100.0);
                add(format!("{what} {size}, % of {pipe}"), rate * bytes / 1e6 / limit);
                add(format!("{what} {size}, % of all cores, client included"), rate * (broker + client) / 1e6 / cores);
                add(
                    format!("{what} {size}, checking and copying, % of the broker's CPU"),
                    floor_micros_per_byte * bytes / broker,
                );
            }
        }
    }
    Ok(())
}
