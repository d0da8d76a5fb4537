//! `techleet topics`: what topics there are, making and removing them.

use std::collections::BTreeMap;

use chassis::Settings;
use clap::{Args, Subcommand};
use eventkit::transport::kafka::admin::NewTopicSpec;
use ops::topics::{Deletion, Description, Summary};

use crate::cli::Output;
use crate::kafka::{connect, refused};
use crate::output;
use crate::render::{Columns, counted, duration_ms, or_nothing};

#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// List the topics and how much is in them.
    List {
        /// Kafka's own topics too.
        #[arg(long)]
        internal: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show a topic's partitions, offsets and settings.
    #[command(after_help = "Example:  techleet topics describe user-events")]
    Describe {
        /// The topic.
        topic: String,
        /// Also the settings that nobody set.
        #[arg(long)]
        defaults: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Create a topic.
    #[command(after_help = "Example:  techleet topics create trials --partitions 3 --setting retention.ms=86400000")]
    Create(CreateArgs),
    /// Change a topic's settings, or give it more partitions.
    ///
    /// More partitions move keys: an event may overtake an earlier one of its key, unless the consumers have read to the
    /// end.
    #[command(after_help = "Example:  techleet topics alter trials --setting retention.ms=86400000")]
    Alter(AlterArgs),
    /// Delete a topic with everything in it.
    ///
    /// Without --yes it only shows what would be deleted.
    #[command(after_help = "Example:  techleet topics delete trials --yes")]
    Delete {
        /// The topic.
        topic: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The topic's name.
    topic: String,
    /// The number of its partitions; it cannot shrink later, and growing moves keys.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    /// How many brokers keep each [default: what the cluster says].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    replicas: Option<i32>,
    /// A setting by Kafka's name; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    setting: Vec<(String, String)>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["partitions", "setting"])]
pub(crate) struct AlterArgs {
    /// The topic.
    topic: String,
    /// The number of partitions that it has from then on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// A setting by Kafka's name; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    setting: Vec<(String, String)>,
    #[command(flatten)]
    output: Output,
}

/// Runs one of the commands.
pub(crate) async fn run(settings: &Settings, command: TopicsCommand) -> anyhow::Result<()> {
    let kafka = connect(settings).await?;
    match command {
        TopicsCommand::List { internal, output } => {
            let topics = kafka.list_topics(internal).await.map_err(refused)?;
            output::rows(output.format, &topics, || list_table(&topics))
        }
        TopicsCommand::Describe { topic, defaults, output } => {
            let mut topic = kafka.describe_topic(&topic).await.map_err(refused)?;
            if !defaults {
                topic.settings.retain(|setting| setting.set_by != "default");
            }
            output::document(output.format, &topic, || description(&topic))
        }
        TopicsCommand::Create(args) => {
            let spec = NewTopicSpec {
                name: args.topic,
                partitions: Some(args.partitions),
                replicas: args.replicas,
                settings: args.setting.into_iter().collect::<BTreeMap<_, _>>(),
            };
            kafka.create_topic(&spec).await.map_err(refused)?;
            let made = serde_json::json!({"created": spec.name, "partitions": spec.partitions});
            output::document(args.output.format, &made, || vec![format!("created {}", spec.name)])
        }
        TopicsCommand::Alter(args) => {
            let partitions = args.partitions.map(usize::try_from).transpose()?;
            let settings = args.setting.into_iter().collect::<BTreeMap<_, _>>();
            kafka.alter_topic(&args.topic, partitions, &settings).await.map_err(refused)?;
            let made = serde_json::json!({"altered": args.topic, "partitions": partitions, "settings": settings});
            output::document(args.output.format, &made, || vec![format!("altered {}", args.topic)])
        }
        TopicsCommand::Delete { topic, yes, output } => {
            let plan = kafka.plan_deletion(&topic).await.map_err(refused)?;
            if yes {
                kafka.delete_topic(&topic).await.map_err(refused)?;
            }
            let verb = if yes { "deleted" } else { "would delete" };
            output::document(output.format, &plan, || vec![deletion(verb, &plan)])?;
            if !yes {
                output::say("nothing was deleted; add --yes to do it");
            }
            Ok(())
        }
    }
}

/// `NAME=VALUE`.
fn setting(text: &str) -> Result<(String, String), String> {
    let hint = "write it as NAME=VALUE, for example retention.ms=86400000";
    let (name, value) = text.split_once('=').ok_or(hint)?;
    match name.trim() {
        "" => Err(hint.to_owned()),
        name => Ok((name.to_owned(), value.trim().to_owned())),
    }
}

fn list_table(topics: &[Summary]) -> Vec<String> {
    let mut table = Columns::new(&["TOPIC", ">PARTITIONS", ">REPLICAS", ">RECORDS", ">RETENTION"]);
    for topic in topics {
        table.row([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.replicas.to_string(),
            topic.records.to_string(),
            or_nothing(topic.retention_ms.map(duration_ms)),
        ]);
    }
    table.lines()
}

fn description(topic: &Description) -> Vec<String> {
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut partitions = Columns::new(&[">PARTITION", ">LEADER", "REPLICAS", "IN SYNC", ">LOW", ">HIGH", ">RECORDS"]);
    for partition in &topic.partitions {
        partitions.row([
            partition.partition.to_string(),
            or_nothing(partition.leader),
            ids(&partition.replicas),
            ids(&partition.in_sync),
            partition.low.to_string(),
            partition.high.to_string(),
            partition.records.to_string(),
        ]);
    }
    let mut settings = Columns::new(&["SETTING", "VALUE", "SET BY"]);
    for setting in &topic.settings {
        settings.row([setting.name.clone(), or_nothing(setting.value.clone()), setting.set_by.to_owned()]);
    }
    let records: i64 = topic.partitions.iter().map(|partition| partition.records).sum();
    let mut lines = vec![format!(
        "{}: {}, {}",
        topic.name,
        counted(topic.partitions.len(), "partition"),
        counted(records, "record")
    )];
    lines.push(String::new());
    lines.extend(partitions.lines());
    if !topic.settings.is_empty() {
        lines.push(String::new());
        lines.extend(settings.lines());
    }
    lines
}

fn deletion(verb: &str, plan: &Deletion) -> String {
    let groups = match plan.groups.is_empty() {
        true => String::new(),
        false => format!("; offsets in it have: {}", plan.groups.join(", ")),
    };
    let (partitions, records) = (counted(plan.partitions, "partition"), counted(plan.records, "record"));
    format!("{verb} {}: {partitions}, {records}{groups}", plan.topic)
}
