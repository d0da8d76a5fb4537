//! `techleet demo`: tells the hiring story to a running system, at any size, and checks that all of it arrived.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use chassis::Settings;
use chassis::lifecycle::asked_to_stop;
use clap::Args;
use demo::{Addresses, Left, Plan, Progress, Story};
use eventkit::Clock;
use eventkit::transport::kafka::KafkaConfig;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::Format;
use crate::exit::{Class, classified};
use crate::kafka::connect;
use crate::{operator, output};

/// How long after its end the story's events may take to be on their topics.
const ARRIVE_MAX: Duration = Duration::from_secs(60);

/// How large the story is.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Companies, each with a headquarters and two departments.
    #[arg(long, default_value_t = 2, value_name = "N")]
    companies: usize,
    /// Employees in all; at least three a company.
    #[arg(long, default_value_t = 20, value_name = "N")]
    employees: usize,
    /// Job postings in all.
    #[arg(long, default_value_t = 4, value_name = "N")]
    jobs: usize,
    /// Applications in all; at least three a posting.
    #[arg(long, default_value_t = 24, value_name = "N")]
    applications: usize,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 16, value_name = "N")]
    concurrency: usize,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Tells the story and reports how fast it went; fails if an event is missing or out of order.
pub(crate) async fn demo(settings: &Settings, args: DemoArgs) -> anyhow::Result<()> {
    let token = operator::token(settings)?;
    // The story reads its mails' events: without a broker it would wait for them.
    connect(settings).await?;
    let kafka: KafkaConfig = settings.section("kafka")?;
    let now_ms = Clock::system().now_ms();
    let plan = Plan {
        companies: args.companies,
        employees: args.employees,
        jobs: args.jobs,
        applications: args.applications,
        concurrency: args.concurrency,
    };
    let (progress, bar) = progress();
    let story = Story {
        addresses: addresses(settings)?,
        kafka: kafka.clone(),
        operator_token: token.expose().to_owned(),
        now_ms,
        plan,
        progress,
    };
    let began = Instant::now();
    let told = demo::tell_until(story, asked_to_stop()).await.context("the story could not be told")?;
    let told_in = began.elapsed();
    let left = told.dismiss_administrator().await.with_context(|| {
        let employee_id = told.administrator_id();
        format!("the story is told, and its administrator, employee {employee_id}, has to be removed by hand")
    })?;
    bar.suspend(|| tell_of_administrator(left));
    bar.set_message("looking for its events");
    let found = tokio::select! {
        found = demo::check::look(&kafka, now_ms, &told.ledger, ARRIVE_MAX) => found?,
        () = asked_to_stop() => return Err(anyhow!("stopped before its events were found; the story is told")),
    };
    let arrived_in = began.elapsed();
    bar.finish_and_clear();
    let differences = found.differences(&told.ledger);
    let (events, requests) = (told.ledger.events(), told.requests);
    let events_per_s = per_second(events, arrived_in);
    match args.format {
        Format::Json => output::line(
            &json!({
                "requests": requests, "events": events, "seconds": arrived_in.as_secs_f64(),
                "eventsPerSecond": events_per_s, "repeated": found.repeated, "differences": differences,
            })
            .to_string(),
        )?,
        Format::Text => {
            output::line(&format!(
                "told in {:.1} s with {requests} requests; {events} events on their topics after {:.1} s: {events_per_s:.0} events/s",
                told_in.as_secs_f64(),
                arrived_in.as_secs_f64()
            ))?;
            for difference in &differences {
                output::line(difference)?;
            }
        }
    }
    match differences.len() {
        0 => Ok(()),
        1 => Err(classified(Class::CheckFailed, anyhow!("1 key does not have the events that it should have"))),
        wrong => {
            Err(classified(Class::CheckFailed, anyhow!("{wrong} keys do not have the events that they should have")))
        }
    }
}

/// Says that the story's administrator is still there, if it is.
fn tell_of_administrator(left: Left) {
    if let Left::Alone { employee_id } = left {
        output::say(&format!(
            "the story's administrator, employee {employee_id}, stays: it is the only one, and nobody knows its password; \
             remove it when there is another"
        ));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(events: usize, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}

fn addresses(settings: &Settings) -> anyhow::Result<Addresses> {
    let url = |key: &str| anyhow::Ok(format!("http://{}", settings.get::<String>(key)?));
    Ok(Addresses {
        users: url("user_service.listen")?,
        companies: url("company_service.listen")?,
        recruitment: url("recruitment_service.listen")?,
    })
}

/// A bar on stderr where a person looks, and nothing elsewhere.
fn progress() -> (Progress, ProgressBar) {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(1) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}");
    bar.set_style(style.expect("the template is valid"));
    let shown = bar.clone();
    let progress = Arc::new(move |done: usize, all: usize| {
        shown.set_length(u64::try_from(all).unwrap_or(u64::MAX));
        shown.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    });
    (progress, bar)
}
