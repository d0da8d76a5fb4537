//! `kafka-console-producer`.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use chassis::Settings;
use clap::Parser;
use eventkit::transport::kafka::{InFlight, KafkaWriter};
use eventkit::transport::{HeaderName, Record};
use tokio::sync::mpsc;

use super::client::{Client, property};
use super::failed;
use crate::produce::read_lines;

/// Lines read ahead of those that are being sent.
const LINES_AHEAD_MAX: usize = 64;
/// Records that are on their way at a time.
const IN_FLIGHT_MAX: usize = 1_000;

/// Send the lines of stdin to a topic, as Apache Kafka's kafka-console-producer does.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Options {
    /// The brokers to connect to, HOST:PORT with commas between them.
    #[arg(long, visible_alias = "broker-list", value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// A file with properties of the client.
    #[arg(long, visible_alias = "producer.config", value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A property of the client; may be repeated.
    #[arg(long, visible_alias = "producer-property", value_name = "NAME=VALUE", value_parser = property)]
    command_property: Vec<(String, String)>,
    /// The topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// How lines are read: parse.key, parse.headers, ignore.error (true or false), key.separator, headers.delimiter,
    /// headers.separator, headers.key.separator, null.marker; may be repeated.
    #[arg(long, visible_alias = "property", value_name = "NAME=VALUE", value_parser = property)]
    reader_property: Vec<(String, String)>,
    /// Send each record when the one before it is acknowledged.
    #[arg(long)]
    sync: bool,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, value_name = "CODEC", num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<String>,
    /// Taken for compatibility; the client gathers records as it sees fit.
    #[arg(long, value_name = "N")]
    batch_size: Option<u64>,
    /// Taken for compatibility; all replicas acknowledge each record.
    #[arg(long, value_name = "ACKS")]
    request_required_acks: Option<String>,
    /// How long records are gathered before they are sent, in milliseconds.
    #[arg(long, value_name = "MS")]
    timeout: Option<u64>,
}

const EXAMPLES: &str = "\
Example:  echo 'user-42:{}' | kafka-console-producer --bootstrap-server localhost:9092 --topic trials \\
            --reader-property parse.key=true --reader-property key.separator=:";

/// Runs the tool.
pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let topic = options.topic.clone().ok_or_else(|| failed("Missing required argument \"[topic]\""))?;
    let reader = Reader::new(topic, &options.reader_property)?;
    let mut client = Client::new(
        settings,
        options.bootstrap_server.as_deref(),
        options.command_config.as_deref(),
        &options.command_property,
    )?;
    if let Some(codec) = &options.compression_codec {
        client.overrides.push(("compression.codec".to_owned(), codec.clone()));
    }
    if let Some(timeout) = options.timeout {
        client.overrides.push(("linger.ms".to_owned(), timeout.to_string()));
    }
    client.connect().await?;
    let writer = KafkaWriter::new(&client.config, &client.overrides)?;
    let (sender, mut lines) = mpsc::channel(LINES_AHEAD_MAX);
    let is_typed = std::io::stdin().is_terminal();
    // Nobody can wait for a read of stdin; it ends with the process.
    std::thread::spawn(move || read_lines(std::io::stdin().lock(), &sender));
    let in_flight_max = if options.sync { 1 } else { IN_FLIGHT_MAX };
    let mut in_flight: VecDeque<InFlight> = VecDeque::new();
    let outcome = loop {
        if is_typed {
            prompt();
        }
        let Some(line) = lines.recv().await else { break Ok(()) };
        let sent = match line.and_then(|(number, text)| reader.record(number, &text)) {
            Ok(record) => writer.send(&record, None).await.map_err(anyhow::Error::from),
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => in_flight.push_back(sent),
            Err(error) => break Err(error),
        }
        while in_flight.len() >= in_flight_max {
            settle(&mut in_flight).await?;
        }
    };
    while !in_flight.is_empty() {
        settle(&mut in_flight).await?;
    }
    tokio::task::spawn_blocking(move || drop(writer)).await?;
    outcome
}

async fn settle(in_flight: &mut VecDeque<InFlight>) -> anyhow::Result<()> {
    match in_flight.pop_front() {
        Some(record) => record.acknowledged().await.map(drop).context("a record was not acknowledged"),
        None => Ok(()),
    }
}

/// Shows a person that a line is awaited.
fn prompt() {
    let mut out = std::io::stdout().lock();
    // When nobody sees the prompt any more, the lines still count.
    let _ = out.write_all(b">").and_then(|()| out.flush());
}

/// How a line becomes a record, by the properties of Kafka's line reader.
struct Reader {
    topic: String,
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
}

impl Reader {
    fn new(topic: String, properties: &[(String, String)]) -> anyhow::Result<Self> {
        let mut reader = Self {
            topic,
            parse_key: false,
            parse_headers: false,
            ignore_error: false,
            key_separator: "\t".to_owned(),
            headers_delimiter: "\t".to_owned(),
            headers_separator: ",".to_owned(),
            headers_key_separator: ":".to_owned(),
            null_marker: None,
        };
        for (name, value) in properties {
            let (is_true, text) = (value.trim().eq_ignore_ascii_case("true"), value.clone());
            match name.as_str() {
                "parse.key" => reader.parse_key = is_true,
                "parse.headers" => reader.parse_headers = is_true,
                "ignore.error" => reader.ignore_error = is_true,
                "key.separator" => reader.key_separator = text,
                "headers.delimiter" => reader.headers_delimiter = text,
                "headers.separator" => reader.headers_separator = text,
                "headers.key.separator" => reader.headers_key_separator = text,
                "null.marker" => reader.null_marker = Some(text),
                other => return Err(failed(format!("property {other} is not supported"))),
            }
        }
        Ok(reader)
    }

    fn record(&self, number: u64, line: &[u8]) -> anyhow::Result<Record> {
        let whole = String::from_utf8_lossy(line);
        let lacking = |what: &str| anyhow!("No {what} found on line number {number}: '{whole}'");
        let mut rest = line;
        let mut headers = Vec::new();
        if self.parse_headers {
            match split(rest, &self.headers_delimiter) {
                Some((text, after)) => {
                    rest = after;
                    if !self.is_null(text) {
                        headers = self.headers(text).ok_or_else(|| lacking("header key separator"))?;
                    }
                }
                None if self.ignore_error => {}
                None => return Err(lacking("headers delimiter")),
            }
        }
        let mut key = None;
        if self.parse_key {
            match split(rest, &self.key_separator) {
                Some((text, after)) => {
                    rest = after;
                    key = Some(text).filter(|text| !self.is_null(text)).map(Bytes::copy_from_slice);
                }
                None if self.ignore_error => {}
                None => return Err(lacking("key separator")),
            }
        }
        let value = Some(rest).filter(|rest| !self.is_null(rest)).map(Bytes::copy_from_slice);
        Ok(Record { topic: self.topic.clone(), key, value, headers, timestamp_ms: None })
    }

    fn headers(&self, text: &[u8]) -> Option<Vec<(HeaderName, Bytes)>> {
        let text = String::from_utf8_lossy(text);
        text.split(&self.headers_separator)
            .map(|header| match header.split_once(&self.headers_key_separator) {
                Some((name, value)) => Some((name.to_owned().into(), Bytes::copy_from_slice(value.as_bytes()))),
                None if self.ignore_error => Some((header.to_owned().into(), Bytes::new())),
                None => None,
            })
            .collect()
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.null_marker.as_ref().is_some_and(|marker| marker.as_bytes() == text)
    }
}

fn split<'a>(text: &'a [u8], separator: &str) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len().max(1)).position(|window| window == separator.as_bytes())?;
    Some((&text[..at], &text[at + separator.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Reader {
        let properties: Vec<_> = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Reader::new("t".to_owned(), &properties).unwrap()
    }

    #[test]
    fn a_line_is_read_as_kafkas_line_reader_does() {
        let reader = reader(&[
            ("parse.key", "true"),
            ("parse.headers", "true"),
            ("key.separator", "|"),
            ("null.marker", "NULL"),
        ]);
        let record = reader.record(1, b"a:1,b:2\tkey|NULL").unwrap();
        assert_eq!(record.headers, [("a".into(), Bytes::from("1")), ("b".into(), Bytes::from("2"))]);
        assert_eq!((record.key, record.value), (Some(Bytes::from("key")), None));
        let refused = reader.record(2, b"a:1\tkey").unwrap_err();
        assert_eq!(refused.to_string(), "No key separator found on line number 2: 'a:1\tkey'");
    }
}
