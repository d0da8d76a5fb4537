//! `techleet consume`: prints a topic's records.

use std::time::{Duration, Instant};

use chassis::{Settings, Shutdown};
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Next, Start};
use eventkit::{Clock, Envelope, envelope};
use serde_json::{Map, Value, json};

use crate::cli::{ConsumeArgs, Format};
use crate::exit::usage;
use crate::{kafka, output};

/// Bounds how late a stop is noticed.
const POLL_MAX: Duration = Duration::from_millis(100);

/// Prints records until a limit is reached or a stop is asked for.
pub(crate) async fn consume(settings: &Settings, args: ConsumeArgs) -> anyhow::Result<()> {
    let config: KafkaConfig = settings.section("kafka")?;
    let stop = Shutdown::on_signals()?;
    tokio::task::spawn_blocking(move || {
        let reader = open(&config, &args)?;
        print_records(&reader, &args, &stop)
    })
    .await?
}

fn open(config: &KafkaConfig, args: &ConsumeArgs) -> anyhow::Result<KafkaReader> {
    let start = match (args.from_offset, args.from_time) {
        (Some(offset), _) => Start::Offset(offset),
        (None, Some(when)) => Start::Time(when.resolve(Clock::system().now())?.as_millisecond()),
        (None, None) if args.from_beginning => Start::Beginning,
        (None, None) => Start::End,
    };
    // Opening it also tells whether there is such a topic; in a group it would be waited for.
    let reader = KafkaReader::open(config, &args.topic, args.partition, start).map_err(|error| match error {
        eventkit::Error::Transport { .. } => kafka::unreachable(&config.brokers, error),
        other => usage(other),
    })?;
    match &args.group {
        None => Ok(reader),
        Some(group) => Ok(KafkaReader::join(config, &[&args.topic], group, args.from_beginning, &[])?),
    }
}

fn print_records(reader: &KafkaReader, args: &ConsumeArgs, stop: &Shutdown) -> anyhow::Result<()> {
    let idle_max = args.timeout_ms.map(Duration::from_millis);
    let mut last = Instant::now();
    let mut printed = 0;
    while !stop.is_requested() && args.max_messages.is_none_or(|max| printed < max) {
        match reader.next_or_end(POLL_MAX)? {
            Next::Record(record) => {
                last = Instant::now();
                if is_wanted(args, &record) {
                    output::line(&show(args, &record))?;
                    printed += 1;
                }
                reader.mark_done(&record)?;
            }
            Next::End if args.no_follow => break,
            Next::Nothing | Next::End if idle_max.is_some_and(|max| last.elapsed() >= max) => break,
            Next::Nothing | Next::End => {}
        }
    }
    Ok(())
}

fn is_wanted(args: &ConsumeArgs, consumed: &ConsumedRecord) -> bool {
    args.event_type.as_deref().is_none_or(|wanted| {
        let value = consumed.record.value.as_deref().unwrap_or_default();
        Envelope::read(value).is_ok_and(|envelope| envelope.event_type == wanted)
    })
}

fn show(args: &ConsumeArgs, consumed: &ConsumedRecord) -> String {
    let record = &consumed.record;
    let text = |bytes: Option<&[u8]>| bytes.map_or("null".into(), String::from_utf8_lossy).into_owned();
    if args.output.format == Format::Json {
        return as_json(consumed).to_string();
    }
    let mut line = String::new();
    if args.headers {
        let headers: Vec<String> =
            record.headers.iter().map(|(name, value)| format!("{name}:{}", String::from_utf8_lossy(value))).collect();
        line.push_str(&headers.join(","));
        line.push('\t');
    }
    if args.keys {
        line.push_str(&text(record.key.as_deref()));
        line.push('\t');
    }
    line.push_str(&text(record.value.as_deref()));
    line
}

/// The whole record; a value that is JSON stays JSON, another one is text.
pub(crate) fn as_json(consumed: &ConsumedRecord) -> Value {
    let record = &consumed.record;
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    let headers: Map<String, Value> =
        record.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let value = record.value.as_deref().map(|value| serde_json::from_slice(value).unwrap_or_else(|_| text(value)));
    let time = record.timestamp_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    json!({
        "topic": record.topic,
        "partition": consumed.partition,
        "offset": consumed.offset,
        "timestamp": time.map(envelope::format_millis),
        "key": record.key.as_deref().map(text),
        "headers": headers,
        "value": value,
    })
}
