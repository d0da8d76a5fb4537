//! From the start of a broker's process to its first acknowledged record: on nothing, and on what a stop or a kill left.

use std::time::Instant;

use anyhow::ensure;

use super::client::{self, PARTITIONS};
use super::server::{Contender, Place, Server};
use super::wire::{self, Wire};
use super::{Turn, kafka};

const TOPIC: &str = "first";
const RECORD_BYTES: u32 = 1024;
const BYTES_PER_MB: u64 = 1_000_000;

pub(super) fn measure(turn: &mut Turn<'_>) -> anyhow::Result<()> {
    if turn.contender() != Contender::Techleet {
        let library = turn.place.library()?.clone();
        with_format(turn, library)?;
    }
    turn.place.format()?;
    let began = Instant::now();
    let mut server = turn.place.spawn()?;
    acknowledge(&mut server, began, true)?;
    turn.add("start, empty, ms", 0, millis(began));

    let stored_mb = turn.options.stored_gb;
    let records = records_of(stored_mb, RECORD_BYTES)?;
    client::produce(server.address, TOPIC, records, usize::try_from(RECORD_BYTES)?)?;
    let stored = format!("{} GB stored", f64::from(stored_mb) / 1000.0);
    server.kill()?;
    let began = Instant::now();
    let mut server = turn.place.spawn()?;
    acknowledge(&mut server, began, false)?;
    turn.add(format!("start, after kill -9, {stored}, ms"), 0, millis(began));

    server.stop()?;
    let began = Instant::now();
    let mut server = turn.place.spawn()?;
    acknowledge(&mut server, began, false)?;
    turn.add(format!("start, after a stop, {stored}, ms"), 0, millis(began));
    Ok(())
}

/// What a user waits who starts Apache Kafka for the first time, in a place of its own.
fn with_format(turn: &mut Turn<'_>, library: kafka::Library) -> anyhow::Result<()> {
    let place = Place::new(turn.contender(), Some(library))?;
    let began = Instant::now();
    place.format()?;
    let mut server = place.spawn()?;
    acknowledge(&mut server, began, true)?;
    turn.add("start, empty and with format, ms", 0, millis(began));
    Ok(())
}

/// How many records of this size make so many megabytes.
pub(super) fn records_of(megabytes: u32, record_bytes: u32) -> anyhow::Result<u32> {
    Ok(u32::try_from(u64::from(megabytes) * BYTES_PER_MB / u64::from(record_bytes))?)
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

/// Asks until the broker has acknowledged a record.
fn acknowledge(server: &mut Server, began: Instant, makes_topic: bool) -> anyhow::Result<()> {
    let address = server.address;
    let mut wire = None;
    let mut has_topic = !makes_topic;
    loop {
        let mut asked = match wire.take() {
            Some(wire) => Ok(wire),
            None => Wire::connect(address),
        };
        let answer = asked.as_mut().map_err(|error| anyhow::anyhow!("{error:#}")).and_then(|wire| {
            if !has_topic {
                let code = wire.create_topic(TOPIC, PARTITIONS)?;
                ensure!(code == 0, "error code {code}");
                has_topic = true;
            }
            wire.produce(TOPIC, 0, wire::batch(usize::try_from(RECORD_BYTES)?)?)
        });
        if matches!(answer, Ok(0)) {
            return Ok(());
        }
        // A connection that has been answered is a good one.
        wire = asked.ok().filter(|_| answer.is_ok());
        server.look(began)?;
    }
}
