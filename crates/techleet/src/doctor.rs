//! `techleet doctor`: what is wrong, on this machine and in the cluster, and for each finding what to do.

mod local;

use std::time::Duration;

use anyhow::anyhow;
use chassis::Settings;
use clap::Args;
use eventkit::Clock;
use eventkit::transport::kafka::KafkaConfig;
use ops::Kafka;
use ops::health::{Finding, Status, check_groups};

use crate::cli::{Format, Output};
use crate::exit::{Class, classified};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How long groups are watched, to tell slow ones from those that stand still.
    #[arg(long, default_value_t = 3000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    watch_ms: u64,
    #[command(flatten)]
    output: Output,
}

/// Checks everything and tells what was found; something wrong ends with code 4.
pub(crate) async fn doctor(settings: &Settings, args: DoctorArgs) -> anyhow::Result<()> {
    let mut findings = local::check(settings).await?;
    findings.extend(cluster(settings.section("kafka")?, Duration::from_millis(args.watch_ms)).await?);
    match args.output.format {
        Format::Json => output::rows(Format::Json, &findings, Vec::new)?,
        Format::Text => findings.iter().flat_map(told).try_for_each(|line| output::line(&line))?,
    }
    match findings.iter().filter(|finding| finding.status == Status::Wrong).count() {
        0 => Ok(()),
        1 => Err(classified(Class::CheckFailed, anyhow!("one thing is wrong"))),
        wrong => Err(classified(Class::CheckFailed, anyhow!("{wrong} things are wrong"))),
    }
}

/// What the cluster has to say; when it does not answer, just that.
async fn cluster(config: KafkaConfig, watch: Duration) -> anyhow::Result<Vec<Finding>> {
    let kafka = Kafka::new(config)?;
    let (broker, cluster) = kafka.check_broker().await;
    let mut findings = vec![broker];
    let Some(cluster) = cluster else { return Ok(findings) };
    let unchecked = |check: &str, error: ops::Error| {
        Finding::warning(check, format!("could not be checked: {}", eventkit::chain(&error)), "see the broker's log")
    };
    match kafka.check_topics(&cluster).await {
        Ok(topics) => findings.extend(topics),
        Err(error) => findings.push(unchecked("topics", error)),
    }
    match kafka.check_clock(&Clock::system()).await {
        Ok(clock) => findings.push(clock),
        Err(error) => findings.push(unchecked("clock", error)),
    }
    let earlier = kafka.sample_groups().await;
    if earlier.as_ref().is_ok_and(|sample| sample.is_any_behind()) {
        tokio::time::sleep(watch).await;
    }
    match (earlier, kafka.sample_groups().await) {
        (Ok(earlier), Ok(later)) => findings.extend(check_groups(&earlier, &later, watch)),
        (Err(error), _) | (_, Err(error)) => findings.push(unchecked("groups", error)),
    }
    Ok(findings)
}

fn told(finding: &Finding) -> Vec<String> {
    let mark = match finding.status {
        Status::Ok => "ok",
        Status::Warning => "look",
        Status::Wrong => "WRONG",
    };
    let mut lines = vec![format!("{mark:<7}{}: {}", finding.check, finding.message)];
    lines.extend(finding.advice.as_ref().map(|advice| format!("       -> {advice}")));
    lines
}
