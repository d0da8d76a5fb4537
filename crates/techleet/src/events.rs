//! `techleet events`: what happened, newest last; one event's path; telling stored events again; tables made from them.

mod projections;
mod replay;
mod trace;
mod waiting;

use chassis::Settings;
use clap::{Args, Subcommand};
use contracts::topics::TOPICS;
use eventkit::{Clock, envelope};
use ops::events::{Event, Filter};

use crate::cli::Output;
use crate::kafka::{connect, refused};
use crate::output;
use crate::render::{Columns, or_nothing};
use crate::when::When;

#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// List the newest events that match, by time.
    #[command(after_help = EXAMPLES)]
    List(ListArgs),
    /// Follow one event: its cause, its place in the store and on its topic, who had its effect, and what followed.
    ///
    /// Shown is everything with the same first cause, as a tree; the event that was asked for is marked with *. Mails
    /// and audit records belong to it. What the parts say is asked over their operator API; a part that does not answer
    /// is told at the end.
    #[command(after_help = trace::EXAMPLES)]
    Trace(trace::TraceArgs),
    /// Tell a service's stored events again: to another topic, or to one consumer group alone.
    ///
    /// The events come from the service's own store, which keeps all of them, not from a topic. Without --yes it only
    /// shows what would be told. Each event keeps its identity: a group that has handled it does nothing, so that a
    /// replay fills gaps.
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayArgs),
    /// List the tables that each part makes from events, and where they stand.
    ///
    /// POSITION is that of the newest event that a projection has, in the store of the service that it is made from;
    /// BEHIND counts the newer ones in the store.
    #[command(after_help = projections::EXAMPLES)]
    Projections(projections::ProjectionsArgs),
    /// Make a part's projections anew from the event stores, beside the running service.
    ///
    /// The stores are read from their beginnings to their ends, a page at a time, and what the service handles meanwhile
    /// is applied after that. Without --yes the result is only compared with the running projection: MISSING, DIFFERENT
    /// and SURPLUS count the rows that are wrong. With --yes it takes the place of the running one in one transaction.
    /// Dead at any point, the running projection is whole; the same command begins anew.
    #[command(after_help = projections::REBUILD_EXAMPLES)]
    Rebuild(projections::RebuildArgs),
    /// Keys whose later events wait behind a dead letter (eventkit.after_dead_letter = "park_key").
    #[command(subcommand, after_help = "Example:  techleet events parked list")]
    Parked(waiting::ParkedCommand),
    /// Events that the broker refuses for good, and those that wait behind them.
    #[command(subcommand, after_help = "Example:  techleet events held list")]
    Held(waiting::HeldCommand),
}

const EXAMPLES: &str = "\
Examples:
  techleet events list user-events --limit 20
  techleet events list --entity user-42 --since 2h
  techleet events list --correlation-id 01935c6e-7b1a-7c7e-9c1d-3f0d6a0f2b11";

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The topics [default: all five of the backbone].
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Events of this type, for example user.created.
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Events about this entity, by the key of their records: user-42.
    #[arg(long, visible_alias = "key", value_name = "KEY")]
    entity: Option<String>,
    /// Not before this time: 2026-11-24T02:05:27Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Events that go back to this request or event.
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// How many at the most; the newest ones are shown.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    output: Output,
}

/// Runs one of the commands.
pub(crate) async fn run(settings: &Settings, command: EventsCommand) -> anyhow::Result<()> {
    match command {
        EventsCommand::List(args) => list(settings, args).await,
        EventsCommand::Trace(args) => trace::run(settings, args).await,
        EventsCommand::Replay(args) => replay::run(settings, args).await,
        EventsCommand::Projections(args) => projections::list(settings, args).await,
        EventsCommand::Rebuild(args) => projections::rebuild(settings, args).await,
        EventsCommand::Parked(command) => waiting::parked(settings, command).await,
        EventsCommand::Held(command) => waiting::held(settings, command).await,
    }
}

async fn list(settings: &Settings, args: ListArgs) -> anyhow::Result<()> {
    let kafka = connect(settings).await?;
    let now = Clock::system().now();
    let topics = match args.topics.is_empty() {
        true => TOPICS.iter().map(|topic| topic.name.to_owned()).collect(),
        false => args.topics,
    };
    let filter = Filter {
        event_type: args.event_type,
        key: args.entity,
        since: args.since.map(|when| when.resolve(now)).transpose()?,
        until: args.until.map(|when| when.resolve(now)).transpose()?,
        correlation_id: args.correlation_id,
    };
    let found = kafka.find_events(&topics, &filter, args.limit).await.map_err(refused)?;
    output::rows(args.output.format, &found.events, || table(&found.events))?;
    let shown = u64::try_from(found.events.len())?;
    if found.matching > shown {
        output::say(&format!("{} older ones match too; raise --limit to see them", found.matching - shown));
    }
    if found.unreadable > 0 {
        output::say(&format!("{} records are no events; `techleet consume` shows them", found.unreadable));
    }
    Ok(())
}

fn table(events: &[Event]) -> Vec<String> {
    let mut table = Columns::new(&["TIME", "TYPE", "KEY", "ID", "SERVICE"]);
    for event in events {
        table.row([
            or_nothing(event.time.map(envelope::format_millis)),
            event.event_type.clone(),
            or_nothing(event.key.clone()),
            or_nothing(event.id.clone()),
            event.service.clone(),
        ]);
    }
    table.lines()
}
