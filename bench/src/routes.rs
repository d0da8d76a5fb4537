//! The routing job on our container, on Apache Camel and on Benthos in turn: events become notifications and audit
//! records, the broken ones dead letters; what came out is the same for all, or the run fails.

mod contender;
mod idle;
mod job;
mod outcome;
mod reload;
mod table;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use e2e::system::{BROKER, Layout, System};
use eventkit::transport::kafka::{KafkaConfig, TopicSpec, ensure_topics};

use crate::peer::{make_topics, say};
use crate::process;
use crate::report::{self, Format};
use contender::{Contender, Program};
use table::Figures;

/// What is measured, and how much of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Events that are there when a router starts
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    events: u32,
    /// How often each is measured, one after the other
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    rounds: u16,
    /// Who is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = contender::ALL)]
    routers: Vec<Contender>,
    /// Leave out how soon a changed file counts, and what idle routes cost
    #[arg(long)]
    job_only: bool,
}

/// How long a router is left alone before its idle time is measured, and for how long that is.
const REST: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(10);

/// Measures and prints.
pub(crate) async fn run(options: Options, format: Format) -> anyhow::Result<()> {
    let mut figures = Figures::new(options.rounds);
    let mut programs = Vec::new();
    for router in &options.routers {
        match Program::prepare(*router)? {
            Ok(program) => programs.push(program),
            Err(why) => say(&format!("left out: {}: {why}", router.name()))?,
        }
    }
    for round in 1..=options.rounds {
        for program in &programs {
            let router = program.contender;
            say(&format!("round {round} of {}: {}", options.rounds, router.name()))?;
            job(program, options.events / router.share(), &mut figures)
                .await
                .with_context(|| format!("round {round}: {}", router.name()))?;
        }
    }
    if !options.job_only && options.routers.contains(&Contender::Techleet) {
        for round in 1..=options.rounds {
            say(&format!("round {round} of {}: changed files and idle routes", options.rounds))?;
            reload::measure(&mut figures).await?;
            idle::measure(&mut figures).await?;
        }
    }
    report::print(format, &figures)
}

/// A broker with topics and nothing else, for one turn.
async fn broker(folder: &std::path::Path) -> anyhow::Result<System> {
    let mut system = System::prepare(Layout::Apart, folder, &[]).await?;
    system.start_process(BROKER).await?;
    make_topics(&system.broker()).await?;
    let config = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let topic = |name: &str| TopicSpec { name: name.to_owned(), partitions: job::PARTITIONS, settings: [].into() };
    ensure_topics(&config, &job::TOPICS.map(topic)).await?;
    Ok(system)
}

/// One turn of one router: everything new, the events there before it starts.
async fn job(program: &Program, events: u32, figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut system = broker(folder.path()).await?;
    let expected = job::fill(&system.broker(), events)?;
    rustix::fs::sync();
    let outputs = expected.count;
    let watching = outcome::Watching::start(&system.broker(), outputs)?;

    let began = Instant::now();
    let router = program.start(&mut system, folder.path()).await?;
    watching.follow(router.process_id);
    let seen = watching.seen().await.map_err(|error| error.context(router.log_tail()))?;
    ensure!(seen.outputs == expected, "it wrote {:?}, and {expected:?} was to come", seen.outputs);

    let name = program.contender;
    let share = f64::from(events) / f64::from(outputs);
    let steady = f64::from(seen.steady_outputs) * share;
    figures.add(name, table::RATE, steady / seen.steady.as_secs_f64());
    figures.add(name, table::PER_CPU_SECOND, steady / seen.steady_cpu_seconds);
    let all = process::cpu_seconds(router.process_id)?;
    figures.add(name, table::PER_CPU_SECOND_IN_ALL, f64::from(events) / all);
    figures.add(name, table::FIRST_OUT, (seen.first - began).as_secs_f64() * 1_000.0);
    tokio::time::sleep(REST).await;
    let before = process::cpu_seconds(router.process_id)?;
    tokio::time::sleep(IDLE).await;
    let idle = process::cpu_seconds(router.process_id)? - before;
    figures.add(name, table::IDLE_CPU, idle / IDLE.as_secs_f64() * 1_000.0);
    figures.add(name, table::RSS_MAX, process::rss_peak_mib(router.process_id)?);
    ensure!(outcome::more(&system.broker(), outputs)? == 0, "it wrote something twice");
    figures.note_hash(&seen.outputs);
    router.stop(&mut system).await?;
    system.stop().await
}
