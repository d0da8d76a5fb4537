//! `techleet events parked` and `techleet events held`: events that wait, and letting them go on.

use anyhow::anyhow;
use chassis::Settings;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use ops::Part;
use ops::waiting::{HeldEvent, ParkedKey};
use serde::Serialize;

use crate::cli::{Output, PartName};
use crate::exit::usage;
use crate::operator::{part, parts, refused};
use crate::output;
use crate::render::{Columns, clean, counted, or_nothing, shortened, time};

/// Of an error in a table.
const ERROR_CHARS_MAX: usize = 60;

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedCommand {
    /// List the keys that wait, the oldest of each part first.
    #[command(after_help = "Example:  techleet events parked list --format json")]
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Give a key's dead letter up, and have the events behind it handled in order, at once.
    ///
    /// The usual way is another one: mend the cause and send the letter back with `techleet dlq redrive`; when it
    /// succeeds, the others follow by themselves. Release a key whose letter will never succeed.
    #[command(after_help = "Example:  techleet events parked release company-service user-events user-42")]
    Release(KeyArgs),
    /// Give a key's dead letter up and every event behind it: the group never handles them.
    ///
    /// The key goes on with its next event. Nothing reverses it; without --yes it only tells what would be lost.
    #[command(after_help = "Example:  techleet events parked skip company-service user-events user-42 --yes")]
    Skip {
        #[command(flatten)]
        key: KeyArgs,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The consumer group.
    group: String,
    /// The topic.
    topic: String,
    /// The key, for example user-42.
    key: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HeldCommand {
    /// List the events that are held, in the order of each service's store.
    #[command(after_help = "Example:  techleet events held list")]
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Give a held event up: it is never published, and the later ones of its key follow.
    ///
    /// It stays in its service's store. The usual way is another one: let the broker take it (a larger
    /// max.message.bytes, say); it is tried again by itself. Without --yes it only tells what would be skipped.
    #[command(after_help = "Example:  techleet events held skip --service user-service 1200 --yes")]
    Skip {
        /// The service in whose store it is.
        #[arg(long, value_enum, value_name = "SERVICE")]
        service: PartName,
        /// Its position there.
        position: i64,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

/// Something of a part's.
#[derive(Debug, Serialize)]
struct Of<T> {
    part: &'static str,
    #[serde(flatten)]
    what: T,
}

pub(super) async fn parked(settings: &Settings, command: ParkedCommand) -> anyhow::Result<()> {
    let parts = parts(settings)?;
    match command {
        ParkedCommand::List { output } => {
            let keys = from_all(&parts, Part::parked_keys).await?;
            output::rows(output.format, &keys, || parked_table(&keys))
        }
        ParkedCommand::Release(key) => {
            let (part, _) = find(&parts, &key).await?;
            let events = part.release_parked(&key.group, &key.topic, &key.key).await.map_err(refused)?;
            output::say(&format!("released; {} handled now", follow(events)));
            Ok(())
        }
        ParkedCommand::Skip { key, yes } => {
            let (part, parked) = find(&parts, &key).await?;
            if !yes {
                let events = counted(parked.events, "parked event");
                output::say(&format!("{events} would never be handled by {}; add --yes to do it", key.group));
                return Ok(());
            }
            let events = part.skip_parked(&key.group, &key.topic, &key.key).await.map_err(refused)?;
            output::say(&format!("skipped {}", counted(events, "parked event")));
            Ok(())
        }
    }
}

pub(super) async fn held(settings: &Settings, command: HeldCommand) -> anyhow::Result<()> {
    match command {
        HeldCommand::List { output } => {
            let events = from_all(&parts(settings)?, Part::held_events).await?;
            output::rows(output.format, &events, || held_table(&events))
        }
        HeldCommand::Skip { service, position, yes } => {
            let part = part(settings, service)?;
            let held = part.held_events().await.map_err(refused)?;
            let missing = || usage(anyhow!("{} holds no event at position {position}", part.name));
            let event = held.iter().find(|event| event.position == position).ok_or_else(missing)?;
            if !yes {
                let key = clean(&event.key);
                output::say(&format!("the event about {key} would never be published; add --yes to do it"));
                return Ok(());
            }
            part.skip_held(position).await.map_err(refused)?;
            output::say("skipped; later ones of its key follow when the relay next tries");
            Ok(())
        }
    }
}

/// What every part answers; all must.
async fn from_all<T>(parts: &[Part], ask: impl AsyncFn(&Part) -> ops::Result<Vec<T>>) -> anyhow::Result<Vec<Of<T>>> {
    let mut all = Vec::new();
    for part in parts {
        let answer = ask(part).await.map_err(refused)?;
        all.extend(answer.into_iter().map(|what| Of { part: part.name, what }));
    }
    Ok(all)
}

/// The part that has a key parked, and what it says of it.
async fn find<'a>(parts: &'a [Part], key: &KeyArgs) -> anyhow::Result<(&'a Part, ParkedKey)> {
    for part in parts {
        let keys = part.parked_keys().await.map_err(refused)?;
        let is_it =
            |parked: &ParkedKey| parked.group == key.group && parked.topic == key.topic && parked.key == key.key;
        if let Some(parked) = keys.into_iter().find(is_it) {
            return Ok((part, parked));
        }
    }
    let KeyArgs { group, topic, key } = key;
    Err(usage(anyhow!("{key} of {topic} is not parked in {group}; `techleet events parked list` shows what is")))
}

fn follow(events: u64) -> String {
    let verb = if events == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(events, "parked event"))
}

fn parked_table(keys: &[Of<ParkedKey>]) -> Vec<String> {
    let mut table = Columns::new(&["PART", "GROUP", "TOPIC", "KEY", ">WAITING", "SINCE", "BEHIND", "STATE"]);
    for Of { part, what } in keys {
        table.row([
            (*part).to_owned(),
            what.group.clone(),
            what.topic.clone(),
            what.key.clone(),
            what.events.to_string(),
            time(what.since),
            what.blocker.clone(),
            if what.resolved { "going on" } else { "blocked" }.to_owned(),
        ]);
    }
    table.lines()
}

fn held_table(events: &[Of<HeldEvent>]) -> Vec<String> {
    let mut table = Columns::new(&["SERVICE", ">POSITION", "TOPIC", "KEY", ">TRIES", "SINCE", "ERROR"]);
    for Of { part, what } in events {
        table.row([
            (*part).to_owned(),
            what.position.to_string(),
            what.topic.clone(),
            what.key.clone(),
            what.attempts.to_string(),
            time(Timestamp::from_millisecond(what.since_ms).ok()),
            or_nothing(what.error.as_deref().map(|error| shortened(error, ERROR_CHARS_MAX))),
        ]);
    }
    table.lines()
}
