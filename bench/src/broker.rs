//! The broker and Apache Kafka in turn: the same clients on the same machine, so that the ratios count although both
//! drift with it.

mod client;
mod figures;
mod flat;
mod java;
mod kafka;
mod latency;
mod limits;
mod load;
mod partitions;
mod server;
mod start;
mod wire;

use anyhow::ensure;
use clap::{Args, ValueEnum};

use crate::peer::say;
use crate::report::{self, Format};
use figures::Figures;
use kafka::Library;
use server::{Contender, Place};

/// What is measured, and how much of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What is measured; several may be named
    #[arg(value_enum, required = true)]
    measures: Vec<Measure>,
    /// How often each is measured, one after the other
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    rounds: u16,
    /// Who is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Contender::Techleet, Contender::Kafka, Contender::KafkaFsync])]
    brokers: Vec<Contender>,
    /// Records of 1 KiB that are produced and consumed; of 100 bytes five times as many, by the Java client half as many
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    records: u32,
    /// How long records are sent for `latency`, after five seconds that are not measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// What is stored when a broker is started again for `start`, in GB
    #[arg(long, value_name = "GB", default_value = "2", value_parser = megabytes)]
    stored_gb: u32,
    /// The largest log for `flat`, in GB
    #[arg(long, value_name = "GB", default_value = "10", value_parser = megabytes)]
    gb: u32,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Everything below
    All,
    /// Records a second that librdkafka produces, and what one costs
    Produce,
    /// Records a second that librdkafka consumes, and what one costs
    Consume,
    /// The same with the Java client, through Apache Kafka's own tools
    Java,
    /// From the producer to the consumer, at 1,000 records a second
    Latency,
    /// From the start of the process to the first acknowledged record
    Start,
    /// Memory: idle, after a load, with many partitions and connections
    Memory,
    /// What a record costs in logs from 1 MB on
    Flat,
    /// What disk, loopback and processor can do, and how much of it is reached
    Limits,
}

impl Options {
    fn wants(&self, measure: Measure) -> bool {
        self.measures.contains(&measure) || self.measures.contains(&Measure::All)
    }
}

/// One contender's turn at something.
struct Turn<'a> {
    options: &'a Options,
    place: Place,
    figures: &'a mut Figures,
}

impl Turn<'_> {
    fn contender(&self) -> Contender {
        self.place.contender
    }

    /// Adds what was measured in this turn.
    fn add(&mut self, what: impl Into<String>, digits: usize, value: f64) {
        self.figures.add(self.place.contender, what, digits, value);
    }
}

/// What a contender does in its turn.
type Measuring = fn(&mut Turn<'_>) -> anyhow::Result<()>;

/// Measures and prints; a turn that fails is told of, and the others go on.
pub(crate) async fn run(options: Options, format: Format) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let figures = measure(&options)?;
        report::print(format, &figures)?;
        let failed = figures.failures();
        ensure!(failed == 0, "{failed} turns failed: stderr says which and why");
        Ok(())
    })
    .await?
}

fn measure(options: &Options) -> anyhow::Result<Figures> {
    let needs_library =
        options.wants(Measure::Java) || options.brokers.iter().any(|contender| *contender != Contender::Techleet);
    let library = if needs_library { Some(Library::fetch()?) } else { None };
    let mut figures = Figures::new(options.rounds);
    let load = [Measure::Produce, Measure::Consume, Measure::Memory].iter().any(|measure| options.wants(*measure));
    let turns: [(&str, bool, Measuring); 6] = [
        ("librdkafka", load, load::measure),
        ("Java client", options.wants(Measure::Java), java::measure),
        ("latency", options.wants(Measure::Latency), latency::measure),
        ("start", options.wants(Measure::Start), start::measure),
        ("partitions and connections", options.wants(Measure::Memory), partitions::measure),
        ("log size", options.wants(Measure::Flat), flat::measure),
    ];
    for (name, _, measuring) in turns.into_iter().filter(|(_, is_wanted, _)| *is_wanted) {
        for round in 1..=options.rounds {
            for contender in &options.brokers {
                say(&format!("{name}, round {round} of {}: {}", options.rounds, contender.name()))?;
                // What the one before has left to be written would be written at this one's expense.
                rustix::fs::sync();
                let mut turn = Turn { options, place: Place::new(*contender, library.clone())?, figures: &mut figures };
                let measured = measuring(&mut turn);
                if let Err(why) = measured {
                    let log = turn.place.log_tail();
                    figures.fail(&format!("{name}, round {round}, {}: {why:#}{log}", contender.name()))?;
                }
            }
        }
    }
    if options.wants(Measure::Limits) {
        for _ in 0..options.rounds {
            rustix::fs::sync();
            limits::measure(&mut figures)?;
        }
        limits::compare(&mut figures)?;
    }
    Ok(figures)
}

/// Gigabytes with up to three digits after the point, in megabytes.
fn megabytes(text: &str) -> Result<u32, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 3 {
        return Err("give gigabytes with up to three digits after the point, as in 0.5".to_owned());
    }
    match format!("{whole}{part:0<3}").parse() {
        Ok(megabytes @ 1..=1_000_000) => Ok(megabytes),
        _ => Err("give from 0.001 to 1000 gigabytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gigabytes_may_have_a_part() {
        assert_eq!(megabytes("2"), Ok(2_000));
        assert_eq!(megabytes("0.05"), Ok(50));
        assert!(megabytes("0").is_err());
        assert!(megabytes("-1").is_err());
        assert!(megabytes("0.0001").is_err());
    }
}
