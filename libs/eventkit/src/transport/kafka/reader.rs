//! Reading a topic outside any group, as a person who looks at it does: nothing is committed, nobody is disturbed.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::subscription::consumed;
use super::{KafkaConfig, LogContext, client_settings, failed, refused_setting};
use crate::error::{Error, Result};
use crate::transport::ConsumedRecord;

/// How long the broker may take to tell what a topic consists of.
const METADATA_MAX: Duration = Duration::from_secs(10);

/// Where reading begins, in every partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest record that is kept.
    Beginning,
    /// The next record to be written.
    End,
    /// This offset.
    Offset(i64),
    /// The first record at or after this time, in milliseconds since 1970.
    Time(i64),
}

/// Reads every partition of one topic.
pub struct KafkaReader {
    consumer: BaseConsumer<LogContext>,
}

impl std::fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KafkaReader")
    }
}

impl KafkaReader {
    /// Opens a topic for reading, all its partitions or one. Blocks while the broker is asked.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no such topic or partition; [`Error::Transport`] when the broker does not answer.
    pub fn open(config: &KafkaConfig, topic: &str, partition: Option<i32>, start: Start) -> Result<Self> {
        let consumer: BaseConsumer<LogContext> = client_settings(config)
            // librdkafka wants a name; without subscribing or committing it joins no group.
            .set("group.id", "techleet-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("queued.max.messages.kbytes", config.prefetch_kib.to_string())
            .create_with_context(LogContext)
            .map_err(refused_setting)?;
        let reader = Self { consumer };
        let places = reader.places(topic, partition, start)?;
        reader.consumer.assign(&places).map_err(|error| failed("read the topic", error))?;
        Ok(reader)
    }

    /// The next record of any partition; `None` when none came within `wait`. Blocks.
    ///
    /// # Errors
    /// [`Error::Transport`] when reading failed for good.
    pub fn next(&self, wait: Duration) -> Result<Option<ConsumedRecord>> {
        match self.consumer.poll(wait) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(Some(consumed(&message))),
            Some(Err(error)) => Err(failed("read the topic", error)),
        }
    }

    fn places(&self, topic: &str, partition: Option<i32>, start: Start) -> Result<TopicPartitionList> {
        let unreachable = |error| failed("ask for the topic's partitions", error);
        let metadata = self.consumer.fetch_metadata(Some(topic), METADATA_MAX).map_err(unreachable)?;
        let known = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none());
        let missing = |what: String| Error::Config { reason: what };
        let known = known.ok_or_else(|| missing(format!("there is no topic {topic}")))?;
        let mut places = TopicPartitionList::new();
        for found in known.partitions() {
            if partition.is_none_or(|wanted| wanted == found.id()) {
                let offset = match start {
                    Start::Beginning => Offset::Beginning,
                    Start::End => Offset::End,
                    Start::Offset(offset) => Offset::Offset(offset),
                    // Looked up below; the field carries the time there.
                    Start::Time(time_ms) => Offset::Offset(time_ms),
                };
                places.add_partition_offset(topic, found.id(), offset).map_err(unreachable)?;
            }
        }
        if places.count() == 0 {
            return Err(missing(format!("topic {topic} has no partition {}", partition.unwrap_or_default())));
        }
        match start {
            Start::Time(_) => self.consumer.offsets_for_times(places, METADATA_MAX).map_err(unreachable),
            _ => Ok(places),
        }
    }
}
