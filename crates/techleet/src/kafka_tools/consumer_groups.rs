//! `kafka-consumer-groups`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use chassis::Settings;
use clap::Parser;
use eventkit::Clock;
use eventkit::transport::TopicPartition;
use eventkit::transport::kafka::admin::Cluster;
use jiff::{SignedDuration, Timestamp};
use ops::groups::{Description, Move, Scope, Target};
use ops::{Error, Kafka};

use super::client::Client;
use super::{failed, group_tables};
use crate::exit::{is_closed_pipe, is_unreachable};
use crate::groups::topic_partitions;
use crate::output;

const ONE_ACTION: &str = "Command must include exactly one action: --list, --describe, --delete, --reset-offsets";
const NO_EXECUTE: &str = "WARN: No action will be performed as the --execute option is missing. In version 5.0, this \
    command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly \
    if you are scripting this command and want to keep the current default behavior without prompting.";

/// List, describe, move and delete consumer groups, as Apache Kafka's kafka-consumer-groups does.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Options {
    /// The brokers to connect to, HOST:PORT with commas between them.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// A file with properties of the client.
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// List the groups.
    #[arg(long)]
    list: bool,
    /// Describe groups.
    #[arg(long)]
    describe: bool,
    /// Delete groups.
    #[arg(long)]
    delete: bool,
    /// Move groups to other offsets.
    #[arg(long)]
    reset_offsets: bool,
    /// The group; may be repeated.
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// All groups.
    #[arg(long)]
    all_groups: bool,
    /// Describe the members.
    #[arg(long)]
    members: bool,
    /// Describe where they stand; this is what --describe does.
    #[arg(long)]
    offsets: bool,
    /// Describe how they are doing; with --list, only groups in these states.
    #[arg(long, value_name = "STATES", num_args = 0..=1, default_missing_value = "")]
    state: Option<String>,
    /// With --list, the type of each group, or only groups of these types.
    #[arg(long = "type", value_name = "TYPES", num_args = 0..=1, default_missing_value = "")]
    types: Option<String>,
    /// Describe more.
    #[arg(long)]
    verbose: bool,
    /// A topic to move in, or some of its partitions: TOPIC:0,1; may be repeated.
    #[arg(long, value_name = "TOPIC[:N,N]", value_parser = topic_partitions)]
    topic: Vec<(String, Option<Vec<i32>>)>,
    /// Move in all topics that the group has offsets in.
    #[arg(long)]
    all_topics: bool,
    /// To the oldest records.
    #[arg(long)]
    to_earliest: bool,
    /// Behind the newest records.
    #[arg(long)]
    to_latest: bool,
    /// To where the group stands.
    #[arg(long)]
    to_current: bool,
    /// To this offset.
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// So many records further on, or back.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the records of this time: YYYY-MM-DDTHH:mm:SS.sss.
    #[arg(long, value_name = "TIME", value_parser = datetime)]
    to_datetime: Option<Timestamp>,
    /// To the records of so long ago: PnDTnHnMnS.
    #[arg(long, value_name = "DURATION")]
    by_duration: Option<SignedDuration>,
    /// To what a file says that --export has printed.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Do it.
    #[arg(long)]
    execute: bool,
    /// Only show it.
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
    /// Print offsets as CSV, for --from-file.
    #[arg(long)]
    export: bool,
    /// Taken for compatibility: how long to wait for the group, in milliseconds.
    #[arg(long, value_name = "MS")]
    timeout: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group user-service-group
  kafka-consumer-groups --bootstrap-server localhost:9092 --reset-offsets --group trials --all-topics --to-earliest --dry-run";

/// Runs the tool.
pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let actions = [options.list, options.describe, options.delete, options.reset_offsets];
    if actions.iter().filter(|action| **action).count() != 1 {
        return Err(failed(ONE_ACTION));
    }
    if !options.list && options.group.is_empty() && !options.all_groups {
        return Err(failed("Option takes one of these options: --all-groups, --group"));
    }
    if options.reset_offsets && options.topic.is_empty() && !options.all_topics && options.from_file.is_none() {
        return Err(failed("One of the reset scopes should be defined: --all-topics, --topic."));
    }
    let client = Client::new(settings, options.bootstrap_server.as_deref(), options.command_config.as_deref(), &[])?;
    let kafka = client.connect().await?;
    match act(&kafka, &options).await {
        Err(error) if !is_closed_pipe(&error) && !is_unreachable(&error) => {
            // Kafka's tool ends with 0 here too.
            print_error(&format!("Executing consumer group command failed due to {error:#}"))
        }
        outcome => outcome,
    }
}

async fn act(kafka: &Kafka, options: &Options) -> anyhow::Result<()> {
    if options.list {
        return list(kafka, options).await;
    }
    let mut groups = match options.all_groups {
        true => kafka.admin().groups(None).await?.into_iter().map(|group| group.id).collect(),
        false => options.group.clone(),
    };
    groups.sort();
    groups.dedup();
    if options.describe {
        return describe(kafka, &groups, options).await;
    }
    if options.delete {
        return delete(kafka, &groups).await;
    }
    reset(kafka, &groups, options).await
}

async fn list(kafka: &Kafka, options: &Options) -> anyhow::Result<()> {
    let wanted = |filter: &Option<String>, found: &str| {
        let names = filter.as_deref().unwrap_or_default();
        names.is_empty() || names.split(',').any(|name| name.trim().eq_ignore_ascii_case(found))
    };
    // The client cannot tell the newer type, whose groups brokers before 4.0 do not have.
    let kind = "Classic";
    let mut groups = kafka.admin().groups(None).await?;
    groups.retain(|group| wanted(&options.state, &group.state) && wanted(&options.types, kind));
    if options.state.is_none() && options.types.is_none() {
        return groups.iter().try_for_each(|group| output::line(&group.id));
    }
    let mut headings = vec!["GROUP"];
    headings.extend(options.types.is_some().then_some("TYPE"));
    headings.extend(options.state.is_some().then_some("STATE"));
    let rows: Vec<Vec<String>> = groups
        .into_iter()
        .map(|group| {
            let mut row = vec![group.id];
            row.extend(options.types.is_some().then(|| kind.to_owned()));
            row.extend(options.state.is_some().then_some(group.state));
            row
        })
        .collect();
    group_tables::list(&headings, &rows)
}

async fn describe(kafka: &Kafka, groups: &[String], options: &Options) -> anyhow::Result<()> {
    for id in groups {
        let group = match kafka.describe_group(id).await {
            Err(Error::NoGroup { .. }) => bail!(not_found(id)),
            described => described?,
        };
        tell_of_state(&group);
        if options.members {
            group_tables::members(&group, options.verbose)?;
        } else if options.state.is_some() && !options.offsets {
            let coordinator = coordinator(&kafka.cluster().await?);
            group_tables::state(&group, &coordinator, options.verbose)?;
        } else {
            group_tables::offsets(&group, options.verbose)?;
        }
    }
    Ok(())
}

fn tell_of_state(group: &Description) {
    match group.state.as_str() {
        "Empty" => output::say(&format!("\nConsumer group '{}' has no active members.", group.id)),
        "PreparingRebalance" | "CompletingRebalance" => {
            output::say(&format!("\nWarning: Consumer group '{}' is rebalancing.", group.id));
        }
        _ => {}
    }
}

/// Where the group is kept. Of several brokers the client does not tell which one that is.
fn coordinator(cluster: &Cluster) -> String {
    match cluster.brokers.as_slice() {
        [broker] => format!("{}:{}  ({})", broker.host, broker.port, broker.id),
        _ => "-".to_owned(),
    }
}

async fn delete(kafka: &Kafka, groups: &[String]) -> anyhow::Result<()> {
    let mut deleted = Vec::new();
    let mut refused = Vec::new();
    for id in groups {
        let reason = match kafka.delete_group(id).await {
            Ok(()) => {
                deleted.push(format!("'{id}'"));
                continue;
            }
            Err(Error::NoGroup { .. }) => {
                "org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.".to_owned()
            }
            Err(Error::GroupInUse { .. }) => {
                "org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty.".to_owned()
            }
            Err(error @ Error::Unreachable { .. }) => return Err(crate::kafka::refused(error)),
            Err(error) => eventkit::chain(&error),
        };
        refused.push(format!("* Group '{id}' could not be deleted due to: {reason}"));
    }
    if refused.is_empty() {
        return output::line(&format!(
            "Deletion of requested consumer groups ({}) was successful.",
            deleted.join(", ")
        ));
    }
    print_error("Deletion of some consumer groups failed:")?;
    refused.iter().try_for_each(|line| output::line(line))?;
    match deleted.is_empty() {
        true => Ok(()),
        false => output::line(&format!("\nThese consumer groups were deleted successfully: {}", deleted.join(", "))),
    }
}

async fn reset(kafka: &Kafka, groups: &[String], options: &Options) -> anyhow::Result<()> {
    if !options.execute && !options.dry_run && !options.export {
        output::say(NO_EXECUTE);
    }
    let mut plans: Vec<(String, Vec<Move>)> = Vec::new();
    for id in groups {
        let target = target(options, id)?;
        let scope = match options.topic.is_empty() {
            true => Scope::Committed,
            false => Scope::Topics(options.topic.clone()),
        };
        match kafka.plan_reset(id, &scope, &target).await {
            Ok(plan) => {
                if options.execute {
                    kafka.reset_group(id, &plan).await?;
                }
                plans.push((id.clone(), plan));
            }
            Err(Error::GroupInUse { .. }) => {
                let state = kafka.describe_group(id).await?.state;
                print_error(&format!(
                    "Assignments can only be reset if the group '{id}' is inactive, but the current state is {state}."
                ))?;
            }
            Err(Error::NothingToMove { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if options.export {
        return export(&plans, groups.len() > 1);
    }
    let rows: Vec<Vec<String>> = plans
        .into_iter()
        .flat_map(|(id, plan)| plan.into_iter().map(move |step| (id.clone(), step)))
        .map(|(id, step)| vec![id, step.topic, step.partition.to_string(), step.to.to_string()])
        .collect();
    group_tables::new_offsets(&rows)
}

fn export(plans: &[(String, Vec<Move>)], with_groups: bool) -> anyhow::Result<()> {
    for (id, plan) in plans {
        for Move { topic, partition, to, .. } in plan {
            let group = if with_groups { format!("{id},") } else { String::new() };
            output::line(&format!("{group}{topic},{partition},{to}"))?;
        }
    }
    output::line("")
}

fn target(options: &Options, group: &str) -> anyhow::Result<Target> {
    let mut targets = Vec::new();
    targets.extend(options.to_earliest.then_some(Target::Earliest));
    targets.extend(options.to_latest.then_some(Target::Latest));
    targets.extend(options.to_current.then_some(Target::Current));
    targets.extend(options.to_offset.map(Target::Offset));
    targets.extend(options.shift_by.map(Target::ShiftBy));
    targets.extend(options.to_datetime.map(|time| Target::Time(time.as_millisecond())));
    if let Some(duration) = options.by_duration {
        targets.push(Target::Time(Clock::system().now().checked_sub(duration)?.as_millisecond()));
    }
    if let Some(path) = &options.from_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        targets.push(Target::Offsets(imported(&text, group)?));
    }
    match targets.len() {
        1 => Ok(targets.remove(0)),
        _ => Err(failed(
            "Option '--reset-offsets' requires one of the following scenarios: --to-offset, --shift-by, --to-datetime, \
             --by-duration, --to-earliest, --to-latest, --from-file, --to-current",
        )),
    }
}

/// Lines `TOPIC,PARTITION,OFFSET` or `GROUP,TOPIC,PARTITION,OFFSET`.
fn imported(text: &str, group: &str) -> anyhow::Result<BTreeMap<TopicPartition, i64>> {
    let mut offsets = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let (owner, topic, partition, offset) = match fields.as_slice() {
            [topic, partition, offset] => (group, topic, partition, offset),
            [owner, topic, partition, offset] => (*owner, topic, partition, offset),
            _ => bail!("line {}: write it as TOPIC,PARTITION,OFFSET or GROUP,TOPIC,PARTITION,OFFSET", index + 1),
        };
        if owner == group {
            let number = || format!("line {}: partition and offset are numbers", index + 1);
            let place =
                TopicPartition { topic: (*topic).to_owned(), partition: partition.parse().with_context(number)? };
            offsets.insert(place, offset.parse().with_context(number)?);
        }
    }
    Ok(offsets)
}

/// A time as Kafka's tool takes it: without a zone it is UTC.
fn datetime(text: &str) -> Result<Timestamp, String> {
    let parsed = text.parse().or_else(|_| format!("{text}Z").parse());
    parsed.map_err(|_| "write it as YYYY-MM-DDTHH:mm:SS.sss".to_owned())
}

fn not_found(group: &str) -> String {
    format!("org.apache.kafka.common.errors.GroupIdNotFoundException: Group {group} not found.")
}

fn print_error(message: &str) -> anyhow::Result<()> {
    output::line(&format!("\nError: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let times = ["2026-01-01T00:00:00.000", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"];
        for time in times {
            assert_eq!(datetime(time).unwrap().as_second(), 1_767_225_600, "{time}");
        }
    }

    #[test]
    fn offsets_from_a_file_are_those_of_the_group() {
        let text = "a,t,0,5\nb,t,1,6\n\nt,2,7\n";
        let offsets = imported(text, "a").unwrap();
        let of = |partition| offsets.get(&TopicPartition { topic: "t".to_owned(), partition }).copied();
        assert_eq!([of(0), of(1), of(2)], [Some(5), None, Some(7)]);
        assert!(imported("t,0", "a").is_err());
    }
}
