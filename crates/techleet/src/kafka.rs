//! How commands reach Kafka, and what they say when it does not answer.

use anyhow::anyhow;
use chassis::Settings;
use eventkit::transport::kafka::KafkaConfig;
use ops::Kafka;

use crate::exit::{Class, classified, usage};

/// A connection to the cluster that the configuration names.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Kafka> {
    connect_with(settings.section("kafka")?).await
}

/// A connection to the cluster that `config` names.
pub(crate) async fn connect_with(config: KafkaConfig) -> anyhow::Result<Kafka> {
    Kafka::connect(config).await.map_err(refused)
}

/// An operation's error with its class and the way out.
pub(crate) fn refused(error: ops::Error) -> anyhow::Error {
    match error {
        ops::Error::Unreachable { brokers, source } => unreachable(&brokers, source),
        ops::Error::NoTopic { .. }
        | ops::Error::NoPartition { .. }
        | ops::Error::NoGroup { .. }
        | ops::Error::NothingToMove { .. } => usage(error),
        other => anyhow!(other),
    }
}

/// No broker answers on `brokers`.
pub(crate) fn unreachable(brokers: &str, error: eventkit::Error) -> anyhow::Error {
    let hint = format!(
        "no broker answers on {brokers}; start one with `techleet up`, \
         or name another with KAFKA_BROKERS=HOST:PORT or --set kafka.brokers=HOST:PORT"
    );
    classified(Class::Unreachable, anyhow!(error).context(hint))
}
