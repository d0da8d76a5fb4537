//! `techleet produce`: records from the lines of stdin.

use std::collections::VecDeque;
use std::io::{BufRead, Read};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use chassis::Settings;
use clap::Args;
use eventkit::Clock;
use eventkit::transport::Record;
use eventkit::transport::kafka::{Acknowledged, InFlight, KafkaWriter};
use ops::produce::event_record;
use tokio::sync::mpsc;

use crate::cli::{Format, Output};
use crate::kafka::{connect, refused};
use crate::output;
use crate::render::counted;

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Lines read ahead of those that are being sent.
const LINES_AHEAD_MAX: usize = 64;
/// Records that are on their way at a time.
const IN_FLIGHT_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// The topic, for example user-events.
    topic: String,
    /// What stands between key and value in a line; without it lines are values.
    #[arg(long, value_name = "TEXT", value_parser = separator)]
    key_separator: Option<String>,
    /// The key of every record.
    #[arg(long, value_name = "KEY", conflicts_with = "key_separator")]
    key: Option<String>,
    /// A header of every record; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Send everything to this partition.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Make events of this type: values are their data, and envelope, id, time and headers are added.
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// A line of stdin with its number, from 1.
type Line = (u64, Vec<u8>);

/// Sends every line as a record, in order. What is wrong with a line ends it there: what came before is acknowledged.
pub(crate) async fn produce(settings: &Settings, args: ProduceArgs) -> anyhow::Result<()> {
    let kafka = connect(settings).await?;
    // A topic that is mistyped must not come into being by this.
    kafka.describe_topic(&args.topic).await.map_err(refused)?;
    let writer = KafkaWriter::new(kafka.config(), &[])?;
    let clock = Clock::system();
    let (sender, mut lines) = mpsc::channel(LINES_AHEAD_MAX);
    // Nobody can wait for a read of stdin; it ends with the process.
    std::thread::spawn(move || read_lines(std::io::stdin().lock(), &sender));
    let mut sending = Sending { format: args.output.format, in_flight: VecDeque::new(), acknowledged: 0 };
    let outcome = loop {
        let next = sending.settle_while_waiting(&mut lines).await?;
        let Some(line) = next else { break Ok(()) };
        let sent = match line {
            Ok((number, text)) => send(&writer, &args, &clock, number, &text).await.map(|sent| (number, sent)),
            Err(error) => Err(error),
        };
        match sent {
            Ok((number, Some(sent))) => sending.in_flight.push_back((number, sent)),
            Ok((_, None)) => {}
            Err(error) => break Err(error),
        }
        while sending.in_flight.len() >= IN_FLIGHT_MAX {
            sending.settle_oldest().await?;
        }
    };
    while !sending.in_flight.is_empty() {
        sending.settle_oldest().await?;
    }
    tokio::task::spawn_blocking(move || drop(writer)).await?;
    let told = format!("{} acknowledged", counted(sending.acknowledged, "record"));
    match outcome {
        Ok(()) => output::say(&told),
        Err(error) => return Err(error.context(format!("{told}; nothing was sent from there on"))),
    }
    Ok(())
}

struct Sending {
    format: Format,
    in_flight: VecDeque<(u64, InFlight)>,
    acknowledged: u64,
}

impl Sending {
    /// The next line; while a person is still typing it, what is on its way is settled.
    async fn settle_while_waiting(
        &mut self,
        lines: &mut mpsc::Receiver<anyhow::Result<Line>>,
    ) -> anyhow::Result<Option<anyhow::Result<Line>>> {
        loop {
            match lines.try_recv() {
                Ok(line) => return Ok(Some(line)),
                Err(mpsc::error::TryRecvError::Disconnected) => return Ok(None),
                Err(mpsc::error::TryRecvError::Empty) if self.in_flight.is_empty() => return Ok(lines.recv().await),
                Err(mpsc::error::TryRecvError::Empty) => self.settle_oldest().await?,
            }
        }
    }

    async fn settle_oldest(&mut self) -> anyhow::Result<()> {
        let Some((line, record)) = self.in_flight.pop_front() else { return Ok(()) };
        let place = record.acknowledged().await.with_context(|| {
            format!("line {line}: not acknowledged; {} before it", counted(self.acknowledged, "record"))
        })?;
        self.acknowledged += 1;
        if self.format == Format::Json {
            let Acknowledged { partition, offset, .. } = place;
            output::line(&serde_json::json!({"line": line, "partition": partition, "offset": offset}).to_string())?;
        }
        Ok(())
    }
}

/// Sends a line on its way; an empty one is passed over where it cannot be a value.
async fn send(
    writer: &KafkaWriter,
    args: &ProduceArgs,
    clock: &Clock,
    number: u64,
    text: &[u8],
) -> anyhow::Result<Option<InFlight>> {
    let record = record(args, clock, text).with_context(|| format!("line {number}"))?;
    let Some(record) = record else { return Ok(None) };
    let sent = writer.send(&record, args.partition).await.with_context(|| format!("line {number}"))?;
    Ok(Some(sent))
}

fn record(args: &ProduceArgs, clock: &Clock, text: &[u8]) -> anyhow::Result<Option<Record>> {
    if text.is_empty() && (args.key_separator.is_some() || args.event_type.is_some()) {
        return Ok(None);
    }
    let (key, value) = match &args.key_separator {
        None => (args.key.as_deref().map(str::as_bytes), text),
        Some(separator) => {
            let at = text.windows(separator.len()).position(|window| window == separator.as_bytes());
            let at = at.ok_or_else(|| anyhow!("there is no key: it lacks the separator {separator:?}"))?;
            (Some(&text[..at]), &text[at + separator.len()..])
        }
    };
    let mut record = match &args.event_type {
        None => Record {
            topic: args.topic.clone(),
            key: key.map(Bytes::copy_from_slice),
            value: Some(Bytes::copy_from_slice(value)),
            headers: Vec::new(),
            timestamp_ms: None,
        },
        Some(event_type) => {
            let key = key.context("an event has a key: add --key or --key-separator")?;
            let key = std::str::from_utf8(key).context("the key is not UTF-8")?;
            event_record(&args.topic, key, event_type, value, clock).context("the data is not JSON")?
        }
    };
    // What is said takes the place of what is added.
    record.headers.retain(|(name, _)| !args.header.iter().any(|(said, _)| said == name));
    let header = |(name, value): &(String, String)| (name.clone().into(), Bytes::copy_from_slice(value.as_bytes()));
    record.headers.extend(args.header.iter().map(header));
    Ok(Some(record))
}

/// Hands over the lines of `input`, without their ends; the last one may lack its.
pub(crate) fn read_lines(mut input: impl BufRead, lines: &mpsc::Sender<anyhow::Result<Line>>) {
    for number in 1.. {
        let mut text = Vec::new();
        let read = input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text);
        let line = match read {
            Ok(0) => return,
            Ok(_) if u64::try_from(text.len()).unwrap_or(u64::MAX) > LINE_BYTES_MAX => {
                Err(anyhow!("line {number}: is longer than {LINE_BYTES_MAX} bytes"))
            }
            Ok(_) => {
                if text.last() == Some(&b'\n') {
                    text.pop();
                    if text.last() == Some(&b'\r') {
                        text.pop();
                    }
                }
                Ok((number, text))
            }
            Err(error) => Err(anyhow!(error).context(format!("line {number}: stdin cannot be read"))),
        };
        let is_last = line.is_err();
        if lines.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

/// `NAME=VALUE`.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A separator; `\t` is a tab.
fn separator(text: &str) -> Result<String, String> {
    match text.replace("\\t", "\t") {
        text if text.is_empty() => Err("it must not be empty".to_owned()),
        text => Ok(text),
    }
}
