//! `techleet events trace`: an event's whole path as a tree.

use chassis::Settings;
use clap::Args;
use eventkit::trace::State;
use jiff::Timestamp;
use ops::trace::{Node, Trace};

use crate::cli::Output;
use crate::kafka::connect;
use crate::operator::{parts, refused};
use crate::output;
use crate::render::{clean, counted, or_nothing, time};

pub(super) const EXAMPLES: &str = "\
Examples:
  techleet events list --entity user-42                            finds the id
  techleet events trace 01935c6e-7b1a-7c7e-9c1d-3f0d6a0f2b11
  techleet events trace 01935c6e-7b1a-7c7e-9c1d-3f0d6a0f2b11 --format json";

/// How wide the name of a fact is.
const NAME_WIDTH: usize = 13;

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// The event's id, as `techleet events list` shows it.
    #[arg(value_name = "EVENT_ID")]
    event_id: String,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(settings: &Settings, args: TraceArgs) -> anyhow::Result<()> {
    let parts = parts(settings)?;
    let kafka = connect(settings).await?;
    let trace = ops::trace::trace(&kafka, &parts, &args.event_id).await.map_err(refused)?;
    output::document(args.output.format, &trace, || tree(&trace))?;
    trace.notes.iter().for_each(|note| output::say(&clean(note)));
    Ok(())
}

fn tree(trace: &Trace) -> Vec<String> {
    let cause = match (&trace.correlation_id, trace.events.first()) {
        (Some(id), Some(first)) if *id == first.event_id => "an event without a cause".to_owned(),
        (Some(id), _) => format!("request {}", clean(id)),
        (None, _) => "a cause that is not told".to_owned(),
    };
    let context = trace.traceparent.as_deref().map(|context| format!("  traceparent {}", clean(context)));
    let mut lines = vec![format!("{cause}{}", context.unwrap_or_default())];
    push_all(&trace.events, &trace.event_id, "", &mut lines);
    lines
}

fn push_all(nodes: &[Node], asked: &str, indent: &str, lines: &mut Vec<String>) {
    for (index, node) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let mark = if node.event_id == asked { " *" } else { "" };
        let title = format!("{} {}{mark}", node.event_type, node.event_id);
        lines.push(format!("{indent}{branch}{}", clean(&title)));
        let inner = format!("{indent}{below}");
        let rail = if node.caused.is_empty() { "  " } else { "│ " };
        for (name, value) in facts(node) {
            lines.push(format!("{inner}{rail}{name:<NAME_WIDTH$}{}", clean(&value)));
        }
        push_all(&node.caused, asked, &inner, lines);
    }
}

/// What is known of an event, as names and values.
fn facts(node: &Node) -> Vec<(&'static str, String)> {
    let mut facts = vec![("about", or_nothing(node.key.clone()))];
    if let Some(stored) = &node.stored {
        let at = ms(stored.recorded_at_ms);
        let place =
            format!("position {} of {}, event {} of its entity", stored.position, node.service, stored.sequence);
        facts.push(("stored", format!("{at}  {place}")));
        facts.push(match stored.state {
            State::Waiting => ("published", "not yet: the relay has not come to it".to_owned()),
            State::Held => {
                let why = stored.refused.clone().unwrap_or_else(|| "one before it is refused".to_owned());
                ("held", format!("the broker does not get it: {why}"))
            }
            State::Published => ("published", stored.published_at_ms.map_or_else(|| "-".to_owned(), ms)),
        });
    }
    for place in &node.records {
        let only = place.only_for.as_ref().map(|group| format!("  for {group} alone")).unwrap_or_default();
        facts.push(("record", format!("{}/{}/{}{only}", place.topic, place.partition, place.offset)));
    }
    for effect in &node.handled {
        facts.push(("handled", format!("{}  {} in {}", time(effect.at), effect.group, effect.part)));
    }
    facts.extend(node.parked.iter().map(|group| ("parked", format!("in {group}, behind a dead letter of its key"))));
    for letter in &node.dead_letters {
        let (group, kind) = (or_nothing(letter.group.clone()), or_nothing(letter.kind.clone()));
        let why = or_nothing(letter.error.clone());
        let told = format!("{}  {} of {group}: {kind}: {why}", time(letter.failed_at), letter.place());
        facts.push(("dead letter", told));
        let place = letter.place();
        facts.extend(letter.redriven_at.map(|at| ("sent back", format!("{}  {place}", time(Some(at))))));
        facts.extend(letter.purged_at.map(|at| ("purged", format!("{}  {place}", time(Some(at))))));
    }
    if let Some(sent) = &node.notification {
        let why = sent.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let tries = counted(sent.attempts, "attempt");
        let told = format!("{} {}, template {}, {tries}{why}", sent.channel, sent.outcome, sent.template);
        facts.push(("told", format!("{}  {told}", time(Some(sent.tried_at)))));
    }
    if let Some(sequence) = node.audit_sequence {
        facts.push(("audit trail", format!("record {sequence}")));
    }
    facts
}

fn ms(ms: i64) -> String {
    time(Timestamp::from_millisecond(ms).ok())
}
