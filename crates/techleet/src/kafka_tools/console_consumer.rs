//! `kafka-console-consumer`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chassis::{Settings, Shutdown};
use clap::{Parser, ValueEnum};
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaReader, Next, Start};

use super::client::{Client, property};
use super::failed;
use crate::output;

/// Bounds how late a stop is noticed.
const POLL_MAX: Duration = Duration::from_millis(100);
/// Groups of consumers that were given none are numbered, as Kafka's tool does it.
const RANDOM_GROUPS: u32 = 100_000;

/// Print the records of topics, as Apache Kafka's kafka-console-consumer does.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub(super) struct Options {
    /// The brokers to connect to, HOST:PORT with commas between them.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// A file with properties of the client.
    #[arg(long, visible_alias = "consumer.config", value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A property of the client; may be repeated.
    #[arg(long, visible_alias = "consumer-property", value_name = "NAME=VALUE", value_parser = property)]
    command_property: Vec<(String, String)>,
    /// The topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// A regular expression for topics.
    #[arg(long, visible_alias = "whitelist", value_name = "REGEX")]
    include: Option<String>,
    /// Read only this partition.
    #[arg(long, value_name = "N", requires = "topic")]
    partition: Option<i32>,
    /// With --partition: where to start: a number, earliest or latest.
    #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = offset)]
    offset: Option<From>,
    /// Start with the oldest records, unless the group has offsets.
    #[arg(long)]
    from_beginning: bool,
    /// The consumer group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// End after so many records.
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// End when no record came for so long.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// How records are printed: print.key, print.value, print.timestamp, print.headers, print.offset, print.partition
    /// (true or false), key.separator, line.separator, headers.separator, null.literal; may be repeated.
    #[arg(long, visible_alias = "property", value_name = "NAME=VALUE", value_parser = property)]
    formatter_property: Vec<(String, String)>,
    /// Whether records of unfinished transactions are read.
    #[arg(long, value_enum, default_value_t = Isolation::ReadUncommitted)]
    isolation_level: Isolation,
    /// Taken for compatibility; a record that cannot be printed does not exist here.
    #[arg(long)]
    skip_message_on_error: bool,
    /// Taken for compatibility: org.apache.kafka.tools.consumer.DefaultMessageFormatter.
    #[arg(long, value_name = "CLASS", value_parser = default_formatter)]
    formatter: Option<String>,
    /// Taken for compatibility: records are printed as they are.
    #[arg(long, value_name = "CLASS", value_parser = text_deserializer)]
    key_deserializer: Option<String>,
    /// Taken for compatibility: records are printed as they are.
    #[arg(long, value_name = "CLASS", value_parser = text_deserializer)]
    value_deserializer: Option<String>,
}

const EXAMPLES: &str = "\
Example:  kafka-console-consumer --bootstrap-server localhost:9092 --topic user-events --from-beginning";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Isolation {
    ReadCommitted,
    ReadUncommitted,
}

/// Where a partition is read from.
#[derive(Debug, Clone, Copy)]
struct From(Start);

/// Runs the tool.
pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    if options.topic.is_some() == options.include.is_some() {
        return Err(failed("Exactly one of the following arguments is required: [topic], [include]"));
    }
    let format = Format::new(&options.formatter_property)?;
    let mut client = Client::new(
        settings,
        options.bootstrap_server.as_deref(),
        options.command_config.as_deref(),
        &options.command_property,
    )?;
    if options.isolation_level == Isolation::ReadUncommitted {
        client.overrides.push(("isolation.level".to_owned(), "read_uncommitted".to_owned()));
    }
    client.connect().await?;
    let stop = Shutdown::on_signals()?;
    tokio::task::spawn_blocking(move || {
        let reader = open(&client, &options)?;
        let mut printed = 0;
        let outcome = print_records(&reader, &options, &format, &stop, &mut printed);
        output::say(&format!("Processed a total of {printed} messages"));
        outcome
    })
    .await?
}

fn open(client: &Client, options: &Options) -> anyhow::Result<KafkaReader> {
    let Client { config, overrides } = client;
    if let (Some(topic), Some(partition)) = (&options.topic, options.partition) {
        let start = match options.offset {
            Some(From(start)) => start,
            None if options.from_beginning => Start::Beginning,
            None => Start::End,
        };
        return Ok(KafkaReader::open_with(config, topic, Some(partition), start, overrides)?);
    }
    let topic = match (&options.topic, &options.include) {
        (Some(topic), _) => topic.clone(),
        (None, include) => {
            let pattern = include.as_deref().unwrap_or_default().replace(',', "|");
            format!("^({pattern})$")
        }
    };
    let group = options.group.clone().unwrap_or_else(|| {
        let number = rand::random_range(0..RANDOM_GROUPS);
        format!("console-consumer-{number}")
    });
    Ok(KafkaReader::join(config, &[&topic], &group, options.from_beginning, overrides)?)
}

fn print_records(
    reader: &KafkaReader,
    options: &Options,
    format: &Format,
    stop: &Shutdown,
    printed: &mut u64,
) -> anyhow::Result<()> {
    let idle_max = options.timeout_ms.map(Duration::from_millis);
    let mut last = Instant::now();
    while !stop.is_requested() && options.max_messages.is_none_or(|max| *printed < max) {
        match reader.next_or_end(POLL_MAX)? {
            Next::Record(record) => {
                last = Instant::now();
                output::bytes(&format.show(&record))?;
                *printed += 1;
                // A group made up for this call has no use for offsets.
                if options.group.is_some() {
                    reader.mark_done(&record)?;
                }
            }
            Next::Nothing | Next::End if idle_max.is_some_and(|max| last.elapsed() >= max) => break,
            Next::Nothing | Next::End => {}
        }
    }
    Ok(())
}

/// How a record is printed, by the properties of Kafka's default formatter.
struct Format {
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
}

impl Format {
    fn new(properties: &[(String, String)]) -> anyhow::Result<Self> {
        let mut format = Self {
            timestamp: false,
            partition: false,
            offset: false,
            headers: false,
            key: false,
            value: true,
            key_separator: b"\t".to_vec(),
            line_separator: b"\n".to_vec(),
            headers_separator: b",".to_vec(),
            null_literal: b"null".to_vec(),
        };
        for (name, value) in properties {
            let (is_true, bytes) = (value.trim().eq_ignore_ascii_case("true"), value.clone().into_bytes());
            match name.as_str() {
                "print.timestamp" => format.timestamp = is_true,
                "print.partition" => format.partition = is_true,
                "print.offset" => format.offset = is_true,
                "print.headers" => format.headers = is_true,
                "print.key" => format.key = is_true,
                "print.value" => format.value = is_true,
                "key.separator" => format.key_separator = bytes,
                "line.separator" => format.line_separator = bytes,
                "headers.separator" => format.headers_separator = bytes,
                "null.literal" => format.null_literal = bytes,
                "key.deserializer" | "value.deserializer" | "headers.deserializer" => {
                    text_deserializer(value).map_err(failed)?;
                }
                other => return Err(failed(format!("property {other} is not supported"))),
            }
        }
        Ok(format)
    }

    fn show(&self, consumed: &ConsumedRecord) -> Vec<u8> {
        let record = &consumed.record;
        let mut parts: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            // The client does not tell whose time it is; the producer's is what topics keep unless told otherwise.
            let time = record.timestamp_ms.map_or("NO_TIMESTAMP".to_owned(), |ms| format!("CreateTime:{ms}"));
            parts.push(time.into_bytes());
        }
        if self.partition {
            parts.push(format!("Partition:{}", consumed.partition).into_bytes());
        }
        if self.offset {
            parts.push(format!("Offset:{}", consumed.offset).into_bytes());
        }
        if self.headers {
            let headers = record.headers.iter().map(|(name, value)| [name.as_bytes(), b":", value].concat());
            let headers: Vec<Vec<u8>> = headers.collect();
            parts.push(match headers.is_empty() {
                true => b"NO_HEADERS".to_vec(),
                false => headers.join(self.headers_separator.as_slice()),
            });
        }
        if self.key {
            parts.push(record.key.as_ref().map_or_else(|| self.null_literal.clone(), |key| key.to_vec()));
        }
        if self.value {
            parts.push(record.value.as_ref().map_or_else(|| self.null_literal.clone(), |value| value.to_vec()));
        }
        let mut line = parts.join(self.key_separator.as_slice());
        line.extend_from_slice(&self.line_separator);
        line
    }
}

fn offset(text: &str) -> Result<From, String> {
    let start = match text.to_ascii_lowercase().as_str() {
        "earliest" => Start::Beginning,
        "latest" => Start::End,
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Start::Offset(offset),
            _ => return Err("write a number that is not negative, earliest or latest".to_owned()),
        },
    };
    Ok(From(start))
}

fn default_formatter(class: &str) -> Result<String, String> {
    match class.ends_with(".DefaultMessageFormatter") {
        true => Ok(class.to_owned()),
        false => Err("only the default formatter is supported".to_owned()),
    }
}

fn text_deserializer(class: &str) -> Result<String, String> {
    let known = ["StringDeserializer", "ByteArrayDeserializer", "BytesDeserializer", "ByteBufferDeserializer"];
    match known.iter().any(|known| class.ends_with(known)) {
        true => Ok(class.to_owned()),
        false => Err("records are printed as they are; only deserializers of strings and bytes are taken".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use eventkit::transport::Record;

    use super::*;

    fn shown(properties: &[(&str, &str)]) -> String {
        let properties: Vec<_> = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let record = Record {
            topic: "t".to_owned(),
            key: None,
            value: Some("v".into()),
            headers: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
            timestamp_ms: Some(5),
        };
        let consumed = ConsumedRecord { record, partition: 2, offset: 7 };
        String::from_utf8(Format::new(&properties).unwrap().show(&consumed)).unwrap()
    }

    #[test]
    fn a_record_is_printed_as_the_default_formatter_does() {
        assert_eq!(shown(&[]), "v\n");
        let all = ["timestamp", "partition", "offset", "headers", "key"].map(|part| format!("print.{part}"));
        let all: Vec<_> = all.iter().map(|name| (name.as_str(), "true")).collect();
        assert_eq!(shown(&all), "CreateTime:5\tPartition:2\tOffset:7\ta:1,b:2\tnull\tv\n");
        assert_eq!(shown(&[("print.key", "true"), ("key.separator", "|"), ("null.literal", "-")]), "-|v\n");
    }
}
