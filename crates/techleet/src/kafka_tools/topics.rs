//! `kafka-topics`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chassis::Settings;
use clap::Parser;
use eventkit::transport::kafka::admin::{Cluster, NewTopicSpec, Partition, Setting, SettingSource, Topic};
use ops::Kafka;
use ops::topics::INTERNAL_PREFIX;
use regex::Regex;

use super::client::{Client, property};
use super::{failed, told};
use crate::exit::is_unreachable;
use crate::output;

const ONE_ACTION: &str = "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
const NO_CONFIG_TO_ALTER: &str = "Option combination \"[bootstrap-server],[config]\" can't be used with option \"[alter]\" \
                                  (techleet topics alter --setting changes settings of a topic)";
const NAME_WARNING: &str = "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') \
                            could collide. To avoid issues it is best to use either, but not both.";

/// List, describe, create, alter and delete topics, as Apache Kafka's kafka-topics does.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Options {
    /// The brokers to connect to, HOST:PORT with commas between them.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// A file with properties of the client.
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// List the topics.
    #[arg(long)]
    list: bool,
    /// Describe topics.
    #[arg(long)]
    describe: bool,
    /// Create a topic.
    #[arg(long)]
    create: bool,
    /// Change the number of a topic's partitions.
    #[arg(long)]
    alter: bool,
    /// Delete topics.
    #[arg(long)]
    delete: bool,
    /// The topic; except for --create a regular expression.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// The number of partitions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many brokers keep each partition.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    replication_factor: Option<i32>,
    /// A setting of the topic that is created; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = property)]
    config: Vec<(String, String)>,
    /// Do nothing when the topic is not there.
    #[arg(long)]
    if_exists: bool,
    /// Do nothing when the topic is there.
    #[arg(long)]
    if_not_exists: bool,
    /// Leave out Kafka's own topics.
    #[arg(long)]
    exclude_internal: bool,
    /// Describe only topics with settings of their own.
    #[arg(long)]
    topics_with_overrides: bool,
    /// Describe only partitions without a leader.
    #[arg(long)]
    unavailable_partitions: bool,
    /// Describe only partitions with replicas that are behind.
    #[arg(long)]
    under_replicated_partitions: bool,
    /// Describe only partitions with fewer replicas in sync than they must have.
    #[arg(long)]
    under_min_isr_partitions: bool,
    /// Describe only partitions with just as many replicas in sync as they must have.
    #[arg(long)]
    at_min_isr_partitions: bool,
}

const EXAMPLES: &str = "\
Examples:
  kafka-topics --bootstrap-server localhost:9092 --list
  kafka-topics --bootstrap-server localhost:9092 --describe --topic user-events";

/// Runs the tool.
pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let actions = [options.list, options.describe, options.create, options.alter, options.delete];
    if actions.iter().filter(|action| **action).count() != 1 {
        return Err(failed(ONE_ACTION));
    }
    if options.topic.is_none() && (options.create || options.alter || options.delete) {
        return Err(failed("Missing required argument \"[topic]\""));
    }
    if options.alter && !options.config.is_empty() {
        return Err(failed(NO_CONFIG_TO_ALTER));
    }
    if options.alter && options.partitions.is_none() {
        return Err(failed("Missing required argument \"[partitions]\""));
    }
    let client = Client::new(settings, options.bootstrap_server.as_deref(), options.command_config.as_deref(), &[])?;
    let kafka = client.connect().await?;
    match act(&kafka, &options).await {
        Err(error) if !is_closed_pipe_or_unreachable(&error) => {
            output::line(&format!("Error while executing topic command : {error:#}"))?;
            Err(told())
        }
        outcome => outcome,
    }
}

fn is_closed_pipe_or_unreachable(error: &anyhow::Error) -> bool {
    crate::exit::is_closed_pipe(error) || is_unreachable(error)
}

async fn act(kafka: &Kafka, options: &Options) -> anyhow::Result<()> {
    if options.create {
        return create(kafka, options).await;
    }
    let cluster = kafka.cluster().await?;
    let topics = matching(&cluster, options)?;
    if options.list {
        return topics.iter().try_for_each(|topic| output::line(&topic.name));
    }
    if options.describe {
        return describe(kafka, &topics, options).await;
    }
    for topic in topics {
        match (options.delete, options.partitions) {
            (true, _) => kafka.admin().delete_topic(&topic.name).await?,
            (false, Some(partitions)) => {
                kafka.admin().grow_topic(&topic.name, usize::try_from(partitions)?).await?;
            }
            (false, None) => {}
        }
    }
    Ok(())
}

/// The topics that `--topic` names, or all.
fn matching<'a>(cluster: &'a Cluster, options: &Options) -> anyhow::Result<Vec<&'a Topic>> {
    let pattern = options.topic.as_deref().map(include_list).transpose()?;
    let wanted = |topic: &&Topic| {
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(&topic.name))
            && !(options.exclude_internal && topic.name.starts_with(INTERNAL_PREFIX))
    };
    let topics: Vec<&Topic> = cluster.topics.iter().filter(wanted).collect();
    match &options.topic {
        Some(topic) if topics.is_empty() && !options.if_exists && !options.list => {
            anyhow::bail!("Topic '{topic}' does not exist as expected")
        }
        _ => Ok(topics),
    }
}

/// A list of topics or a pattern as Kafka reads it: commas mean "or", and the whole name is meant.
pub(super) fn include_list(text: &str) -> anyhow::Result<Regex> {
    let text: String = text.trim().chars().filter(|char| !char.is_whitespace()).collect();
    let text = text.trim_matches(['"', '\'']).replace(',', "|");
    Ok(Regex::new(&format!("^(?:{text})$"))?)
}

async fn create(kafka: &Kafka, options: &Options) -> anyhow::Result<()> {
    let name = options.topic.clone().unwrap_or_default();
    if name.contains(['.', '_']) {
        output::line(NAME_WARNING)?;
    }
    if kafka.cluster().await?.topics.iter().any(|topic| topic.name == name) {
        if options.if_not_exists {
            return Ok(());
        }
        anyhow::bail!("Topic '{name}' already exists.");
    }
    let settings: BTreeMap<String, String> = options.config.iter().cloned().collect();
    let spec = NewTopicSpec { name, partitions: options.partitions, replicas: options.replication_factor, settings };
    kafka.admin().create_topic(&spec, false).await?;
    output::line(&format!("Created topic {}.", spec.name))
}

async fn describe(kafka: &Kafka, topics: &[&Topic], options: &Options) -> anyhow::Result<()> {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let settings = kafka.admin().topic_settings(&names).await?;
    let filters_partitions = options.unavailable_partitions
        || options.under_replicated_partitions
        || options.under_min_isr_partitions
        || options.at_min_isr_partitions;
    for topic in topics {
        let settings = settings.get(&topic.name).map_or(&[][..], Vec::as_slice);
        let configs = configs(settings);
        if options.topics_with_overrides && configs.is_empty() {
            continue;
        }
        if !filters_partitions {
            let (partitions, replicas) = (topic.partitions.len(), topic.partitions.first().map_or(0, replicas));
            output::line(&format!(
                "Topic: {}\tPartitionCount: {partitions}\tReplicationFactor: {replicas}\tConfigs: {configs}",
                topic.name
            ))?;
        }
        if options.topics_with_overrides {
            continue;
        }
        let min_in_sync = settings.iter().find(|setting| setting.name == "min.insync.replicas");
        let min_in_sync: usize = min_in_sync.and_then(|setting| setting.value.as_ref()?.parse().ok()).unwrap_or(1);
        for partition in &topic.partitions {
            if !filters_partitions || is_wanted(partition, min_in_sync, options) {
                output::line(&partition_line(&topic.name, partition))?;
            }
        }
    }
    Ok(())
}

fn replicas(partition: &Partition) -> usize {
    partition.replicas.len()
}

fn is_wanted(partition: &Partition, min_in_sync: usize, options: &Options) -> bool {
    let in_sync = partition.in_sync.len();
    options.unavailable_partitions && partition.leader.is_none()
        || options.under_replicated_partitions && in_sync < partition.replicas.len()
        || options.under_min_isr_partitions && in_sync < min_in_sync
        || options.at_min_isr_partitions && in_sync == min_in_sync
}

fn partition_line(topic: &str, partition: &Partition) -> String {
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: N/A\tLastKnownElr: N/A",
        partition.id,
        ids(&partition.replicas),
        ids(&partition.in_sync)
    )
}

/// The settings that are not Kafka's defaults, in the order in which Kafka's tool prints them.
fn configs(settings: &[Setting]) -> String {
    let mut ordered: Vec<&Setting> = settings.iter().collect();
    ordered.sort_by_key(|setting| java_bucket(&setting.name, settings.len()));
    ordered
        .iter()
        .filter(|setting| setting.source != SettingSource::Default)
        .map(|setting| format!("{}={}", setting.name, setting.value.as_deref().unwrap_or("null")))
        .collect::<Vec<_>>()
        .join(",")
}

/// Where a name stands in a Java hash map of so many entries, which is the order that Kafka's tool prints.
fn java_bucket(name: &str, entries: usize) -> u32 {
    let hash = name.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    let mut buckets: u32 = 16;
    while entries > usize::try_from(buckets / 4 * 3).unwrap_or(usize::MAX) {
        buckets = buckets.saturating_mul(2);
    }
    (hash ^ (hash >> 16)) & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_topics_is_a_pattern_for_whole_names() {
        let pattern = include_list("user-events, audit-.*").unwrap();
        let matching = ["user-events", "user-events.dlq", "audit-events"].map(|name| pattern.is_match(name));
        assert_eq!(matching, [true, false, true]);
    }
}
