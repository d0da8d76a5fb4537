//! `techleet events replay`: a service's stored events once more, previewed and at a rate.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::str::FromStr;

use anyhow::anyhow;
use chassis::Settings;
use clap::Args;
use eventkit::{Clock, envelope};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ops::replay::{Previewed, SampleEvent, Selection, Target};

use crate::cli::{Format, Output, PartName};
use crate::exit::usage;
use crate::operator::{part, refused};
use crate::output;
use crate::render::{Columns, counted, or_nothing};
use crate::when::When;

pub(super) const EXAMPLES: &str = "\
Examples:
  techleet events replay --service user-service --to-topic trials            what would be told
  techleet events replay --service user-service --to-topic trials --yes      do it
  techleet events replay --service user-service --type user.created --from 2h --group company-service --yes
  techleet events replay --service company-service --entity company-1 --from 1 --to 500 --rate 100 \\
    --to-topic trials --yes";

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The service whose stored events are told again.
    #[arg(long, value_enum, value_name = "SERVICE")]
    service: PartName,
    /// From this position on, or not before this time: 1200, 2026-11-24T02:05:27Z, or 2h for two hours ago.
    #[arg(long, value_name = "POSITION|TIME")]
    from: Option<Bound>,
    /// Up to this position, or before this time.
    #[arg(long, value_name = "POSITION|TIME")]
    to: Option<Bound>,
    /// Events of this type, for example user.created.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Events about this entity, by its key: user-42.
    #[arg(long, value_name = "KEY")]
    entity: Option<String>,
    /// To this topic instead of their own.
    #[arg(long, value_name = "TOPIC", required_unless_present = "group")]
    to_topic: Option<String>,
    /// To their own topics (or --to-topic), for this consumer group alone; others pass them over.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// So many events a second at the most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Do it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

/// A place in a store, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Position(i64),
    Time(When),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<i64>() {
            Ok(position) if position >= 1 => Ok(Self::Position(position)),
            Ok(_) => Err("positions begin with 1".to_owned()),
            Err(_) => text.parse().map(Self::Time).map_err(|error| format!("a position, or {error}")),
        }
    }
}

pub(super) async fn run(settings: &Settings, args: ReplayArgs) -> anyhow::Result<()> {
    let service = part(settings, args.service)?;
    let selection = selection(&args, Clock::system().now())?;
    let target = Target { topic: args.to_topic.clone(), group: args.group.clone() };
    let found = service.preview(&selection).await.map_err(refused)?;
    let Some(up_to) = found.preview.last_position.filter(|_| args.yes) else {
        output::document(args.output.format, &found, || shown(&found))?;
        let events = counted(found.events(), "event");
        output::say(&format!("{events} would be told again {}; add --yes to do it", towards(&target)));
        return Ok(());
    };
    let bar = bar(found.events());
    let reached = Cell::new(selection.after_position);
    let told = service.replay(&selection, &target, up_to, args.rate, |progress| {
        bar.set_position(progress.events);
        reached.set(progress.position);
    });
    let replayed = tokio::select! {
        told = told => told.map_err(refused),
        () = chassis::lifecycle::asked_to_stop() => Err(anyhow!("stopped; --from {} goes on", reached.get() + 1)),
    };
    bar.finish_and_clear();
    let replayed = replayed?;
    match args.output.format {
        Format::Json => output::line(&serde_json::to_string(&replayed)?),
        Format::Text => {
            let told = counted(replayed.events, "event");
            output::line(&format!("told {told} again {}, up to position {}", towards(&target), replayed.position))
        }
    }
}

fn selection(args: &ReplayArgs, now: Timestamp) -> anyhow::Result<Selection> {
    let mut selection =
        Selection { event_type: args.event_type.clone(), key: args.entity.clone(), ..Selection::default() };
    match args.from {
        Some(Bound::Position(position)) => selection.after_position = position - 1,
        Some(Bound::Time(when)) => selection.from_ms = Some(when.resolve(now)?.as_millisecond()),
        None => {}
    }
    match args.to {
        Some(Bound::Position(position)) => selection.to_position = Some(position),
        Some(Bound::Time(when)) => selection.to_ms = Some(when.resolve(now)?.as_millisecond()),
        None => {}
    }
    let is_empty = selection.to_position.is_some_and(|to| to <= selection.after_position);
    if is_empty {
        return Err(usage(anyhow!("--to lies before --from")));
    }
    Ok(selection)
}

fn towards(target: &Target) -> String {
    match (&target.topic, &target.group) {
        (Some(topic), Some(group)) => format!("to {topic} for {group} alone"),
        (Some(topic), None) => format!("to {topic}"),
        (None, Some(group)) => format!("to their topics for {group} alone"),
        (None, None) => "to their topics".to_owned(),
    }
}

fn shown(found: &Previewed) -> Vec<String> {
    let mut counts = Columns::new(&["TYPE", ">EVENTS"]);
    for (event_type, events) in &found.preview.by_type {
        counts.row([event_type.clone(), events.to_string()]);
    }
    let mut lines = counts.lines();
    lines.push(String::new());
    let mut sample = Columns::new(&[">POSITION", "TIME", "TYPE", "KEY", "ID"]);
    found.sample.iter().for_each(|event| sample.row(cells(event)));
    if let Some(last) = &found.last {
        sample.row(["…", "", "", "", ""].map(str::to_owned));
        sample.row(cells(last));
    }
    lines.extend(sample.lines());
    lines
}

fn cells(event: &SampleEvent) -> [String; 5] {
    [
        event.position.to_string(),
        or_nothing(event.occurred_at.map(envelope::format_millis)),
        event.event_type.clone(),
        event.key.clone(),
        event.event_id.clone(),
    ]
}

/// A bar on a terminal, nothing elsewhere.
fn bar(events: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(events);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_position_or_a_time() {
        assert_eq!("12".parse(), Ok(Bound::Position(12)));
        assert!(matches!("2h".parse(), Ok(Bound::Time(_))));
        assert!("0".parse::<Bound>().is_err());
        assert!("soon".parse::<Bound>().is_err());
    }
}
