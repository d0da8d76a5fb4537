//! `techleet events projections` and `techleet events rebuild`: where the tables made from events stand, and making one
//! anew from the stores.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use anyhow::anyhow;
use chassis::Settings;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ops::Part;
use ops::projections::{self, Ending, Finished, PAGE_EVENTS, Plan, Rebuilding, Stand, Status};
use serde::Serialize;

use crate::cli::{Output, PartName};
use crate::exit::usage;
use crate::operator::{part, parts, refused};
use crate::output;
use crate::render::{Columns, clean, counted, or_nothing, time};

pub(super) const EXAMPLES: &str = "\
Examples:
  techleet events projections
  techleet events projections --service company-service --format json";

pub(super) const REBUILD_EXAMPLES: &str = "\
Examples:
  techleet events rebuild --service company-service employees          what is wrong with it
  techleet events rebuild --service company-service employees --yes    put it right
  techleet events rebuild --service recruitment-service --rate 500 --yes";

#[derive(Debug, Args)]
pub(crate) struct ProjectionsArgs {
    /// Only those of this part [default: all parts].
    #[arg(long, value_enum, value_name = "PART")]
    service: Option<PartName>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// The projections, as `techleet events projections` names them [default: all of the part].
    #[arg(value_name = "PROJECTION")]
    projections: Vec<String>,
    /// The part whose projections they are.
    #[arg(long, value_enum, value_name = "PART")]
    service: PartName,
    /// Read so many events a second at the most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Events that are read and applied at a time.
    #[arg(long, value_name = "N", default_value_t = PAGE_EVENTS, value_parser = clap::value_parser!(u32).range(1..=500))]
    page_size: u32,
    /// End another rebuild of the projection that was left alone.
    #[arg(long)]
    take_over: bool,
    /// Put what was rebuilt in the place of what runs.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    output: Output,
}

/// A projection with where it stands towards each store.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    part: &'static str,
    projection: String,
    rows: i64,
    ahead: i64,
    rebuilt_at: Option<Timestamp>,
    rebuild: Option<projections::RunningRebuild>,
    sources: Vec<Stand>,
}

/// What became of one rebuild.
#[derive(Debug, Serialize)]
struct Rebuilt {
    part: &'static str,
    projection: String,
    ending: Ending,
    #[serde(flatten)]
    finished: Finished,
}

pub(super) async fn list(settings: &Settings, args: ProjectionsArgs) -> anyhow::Result<()> {
    let stores = parts(settings)?;
    let asked: Vec<&Part> = stores.iter().filter(|part| args.service.is_none_or(|of| of.name() == part.name)).collect();
    let (mut all, mut failed) = (Vec::new(), None);
    for part in asked {
        match part.projections().await {
            Ok(found) => {
                for status in found {
                    all.push(standing(part, &stores, status).await.map_err(refused)?);
                }
            }
            Err(error) => {
                output::say(&clean(&format!("{}: {error}", part.name)));
                failed.get_or_insert(error);
            }
        }
    }
    output::rows(args.output.format, &all, || table(&all))?;
    // A store that does not tell is asked once for each projection; why is said once.
    let stands = all.iter().flat_map(|standing| &standing.sources);
    let notes: BTreeSet<(&str, &str)> =
        stands.filter_map(|stand| Some((stand.service.as_str(), stand.note.as_deref()?))).collect();
    for (service, note) in notes {
        output::say(&clean(&format!("how far behind {service} is not known: {note}")));
    }
    failed.map_or(Ok(()), |error| Err(refused(error)))
}

async fn standing(part: &Part, stores: &[Part], status: Status) -> ops::Result<Standing> {
    let mut sources = Vec::with_capacity(status.sources.len());
    for source in &status.sources {
        sources.push(projections::stand(stores, source).await?);
    }
    Ok(Standing {
        part: part.name,
        projection: status.projection,
        rows: status.tables.iter().map(|table| table.rows).sum(),
        ahead: status.ahead,
        rebuilt_at: status.rebuilt_at_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        rebuild: status.rebuild,
        sources,
    })
}

fn table(all: &[Standing]) -> Vec<String> {
    let mut table =
        Columns::new(&["PART", "PROJECTION", ">ROWS", "MADE FROM", ">POSITION", ">BEHIND", "REBUILT", "STATE"]);
    for standing in all {
        let state = standing.rebuild.as_ref().map_or_else(
            || "running".to_owned(),
            |rebuild| format!("being rebuilt, {}", counted(rebuild.events, "event")),
        );
        for (index, source) in standing.sources.iter().enumerate() {
            // The rest is said once.
            let once = |text: String| if index == 0 { text } else { String::new() };
            table.row([
                once(standing.part.to_owned()),
                once(standing.projection.clone()),
                once(standing.rows.to_string()),
                source.service.clone(),
                or_nothing(source.position),
                or_nothing(source.behind),
                once(time(standing.rebuilt_at)),
                once(state.clone()),
            ]);
        }
    }
    table.lines()
}

pub(super) async fn rebuild(settings: &Settings, args: RebuildArgs) -> anyhow::Result<()> {
    let (owner, stores) = (part(settings, args.service)?, parts(settings)?);
    let wanted = wanted(&owner, &args.projections).await?;
    let ending = if args.yes { Ending::Swap } else { Ending::Compare };
    let plan = Plan { ending, page_events: args.page_size, per_second: args.rate };
    let mut all = Vec::with_capacity(wanted.len());
    for status in &wanted {
        let rebuilding = Rebuilding::begin(&owner, status, args.take_over).await.map_err(refused)?;
        let done = rebuild_one(&rebuilding, &stores, status, plan).await;
        if done.is_err() {
            // Nobody waits for it to count as given up; a part that is gone cannot be asked.
            let _ = rebuilding.cancel().await;
        }
        let finished = done?;
        all.push(Rebuilt { part: owner.name, projection: status.projection.clone(), ending, finished });
    }
    output::rows(args.output.format, &all, || changes(&all))?;
    let events: i64 = all.iter().map(|rebuilt| rebuilt.finished.events).sum();
    output::say(&match ending {
        Ending::Swap => format!("made from {} and swapped in", counted(events, "event")),
        Ending::Compare => format!("made from {} and compared; add --yes to swap it in", counted(events, "event")),
    });
    Ok(())
}

/// The projections that were named, or all of the part.
async fn wanted(owner: &Part, names: &[String]) -> anyhow::Result<Vec<Status>> {
    let all = owner.projections().await.map_err(refused)?;
    if let Some(name) = names.iter().find(|name| all.iter().all(|status| status.projection != **name)) {
        let known: Vec<&str> = all.iter().map(|status| status.projection.as_str()).collect();
        return Err(usage(anyhow!("{} has no projection {name}; it has: {}", owner.name, known.join(", "))));
    }
    Ok(all.into_iter().filter(|status| names.is_empty() || names.contains(&status.projection)).collect())
}

async fn rebuild_one(
    rebuilding: &Rebuilding<'_>,
    stores: &[Part],
    status: &Status,
    plan: Plan,
) -> anyhow::Result<Finished> {
    let bar = bar(projections::events_of(stores, status).await.map_err(refused)?, &status.projection);
    let running = rebuilding.run(stores, plan, |events| bar.set_position(u64::try_from(events).unwrap_or(0)));
    let done = tokio::select! {
        done = running => done.map_err(refused),
        () = chassis::lifecycle::asked_to_stop() => Err(anyhow!("stopped; the running projection is as it was")),
    };
    bar.finish_and_clear();
    done
}

fn changes(all: &[Rebuilt]) -> Vec<String> {
    let mut table =
        Columns::new(&["PROJECTION", "TABLE", ">ROWS", ">MISSING", ">DIFFERENT", ">SURPLUS", "UP TO POSITION"]);
    for Rebuilt { projection, finished, .. } in all {
        let positions: Vec<String> =
            finished.positions.iter().map(|(service, position)| format!("{service} {position}")).collect();
        for change in &finished.tables {
            table.row([
                projection.clone(),
                change.table.clone(),
                change.rows.to_string(),
                change.missing.to_string(),
                change.different.to_string(),
                change.surplus.to_string(),
                positions.join(", "),
            ]);
        }
    }
    table.lines()
}

/// A bar on a terminal, nothing elsewhere.
fn bar(events: i64, projection: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(events).unwrap_or(0)).with_message(projection.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg}  {bar:40} {pos}/{len} events  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar
}
