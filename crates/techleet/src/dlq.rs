//! `techleet dlq`: dead letters, why they are dead, sending them back, giving them up.

use anyhow::anyhow;
use chassis::Settings;
use clap::{Args, Subcommand, ValueEnum};
use eventkit::Clock;
use eventkit::transport::ConsumedRecord;
use ops::Kafka;
use ops::dead_letters::{Filter, Found, Letter};

use crate::cli::{Format, Output};
use crate::exit::usage;
use crate::kafka::{connect, refused};
use crate::render::{Columns, clean, counted, or_nothing, shortened, time};
use crate::when::When;
use crate::{consume, output};

/// Of an error in a table.
const ERROR_CHARS_MAX: usize = 60;
/// What says which letters are wanted, and has nothing to say of one that is named.
const FILTERS: [&str; 7] = ["topic", "group", "kind", "error", "key", "since", "until"];

#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// List dead letters, the oldest first.
    ///
    /// Those that were sent back or given up already are left out.
    #[command(after_help = "Example:  techleet dlq list --group container-audit --since 2h")]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// Those that were sent back or given up too.
        #[arg(long)]
        redriven: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show one dead letter: its cause, its headers and its value.
    #[command(after_help = "Example:  techleet dlq show user-events.dlq/2/17")]
    Show {
        /// The letter, as `dlq list` names it.
        #[arg(value_name = "TOPIC/PARTITION/OFFSET", value_parser = place)]
        letter: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Send dead letters back to the topic they came from, for the group that gave them up.
    ///
    /// Key, value, headers and identity stay as they were; other groups pass them over. Without --execute it only shows
    /// what would be sent. A letter is sent back once: run it again, and it goes on with the rest.
    #[command(after_help = REDRIVE_EXAMPLES)]
    Redrive {
        /// One letter, as `dlq list` names it.
        #[arg(value_name = "TOPIC/PARTITION/OFFSET", value_parser = place, conflicts_with_all = FILTERS)]
        letter: Option<Place>,
        #[command(flatten)]
        filter: FilterArgs,
        /// Do it.
        #[arg(long)]
        execute: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Give dead letters up: they are never sent back and no longer listed.
    ///
    /// Nothing reverses it. Without --yes it only shows which letters that would be. Their records stay on the
    /// dead-letter topic until its retention takes them; `dlq list --redriven` still shows them. A key that is parked
    /// behind such a letter stays so: see `techleet events parked`.
    #[command(after_help = PURGE_EXAMPLES)]
    Purge {
        /// One letter, as `dlq list` names it.
        #[arg(value_name = "TOPIC/PARTITION/OFFSET", value_parser = place, conflicts_with_all = FILTERS)]
        letter: Option<Place>,
        #[command(flatten)]
        filter: FilterArgs,
        /// Do it.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        output: Output,
    },
}

const PURGE_EXAMPLES: &str = "\
Examples:
  techleet dlq purge --group container-gateways --until 24h         which would be given up
  techleet dlq purge --error 'no gateway' --until 24h --yes         give them up
  techleet dlq purge user-events.dlq/2/17 --yes                     one letter";

const REDRIVE_EXAMPLES: &str = "\
Examples:
  techleet dlq redrive --topic user-events                 what would be sent back
  techleet dlq redrive --topic user-events --execute       do it
  techleet dlq redrive user-events.dlq/2/17 --execute      one letter";

#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Events of this topic [default: all topics].
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Given up by this group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// For this kind of error.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Whose error says this, in it or in one of its causes.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Events with this key, for example user-42.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Given up not before this time: 2026-11-24T02:05:27Z, or 2h for two hours ago.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Given up before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// How many at the most.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    limit: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// Trying again did not help.
    Transient,
    /// The handler refused the event.
    Permanent,
    /// The event could not be read.
    Undecodable,
    /// The handler took too long.
    Timeout,
    /// The handler panicked.
    Panic,
}

/// A letter's topic, partition and offset.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

/// Runs one of the commands.
pub(crate) async fn run(settings: &Settings, command: DlqCommand) -> anyhow::Result<()> {
    let kafka = connect(settings).await?;
    match command {
        DlqCommand::List { filter, redriven, output } => {
            let found = kafka.find_letters(&filter.filter()?, redriven, filter.limit).await.map_err(refused)?;
            output::rows(output.format, &found.letters, || list_table(&found.letters))?;
            tell_of_rest(&found);
            Ok(())
        }
        DlqCommand::Show { letter, output } => {
            let found = kafka.find_letters(&letter.filter(), true, 1).await.map_err(refused)?;
            let missing = || usage(anyhow!("there is no dead letter {}", letter.text()));
            let letter = found.letters.into_iter().next().ok_or_else(missing)?;
            match output.format {
                Format::Json => output::line(&as_json(&letter)?),
                Format::Text => shown(&letter).iter().try_for_each(|line| output::line(line)),
            }
        }
        DlqCommand::Redrive { letter, filter, execute, output } => {
            let mut found = wanted(&kafka, letter.as_ref(), &filter).await?;
            // One that is named is refused with its reason.
            if letter.is_none() {
                leave_out(&mut found);
            }
            let letters = &found.letters;
            let redriven = match execute {
                true => kafka.redrive(letters, &Clock::system()).await.map_err(refused)?,
                false => 0,
            };
            output::rows(output.format, letters, || list_table(letters))?;
            tell_of_rest(&found);
            match execute {
                true => output::say(&format!("sent {} back", counted(redriven, "dead letter"))),
                false => output::say(&format!("{} would be sent back; add --execute to do it", letters.len())),
            }
            Ok(())
        }
        DlqCommand::Purge { letter, filter, yes, output } => {
            let found = wanted(&kafka, letter.as_ref(), &filter).await?;
            let letters = &found.letters;
            let purged = match yes {
                true => kafka.purge(letters, &Clock::system()).await.map_err(refused)?,
                false => 0,
            };
            output::rows(output.format, letters, || list_table(letters))?;
            tell_of_rest(&found);
            match yes {
                true => output::say(&format!("gave up {}", counted(purged, "dead letter"))),
                false => output::say(&format!("{} would be given up for good; add --yes to do it", letters.len())),
            }
            Ok(())
        }
    }
}

/// Takes out what cannot be sent back, and says so.
fn leave_out(found: &mut Found) {
    let valueless: Vec<String> =
        found.letters.extract_if(.., |letter| letter.left_out_bytes.is_some()).map(|letter| letter.place()).collect();
    found.matching -= u64::try_from(valueless.len()).unwrap_or(0);
    if !valueless.is_empty() {
        output::say(&format!(
            "cannot be sent back, as their values were too large for a letter: {}; replay their events, then purge them",
            valueless.join(", ")
        ));
    }
}

/// The letters that are neither sent back nor given up yet: one, or those that match.
async fn wanted(kafka: &Kafka, letter: Option<&Place>, filter: &FilterArgs) -> anyhow::Result<Found> {
    let wanted = match letter {
        Some(place) => place.filter(),
        None => filter.filter()?,
    };
    kafka.find_letters(&wanted, false, filter.limit).await.map_err(refused)
}

impl FilterArgs {
    fn filter(&self) -> anyhow::Result<Filter> {
        let now = Clock::system().now();
        let kind = self.kind.and_then(|kind| Some(kind.to_possible_value()?.get_name().to_owned()));
        Ok(Filter {
            topic: self.topic.clone(),
            group: self.group.clone(),
            kind,
            error: self.error.clone(),
            key: self.key.clone(),
            since: self.since.map(|when| when.resolve(now)).transpose()?,
            until: self.until.map(|when| when.resolve(now)).transpose()?,
            place: None,
        })
    }
}

impl Place {
    fn filter(&self) -> Filter {
        let place = Some((self.partition, self.offset));
        Filter { topic: Some(self.topic.clone()), place, ..Filter::default() }
    }

    fn text(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

fn place(text: &str) -> Result<Place, String> {
    let read = || {
        let (rest, offset) = text.rsplit_once('/')?;
        let (topic, partition) = rest.rsplit_once('/')?;
        let topic = Some(topic).filter(|topic| !topic.is_empty())?.to_owned();
        Some(Place { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()? })
    };
    read().ok_or_else(|| "write it as TOPIC/PARTITION/OFFSET, for example user-events.dlq/2/17".to_owned())
}

fn tell_of_rest(found: &Found) {
    let shown = u64::try_from(found.letters.len()).unwrap_or(u64::MAX);
    if found.matching > shown {
        output::say(&format!("{} more match; name them more closely or raise --limit", found.matching - shown));
    }
}

fn list_table(letters: &[Letter]) -> Vec<String> {
    let mut table =
        Columns::new(&["LETTER", "GROUP", "KIND", ">TRIES", "GIVEN UP", "KEY", "TYPE", "SENT BACK", "ERROR"]);
    for letter in letters {
        table.row([
            letter.place(),
            or_nothing(letter.group.clone()),
            or_nothing(letter.kind.clone()),
            or_nothing(letter.attempts),
            time(letter.failed_at),
            or_nothing(letter.key.clone()),
            or_nothing(letter.event_type.clone()),
            match letter.purged_at {
                Some(_) => "purged".to_owned(),
                None => time(letter.redriven_at),
            },
            or_nothing(letter.error.as_deref().map(|error| shortened(error, ERROR_CHARS_MAX))),
        ]);
    }
    table.lines()
}

fn shown(letter: &Letter) -> Vec<String> {
    let event = match (&letter.topic, letter.topic_partition, letter.topic_offset) {
        (Some(topic), Some(partition), Some(offset)) => format!("{topic}/{partition}/{offset}"),
        _ => "-".to_owned(),
    };
    let facts = [
        ("letter", letter.place()),
        ("event", event),
        ("type", or_nothing(letter.event_type.clone())),
        ("id", or_nothing(letter.event_id.clone())),
        ("key", or_nothing(letter.key.clone())),
        ("group", or_nothing(letter.group.clone())),
        ("kind", or_nothing(letter.kind.clone())),
        ("error", or_nothing(letter.error.clone())),
        ("tries", or_nothing(letter.attempts)),
        ("failed first", time(letter.first_failed_at)),
        ("given up", time(letter.failed_at)),
        ("sent back", time(letter.redriven_at)),
        ("purged", time(letter.purged_at)),
    ];
    let mut lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<14}{}", clean(value))).collect();
    lines.push("headers".to_owned());
    let headers = letter.record.headers.iter().filter(|(name, _)| !name.starts_with("dlq-"));
    lines.extend(headers.map(|(name, value)| format!("  {}: {}", clean(name), clean(&String::from_utf8_lossy(value)))));
    lines.push("value".to_owned());
    let value = match letter.left_out_bytes {
        Some(bytes) => format!("{bytes} bytes, too large for a letter: left with the event").into(),
        None => letter.record.value.as_deref().map_or("null".into(), String::from_utf8_lossy),
    };
    lines.push(format!("  {}", clean(&value)));
    lines
}

/// The letter with its record.
fn as_json(letter: &Letter) -> anyhow::Result<String> {
    let consumed = ConsumedRecord { record: letter.record.clone(), partition: letter.partition, offset: letter.offset };
    let mut document = serde_json::to_value(letter)?;
    document["record"] = consume::as_json(&consumed);
    Ok(document.to_string())
}
