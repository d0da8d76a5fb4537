//! `techleet consume`: prints a topic's records.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use chassis::{Settings, Shutdown};
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};
use eventkit::{Envelope, envelope};
use serde_json::{Map, Value, json};

use crate::cli::{ConsumeArgs, Format};
use crate::exit::{Class, classified};
use crate::output;

/// Bounds how late a stop is noticed.
const POLL_MAX: Duration = Duration::from_millis(100);

/// Prints records until a limit is reached or a stop is asked for.
pub(crate) async fn consume(settings: &Settings, args: ConsumeArgs) -> anyhow::Result<()> {
    let config: KafkaConfig = settings.section("kafka")?;
    let stop = Shutdown::on_signals()?;
    tokio::task::spawn_blocking(move || print_records(&config, &args, &stop)).await?
}

fn print_records(config: &KafkaConfig, args: &ConsumeArgs, stop: &Shutdown) -> anyhow::Result<()> {
    let start = match (args.from_offset, args.from_time) {
        (Some(offset), _) => Start::Offset(offset),
        (None, Some(time)) => Start::Time(time.as_millisecond()),
        (None, None) if args.from_beginning => Start::Beginning,
        (None, None) => Start::End,
    };
    let reader = KafkaReader::open(config, &args.topic, args.partition, start).map_err(|error| match error {
        eventkit::Error::Transport { .. } => {
            let hint = format!("no broker answers on {}; start one with `techleet up`", config.brokers);
            classified(Class::Unreachable, anyhow!(error).context(hint))
        }
        other => anyhow!(other),
    })?;
    let idle_max = args.timeout_ms.map(Duration::from_millis);
    let mut last = Instant::now();
    let mut printed = 0;
    while !stop.is_requested() && args.max_messages.is_none_or(|max| printed < max) {
        match reader.next(POLL_MAX)? {
            Some(record) => {
                last = Instant::now();
                if is_wanted(args, &record) {
                    output::line(&show(args, &record))?;
                    printed += 1;
                }
            }
            None if idle_max.is_some_and(|max| last.elapsed() >= max) => break,
            None => {}
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
    if args.format == Format::Json {
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
fn as_json(consumed: &ConsumedRecord) -> Value {
    let record = &consumed.record;
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    let headers: Map<String, Value> = record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
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
