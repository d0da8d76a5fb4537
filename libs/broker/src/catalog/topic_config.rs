//! Topic configuration: which keys there are, what they may be, what they default to, what the log makes of them.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::log::LogConfig;
use crate::log::codec;
use crate::log::compact::WHOLE_PPM;
use crate::num::u64_of;

/// The type of a key, with the numbers that DescribeConfigs uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Not below this.
    Int(i64),
    /// Not below this.
    Long(i64),
    Double,
    /// A list of these words.
    List(&'static [&'static str]),
}

impl Kind {
    /// The type's number in DescribeConfigs answers.
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Word(_) => 2,
            Self::Int(_) => 3,
            Self::Long(_) => 5,
            Self::Double => 6,
            Self::List(_) => 7,
        }
    }
}

/// A key of a topic's configuration.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) doc: &'static str,
    default: Fallback,
}

#[derive(Debug)]
enum Fallback {
    Fixed(&'static str),
    Broker(fn(&Config) -> i64, &'static str),
}

const fn fixed(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, doc, default: Fallback::Fixed(default) }
}

const fn of_broker(
    name: &'static str,
    kind: Kind,
    default: fn(&Config) -> i64,
    key: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, doc, default: Fallback::Broker(default, key) }
}

/// Every key, by name.
pub(crate) const KEYS: &[Key] = &[
    fixed(
        "cleanup.policy",
        Kind::List(&["compact", "delete"]),
        "delete",
        "Whether old segments are deleted, or only the last record of each key is kept.",
    ),
    fixed(
        "compression.type",
        Kind::Word(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "producer",
        "How batches are compressed: as the producer did it, or all in one way, for which the broker packs them anew.",
    ),
    fixed("delete.retention.ms", Kind::Long(0), "86400000", "How long tombstones of a compacted topic are kept."),
    fixed(
        "file.delete.delay.ms",
        Kind::Long(0),
        "60000",
        "How long files of segments that retention dropped stay on disk.",
    ),
    fixed(
        "flush.messages",
        Kind::Long(1),
        "1",
        "Records after which a sync is due. Above 1 records are acknowledged before they are synced: if the machine \
         goes down, what was acknowledged since the last sync may be lost.",
    ),
    fixed(
        "flush.ms",
        Kind::Long(0),
        "9223372036854775807",
        "Longest time until a sync where flush.messages is above 1; otherwise every record is synced first.",
    ),
    fixed("index.interval.bytes", Kind::Int(0), "4096", "Log bytes between two index entries."),
    fixed("max.compaction.lag.ms", Kind::Long(1), "9223372036854775807", "Longest time a record stays uncompacted."),
    of_broker(
        "max.message.bytes",
        Kind::Int(0),
        |config| i64::from(config.message_bytes_max),
        "message.max.bytes",
        "Largest record batch.",
    ),
    fixed(
        "message.timestamp.after.max.ms",
        Kind::Long(0),
        "9223372036854775807",
        "How far a record's time may be ahead of the broker's.",
    ),
    fixed(
        "message.timestamp.before.max.ms",
        Kind::Long(0),
        "9223372036854775807",
        "How far a record's time may be behind the broker's.",
    ),
    fixed(
        "message.timestamp.type",
        Kind::Word(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whether records keep the producer's time or get the broker's.",
    ),
    fixed("min.cleanable.dirty.ratio", Kind::Double, "0.5", "Share of uncompacted log at which compaction starts."),
    fixed("min.compaction.lag.ms", Kind::Long(0), "0", "Shortest time a record stays uncompacted."),
    fixed("min.insync.replicas", Kind::Int(1), "1", "There is one replica."),
    fixed("preallocate", Kind::Boolean, "false", "Accepted; files grow as they are written."),
    of_broker(
        "retention.bytes",
        Kind::Long(-1),
        |config| config.retention_bytes,
        "log.retention.bytes",
        "Bytes kept per partition; -1 keeps all.",
    ),
    of_broker(
        "retention.ms",
        Kind::Long(-1),
        |config| config.retention_ms,
        "log.retention.ms",
        "How long records are kept; -1 keeps for ever.",
    ),
    of_broker(
        "segment.bytes",
        Kind::Int(1024),
        |config| i64::from(config.segment_bytes),
        "log.segment.bytes",
        "Size at which a segment is closed.",
    ),
    fixed("segment.index.bytes", Kind::Int(4), "10485760", "Accepted; an index is as large as its segment needs."),
    fixed("segment.jitter.ms", Kind::Long(0), "0", "Accepted; segments close without jitter."),
    of_broker(
        "segment.ms",
        Kind::Long(1),
        |config| config.segment_ms,
        "log.roll.ms",
        "Age at which a segment is closed.",
    ),
    fixed("unclean.leader.election.enable", Kind::Boolean, "false", "There is one replica."),
];

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Topic,
    /// From the broker's configuration, under this key of Kafka's.
    Broker(&'static str),
    Default,
}

/// The key of that name.
pub(crate) fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// The value where the topic sets none, and where it comes from.
    pub(crate) fn default_value(&self, config: &Config) -> (String, Source) {
        match self.default {
            Fallback::Fixed(value) => (value.to_owned(), Source::Default),
            Fallback::Broker(value, key) => (value(config).to_string(), Source::Broker(key)),
        }
    }

    /// The value in force for a topic, and where it comes from.
    pub(crate) fn value(&self, set: &BTreeMap<String, String>, config: &Config) -> (String, Source) {
        match set.get(self.name) {
            Some(value) => (value.clone(), Source::Topic),
            None => self.default_value(config),
        }
    }

    /// The value in force for a topic, then what would be in force without it.
    pub(crate) fn values(&self, set: &BTreeMap<String, String>, config: &Config) -> Vec<(String, Source)> {
        let of_topic = set.get(self.name).map(|value| (value.clone(), Source::Topic));
        of_topic.into_iter().chain([self.default_value(config)]).collect()
    }
}

/// Refuses unknown keys and values that a key cannot have.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let Some(key) = key(name) else { return Err(format!("unknown topic config name: {name}")) };
    let at_least = |least: i64, most: i64| match value.trim().parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err(format!("invalid value {value} for {name}: it must be a number of at least {least}")),
    };
    match key.kind {
        Kind::Boolean if matches!(value, "true" | "false") => Ok(()),
        Kind::Boolean => Err(format!("invalid value {value} for {name}: it must be true or false")),
        Kind::Word(words) if words.contains(&value) => Ok(()),
        Kind::Word(words) => Err(format!("invalid value {value} for {name}: it must be one of {}", words.join(", "))),
        Kind::Int(least) => at_least(least, i64::from(i32::MAX)),
        Kind::Long(least) => at_least(least, i64::MAX),
        Kind::Double => match value.parse::<f64>() {
            Ok(number) if (0.0..=1.0).contains(&number) => Ok(()),
            _ => Err(format!("invalid value {value} for {name}: it must be from 0 to 1")),
        },
        Kind::List(words) => match value.split(',').map(str::trim).find(|word| !words.contains(word)) {
            None => Ok(()),
            Some(_) => Err(format!("invalid value {value} for {name}: it must be a list of {}", words.join(", "))),
        },
    }
}

/// What the log does under a topic's configuration; the values were checked when they were set.
pub(crate) fn resolve(set: &BTreeMap<String, String>, config: &Config) -> LogConfig {
    let text = |name: &str| key(name).map(|key| key.value(set, config).0).unwrap_or_default();
    let number = |name: &str| text(name).trim().parse::<i64>().unwrap_or(i64::MAX);
    let has_policy = |name: &str| text("cleanup.policy").split(',').any(|policy| policy.trim() == name);
    LogConfig {
        message_bytes_max: u64_of(number("max.message.bytes")),
        segment_bytes: u64_of(number("segment.bytes")),
        segment_ms: number("segment.ms"),
        retention_ms: number("retention.ms"),
        retention_bytes: number("retention.bytes"),
        deletes: has_policy("delete"),
        compacts: has_policy("compact"),
        delete_retention_ms: number("delete.retention.ms"),
        dirty_ppm_min: ppm(&text("min.cleanable.dirty.ratio")),
        compaction_lag_min_ms: number("min.compaction.lag.ms"),
        compaction_lag_max_ms: number("max.compaction.lag.ms"),
        codec: codec::TYPES.iter().find(|(name, _)| *name == text("compression.type")).map(|(_, codec)| *codec),
        log_append_time: text("message.timestamp.type") == "LogAppendTime",
        flush_messages: number("flush.messages"),
        flush_ms: number("flush.ms"),
        file_delete_delay_ms: number("file.delete.delay.ms"),
        timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
    }
}

/// A share as parts per million.
fn ppm(share: &str) -> u64 {
    let whole = WHOLE_PPM as f64;
    let share = share.trim().parse::<f64>().unwrap_or(1.0).clamp(0.0, 1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to a million")]
    let ppm = (share * whole) as u64;
    ppm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check() {
        let config = Config::default();
        for key in KEYS {
            assert_eq!(check(key.name, &key.default_value(&config).0), Ok(()), "{}", key.name);
        }
        assert!(KEYS.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted by name");
    }

    #[test]
    fn impossible_values_are_refused() {
        for (name, value) in [
            ("retention.ms", "-2"),
            ("retention.ms", "soon"),
            ("segment.bytes", "3000000000"),
            ("cleanup.policy", "delete,shred"),
            ("compression.type", "brotli"),
            ("no.such.key", "1"),
            ("preallocate", "yes"),
            ("min.cleanable.dirty.ratio", "2"),
        ] {
            assert!(check(name, value).is_err(), "{name}={value}");
        }
        assert_eq!(check("cleanup.policy", "compact, delete"), Ok(()));
    }

    #[test]
    fn what_a_topic_sets_wins_over_the_broker() {
        let config = Config { retention_ms: 5, ..Config::default() };
        assert_eq!(resolve(&BTreeMap::new(), &config).retention_ms, 5);
        let set = BTreeMap::from([
            ("retention.ms".to_owned(), "-1".to_owned()),
            ("cleanup.policy".to_owned(), "compact".to_owned()),
        ]);
        let resolved = resolve(&set, &config);
        assert_eq!((resolved.retention_ms, resolved.deletes), (-1, false));
    }
}
