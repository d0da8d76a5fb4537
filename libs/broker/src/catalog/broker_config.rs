//! What of the broker's own configuration clients may read, under Kafka's names. It is given at the start.

use crate::catalog::topic_config::Kind;
use crate::config::Config;

/// A key of the broker's configuration.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) doc: &'static str,
    pub(crate) value: fn(&Config) -> String,
}

const fn key(name: &'static str, kind: Kind, value: fn(&Config) -> String, doc: &'static str) -> Key {
    Key { name, kind, doc, value }
}

/// Every key but those that topics fall back to, by name.
pub(crate) const KEYS: &[Key] = &[
    key(
        "auto.create.topics.enable",
        Kind::Boolean,
        |config| config.auto_create_topics.to_string(),
        "Whether a topic comes into being when a client first names it.",
    ),
    key("broker.id", Kind::Int(0), |config| config.node_id.to_string(), "The broker's id in metadata."),
    key(
        "connections.max.idle.ms",
        Kind::Long(0),
        |config| config.connection_idle_ms.to_string(),
        "A connection without a request is closed after this long.",
    ),
    key("default.replication.factor", Kind::Int(1), |_| "1".to_owned(), "There is one broker."),
    key("delete.topic.enable", Kind::Boolean, |_| "true".to_owned(), "Topics can be deleted."),
    key(
        "fetch.max.bytes",
        Kind::Int(1024),
        |config| config.fetch_bytes_max.to_string(),
        "Bytes of records in one fetch answer at most.",
    ),
    key(
        "group.initial.rebalance.delay.ms",
        Kind::Int(0),
        |config| config.group_initial_rebalance_delay_ms.to_string(),
        "How long a new group waits for more members.",
    ),
    key(
        "group.max.session.timeout.ms",
        Kind::Int(1),
        |config| config.group_session_timeout_max_ms.to_string(),
        "Longest session timeout a group member may ask for.",
    ),
    key("group.max.size", Kind::Int(1), |config| config.group_members_max.to_string(), "Members of one group at most."),
    key(
        "group.min.session.timeout.ms",
        Kind::Int(1),
        |config| config.group_session_timeout_min_ms.to_string(),
        "Shortest session timeout a group member may ask for.",
    ),
    key(
        "log.retention.check.interval.ms",
        Kind::Long(1),
        |config| config.retention_check_interval_ms.to_string(),
        "How often expired segments are looked for.",
    ),
    key("max.connections", Kind::Int(1), |config| config.connections_max.to_string(), "Client connections at most."),
    key(
        "max.connections.per.ip",
        Kind::Int(1),
        |config| config.connections_per_address().to_string(),
        "Client connections of one address at most.",
    ),
    key("node.id", Kind::Int(0), |config| config.node_id.to_string(), "The broker's id in metadata."),
    key(
        "num.partitions",
        Kind::Int(1),
        |config| config.partitions_default.to_string(),
        "Partitions of topics whose creator does not say.",
    ),
    key(
        "offset.metadata.max.bytes",
        Kind::Int(0),
        |config| config.offset_metadata_bytes_max.to_string(),
        "Bytes of metadata kept with a committed offset at most.",
    ),
    key("socket.request.max.bytes", Kind::Int(1), |config| config.frame_bytes_max.to_string(), "Largest request."),
    key(
        "transaction.max.timeout.ms",
        Kind::Int(1),
        |config| config.transaction_timeout_max_ms.to_string(),
        "Longest time that a producer may ask for its transactions.",
    ),
    key(
        "transactional.id.expiration.ms",
        Kind::Int(1),
        |config| config.transactional_id_expiration_ms.to_string(),
        "How long a transactional id without a transaction is kept.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_none_is_one_that_topics_fall_back_to() {
        use crate::catalog::topic_config::{KEYS as TOPIC_KEYS, Source};
        assert!(KEYS.windows(2).all(|pair| pair[0].name < pair[1].name));
        let config = Config::default();
        for key in TOPIC_KEYS {
            if let (_, Source::Broker(name)) = key.default_value(&config) {
                assert!(KEYS.iter().all(|key| key.name != name), "{name}");
            }
        }
    }
}
