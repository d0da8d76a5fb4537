//! Setting one key of the configuration by its name, as a command line does: this broker's name, or Kafka's.

use std::str::FromStr;

use crate::config::Config;
use crate::error::Error;

/// A key that can be set by name.
#[derive(Debug)]
struct Property {
    name: &'static str,
    /// What Apache Kafka calls it, where it has such a key.
    kafka: Option<&'static str>,
    set: fn(&mut Config, &str) -> Result<(), String>,
}

const fn own(name: &'static str, set: fn(&mut Config, &str) -> Result<(), String>) -> Property {
    Property { name, kafka: None, set }
}

const fn shared(name: &'static str, kafka: &'static str, set: fn(&mut Config, &str) -> Result<(), String>) -> Property {
    Property { name, kafka: Some(kafka), set }
}

/// Every key that can be set by name, in the order of [`Config`].
const PROPERTIES: &[Property] = &[
    shared("node_id", "node.id", |config, text| put(&mut config.node_id, text)),
    shared("auto_create_topics", "auto.create.topics.enable", |config, text| put(&mut config.auto_create_topics, text)),
    shared("partitions_default", "num.partitions", |config, text| put(&mut config.partitions_default, text)),
    own("partitions_max", |config, text| put(&mut config.partitions_max, text)),
    shared("message_bytes_max", "message.max.bytes", |config, text| put(&mut config.message_bytes_max, text)),
    shared("segment_bytes", "log.segment.bytes", |config, text| put(&mut config.segment_bytes, text)),
    shared("segment_ms", "log.roll.ms", |config, text| put(&mut config.segment_ms, text)),
    shared("retention_ms", "log.retention.ms", |config, text| put(&mut config.retention_ms, text)),
    shared("retention_bytes", "log.retention.bytes", |config, text| put(&mut config.retention_bytes, text)),
    shared("retention_check_interval_ms", "log.retention.check.interval.ms", |config, text| {
        put(&mut config.retention_check_interval_ms, text)
    }),
    shared("compaction_check_interval_ms", "log.cleaner.backoff.ms", |config, text| {
        put(&mut config.compaction_check_interval_ms, text)
    }),
    own("compaction_keys_max", |config, text| put(&mut config.compaction_keys_max, text)),
    own("checkpoint_interval_ms", |config, text| put(&mut config.checkpoint_interval_ms, text)),
    own("measure_interval_ms", |config, text| put(&mut config.measure_interval_ms, text)),
    own("open_files_max", |config, text| put(&mut config.open_files_max, text)),
    own("syncs_max", |config, text| put(&mut config.syncs_max, text)),
    own("producers_per_partition_max", |config, text| put(&mut config.producers_per_partition_max, text)),
    shared("group_session_timeout_min_ms", "group.min.session.timeout.ms", |config, text| {
        put(&mut config.group_session_timeout_min_ms, text)
    }),
    shared("group_session_timeout_max_ms", "group.max.session.timeout.ms", |config, text| {
        put(&mut config.group_session_timeout_max_ms, text)
    }),
    shared("group_initial_rebalance_delay_ms", "group.initial.rebalance.delay.ms", |config, text| {
        put(&mut config.group_initial_rebalance_delay_ms, text)
    }),
    shared("consumer_group_heartbeat_interval_ms", "group.consumer.heartbeat.interval.ms", |config, text| {
        put(&mut config.consumer_group_heartbeat_interval_ms, text)
    }),
    shared("consumer_group_session_timeout_ms", "group.consumer.session.timeout.ms", |config, text| {
        put(&mut config.consumer_group_session_timeout_ms, text)
    }),
    shared("group_members_max", "group.max.size", |config, text| put(&mut config.group_members_max, text)),
    own("groups_max", |config, text| put(&mut config.groups_max, text)),
    shared("offset_metadata_bytes_max", "offset.metadata.max.bytes", |config, text| {
        put(&mut config.offset_metadata_bytes_max, text)
    }),
    own("offsets_retention_ms", |config, text| put(&mut config.offsets_retention_ms, text)),
    shared("offsets_retention_check_interval_ms", "offsets.retention.check.interval.ms", |config, text| {
        put(&mut config.offsets_retention_check_interval_ms, text)
    }),
    own("transactional_ids_max", |config, text| put(&mut config.transactional_ids_max, text)),
    shared("transaction_timeout_max_ms", "transaction.max.timeout.ms", |config, text| {
        put(&mut config.transaction_timeout_max_ms, text)
    }),
    shared("transactional_id_expiration_ms", "transactional.id.expiration.ms", |config, text| {
        put(&mut config.transactional_id_expiration_ms, text)
    }),
    shared("frame_bytes_max", "socket.request.max.bytes", |config, text| put(&mut config.frame_bytes_max, text)),
    shared("request_memory_bytes_max", "queued.max.request.bytes", |config, text| {
        put(&mut config.request_memory_bytes_max, text)
    }),
    shared("fetch_bytes_max", "fetch.max.bytes", |config, text| put(&mut config.fetch_bytes_max, text)),
    shared("fetch_sessions_max", "max.incremental.fetch.session.cache.slots", |config, text| {
        put(&mut config.fetch_sessions_max, text)
    }),
    own("fetch_session_evict_after_ms", |config, text| put(&mut config.fetch_session_evict_after_ms, text)),
    shared("connections_max", "max.connections", |config, text| put(&mut config.connections_max, text)),
    shared("connections_per_address_max", "max.connections.per.ip", |config, text| {
        put(&mut config.connections_per_address_max, text)
    }),
    own("in_flight_requests_max", |config, text| put(&mut config.in_flight_requests_max, text)),
    shared("connection_idle_ms", "connections.max.idle.ms", |config, text| put(&mut config.connection_idle_ms, text)),
    own("frame_timeout_ms", |config, text| put(&mut config.frame_timeout_ms, text)),
];

impl Config {
    /// Sets one key by name: that of a field of this structure, or what Apache Kafka calls it (`num.partitions`).
    /// Addresses and directories are not set this way.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] if there is no such key, [`Error::ConfigValue`] if the value does not fit it.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let found = PROPERTIES.iter().find(|property| property.name == key || property.kafka == Some(key));
        let property = found.ok_or_else(|| Error::UnknownKey { key: key.to_owned(), known: known() })?;
        (property.set)(self, value.trim()).map_err(|reason| Error::ConfigValue { key: key.to_owned(), reason })
    }
}

fn put<T: FromStr>(field: &mut T, text: &str) -> Result<(), String>
where
    T::Err: std::fmt::Display,
{
    *field = text.parse().map_err(|error| format!("`{text}` does not fit: {error}"))?;
    Ok(())
}

/// Every key as it may be named.
fn known() -> String {
    let name = |property: &Property| match property.kafka {
        Some(kafka) => format!("{} ({kafka})", property.name),
        None => property.name.to_owned(),
    };
    PROPERTIES.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_key_is_set_by_its_own_name_and_by_kafkas() {
        let mut config = Config::default();
        config.set("partitions_default", "7").unwrap();
        config.set("auto.create.topics.enable", "false").unwrap();
        config.set("log.retention.ms", "-1").unwrap();
        assert_eq!((config.partitions_default, config.auto_create_topics, config.retention_ms), (7, false, -1));
        config.set("num.partitions", "9").unwrap();
        assert_eq!(config.partitions_default, 9);
    }

    #[test]
    fn an_unknown_key_and_a_value_that_does_not_fit_are_told() {
        let mut config = Config::default();
        let unknown = config.set("no.such.key", "1").unwrap_err().to_string();
        assert!(
            unknown.starts_with("there is no configuration key no.such.key; there are node_id (node.id), "),
            "{unknown}"
        );
        let wrong = config.set("num.partitions", "many").unwrap_err().to_string();
        assert!(wrong.starts_with("configuration key num.partitions is invalid: `many` does not fit"), "{wrong}");
        assert_eq!(config.partitions_default, Config::default().partitions_default);
    }

    #[test]
    fn no_name_is_given_twice() {
        let names = PROPERTIES.iter().flat_map(|property| [Some(property.name), property.kafka]).flatten();
        let mut seen = std::collections::HashSet::new();
        assert_eq!(names.filter(|name| !seen.insert(*name)).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
