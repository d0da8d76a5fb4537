//! `techleet groups`: who reads, how far behind they are, moving and removing them.

use chassis::Settings;
use clap::{Args, Subcommand};
use ops::groups::{Description, Member, Move, Position, Scope, Summary, Target};

use crate::cli::Output;
use crate::kafka::{connect, refused};
use crate::output;
use crate::render::{Columns, NOTHING_TOLD, counted, or_nothing};
use crate::when::When;
use eventkit::Clock;

#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// List the consumer groups with their lag.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show where a group stands in each partition, and its members.
    #[command(after_help = "Example:  techleet groups describe container-audit")]
    Describe {
        /// The group.
        group: String,
        #[command(flatten)]
        output: Output,
    },
    /// Move a group to other offsets; it must have no members.
    ///
    /// Without --execute it only shows what would be moved.
    #[command(after_help = RESET_EXAMPLES)]
    Reset(ResetArgs),
    /// Delete a group and its offsets; it must have no members.
    ///
    /// Without --yes it only shows what would be deleted.
    #[command(after_help = "Example:  techleet groups delete trials --yes")]
    Delete {
        /// The group.
        group: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        output: Output,
    },
}

const RESET_EXAMPLES: &str = "\
Examples:
  techleet groups reset trials --to-earliest                 what would happen
  techleet groups reset trials --to-earliest --execute       do it
  techleet groups reset trials --topic user-events:0,1 --to-time 2h --execute";

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// The group.
    group: String,
    /// A topic, or some partitions of it; may be repeated [default: all that the group has offsets in].
    #[arg(long, value_name = "TOPIC[:N,N]", value_parser = topic_partitions)]
    topic: Vec<(String, Option<Vec<i32>>)>,
    #[command(flatten)]
    target: TargetArgs,
    /// Do it.
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// To the oldest record.
    #[arg(long)]
    to_earliest: bool,
    /// Behind the newest record.
    #[arg(long)]
    to_latest: bool,
    /// To this offset, or as near as there is.
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// To the first record at or after this time: 2026-11-24T02:05:27Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME")]
    to_time: Option<When>,
    /// So many records further on; back with a minus.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,
}

/// Runs one of the commands.
pub(crate) async fn run(settings: &Settings, command: GroupsCommand) -> anyhow::Result<()> {
    let kafka = connect(settings).await?;
    match command {
        GroupsCommand::List { output } => {
            let groups = kafka.list_groups().await.map_err(refused)?;
            output::rows(output.format, &groups, || list_table(&groups))
        }
        GroupsCommand::Describe { group, output } => {
            let group = kafka.describe_group(&group).await.map_err(refused)?;
            output::document(output.format, &group, || description(&group))
        }
        GroupsCommand::Reset(args) => {
            let scope = if args.topic.is_empty() { Scope::Committed } else { Scope::Topics(args.topic) };
            let target = args.target.target()?;
            let plan = kafka.plan_reset(&args.group, &scope, &target).await.map_err(refused)?;
            if args.execute {
                kafka.reset_group(&args.group, &plan).await.map_err(refused)?;
            }
            output::rows(args.output.format, &plan, || plan_table(&plan))?;
            let moved: i64 = plan.iter().filter_map(|step| Some(step.to - step.from?)).sum();
            match args.execute {
                true => output::say(&format!("moved {} by {moved:+} in all", args.group)),
                false => output::say(&format!("nothing was moved ({moved:+} in all); add --execute to do it")),
            }
            Ok(())
        }
        GroupsCommand::Delete { group, yes, output } => {
            let description = kafka.describe_group(&group).await.map_err(refused)?;
            if !description.members.is_empty() {
                return Err(refused(ops::Error::GroupInUse { group }));
            }
            if yes {
                kafka.delete_group(&group).await.map_err(refused)?;
            }
            let verb = if yes { "deleted" } else { "would delete" };
            output::document(output.format, &description, || {
                vec![format!("{verb} {group}: offsets in {}", counted(description.partitions.len(), "partition"))]
            })?;
            if !yes {
                output::say("nothing was deleted; add --yes to do it");
            }
            Ok(())
        }
    }
}

impl TargetArgs {
    fn target(&self) -> anyhow::Result<Target> {
        Ok(match (self.to_offset, self.to_time, self.shift_by) {
            (Some(offset), ..) => Target::Offset(offset),
            (_, Some(time), _) => Target::Time(time.resolve(Clock::system().now())?.as_millisecond()),
            (_, _, Some(by)) => Target::ShiftBy(by),
            _ if self.to_earliest => Target::Earliest,
            _ => Target::Latest,
        })
    }
}

/// `TOPIC` or `TOPIC:0,1`.
pub(crate) fn topic_partitions(text: &str) -> Result<(String, Option<Vec<i32>>), String> {
    let Some((topic, partitions)) = text.split_once(':') else { return Ok((text.to_owned(), None)) };
    let numbers: Result<Vec<i32>, _> = partitions.split(',').map(str::parse).collect();
    let numbers = numbers.map_err(|_| "write partitions as numbers with commas: user-events:0,2".to_owned())?;
    Ok((topic.to_owned(), Some(numbers)))
}

fn list_table(groups: &[Summary]) -> Vec<String> {
    let mut table = Columns::new(&["GROUP", "STATE", ">MEMBERS", ">LAG", "TOPICS"]);
    for group in groups {
        let topics = if group.topics.is_empty() { NOTHING_TOLD.to_owned() } else { group.topics.join(",") };
        let Summary { id, state, members, lag, .. } = group;
        table.row([id.clone(), state.clone(), members.to_string(), lag.to_string(), topics]);
    }
    table.lines()
}

fn description(group: &Description) -> Vec<String> {
    let lag: i64 = group.partitions.iter().filter_map(|position| position.lag).sum();
    let mut lines =
        vec![format!("{}: {}, {}, lag {lag}", group.id, group.state, counted(group.members.len(), "member"))];
    if !group.partitions.is_empty() {
        lines.push(String::new());
        let mut table = Columns::new(&["TOPIC", ">PARTITION", ">COMMITTED", ">END", ">LAG", "CLIENT", "HOST"]);
        for position in &group.partitions {
            let Position { topic, partition, committed, end, lag, client_id, host, .. } = position;
            table.row([
                topic.clone(),
                partition.to_string(),
                or_nothing(*committed),
                or_nothing(*end),
                or_nothing(*lag),
                or_nothing(client_id.clone()),
                or_nothing(host.clone()),
            ]);
        }
        lines.extend(table.lines());
    }
    if !group.members.is_empty() {
        lines.push(String::new());
        let mut table = Columns::new(&["MEMBER", "CLIENT", "HOST", ">PARTITIONS"]);
        for Member { id, client_id, host, partitions } in &group.members {
            table.row([id.clone(), client_id.clone(), host.clone(), partitions.to_string()]);
        }
        lines.extend(table.lines());
    }
    lines
}

fn plan_table(plan: &[Move]) -> Vec<String> {
    let mut table = Columns::new(&["TOPIC", ">PARTITION", ">FROM", ">TO", ">MOVE"]);
    for Move { topic, partition, from, to } in plan {
        let by = from.map(|from| format!("{:+}", to - from));
        table.row([topic.clone(), partition.to_string(), or_nothing(*from), to.to_string(), or_nothing(by)]);
    }
    table.lines()
}
