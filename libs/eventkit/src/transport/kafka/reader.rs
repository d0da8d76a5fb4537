//! Reading topics as a person who looks at them does: outside any group, where nothing is committed and nobody is
//! disturbed, or as a member of a group of its own.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use super::subscription::consumed;
use super::{KafkaConfig, LogContext, consumer_settings, failed, refused_setting};
use crate::error::{Error, Result};
use crate::transport::ConsumedRecord;

/// How long the broker may take to tell what a topic consists of.
const METADATA_MAX: Duration = Duration::from_secs(8);

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

/// What reading on gives.
#[derive(Debug)]
pub enum Next {
    /// A record of any partition.
    Record(ConsumedRecord),
    /// Nothing came in time.
    Nothing,
    /// Every partition has been read up to where it ended at that moment.
    End,
}

/// Reads every partition of one topic, or what a group gives it.
pub struct KafkaReader {
    consumer: BaseConsumer<LogContext>,
    /// Partitions whose end has not been reached yet; `None` in a group, where they change.
    open: Option<Mutex<BTreeSet<i32>>>,
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
        Self::open_with(config, topic, partition, start, &[])
    }

    /// As [`KafkaReader::open`], with settings of the client by its own names laid over ours.
    ///
    /// # Errors
    /// As [`KafkaReader::open`]; [`Error::Config`] also when the client refuses a setting.
    pub fn open_with(
        config: &KafkaConfig,
        topic: &str,
        partition: Option<i32>,
        start: Start,
        overrides: &[(String, String)],
    ) -> Result<Self> {
        let mut settings = settings(config)?;
        settings
            // librdkafka wants a name; without subscribing or committing it joins no group.
            .set("group.id", "techleet-reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest");
        let consumer = create(settings, overrides)?;
        let mut reader = Self { consumer, open: None };
        let places = reader.places(topic, partition, start)?;
        reader.consumer.assign(&places).map_err(|error| failed("read the topic", error))?;
        reader.open = Some(Mutex::new(places.elements().iter().map(|place| place.partition()).collect()));
        Ok(reader)
    }

    /// Joins `group` and reads what it gives. A topic that begins with `^` is a regular expression. What was marked with
    /// [`KafkaReader::mark_done`] is committed from time to time and at the end.
    ///
    /// # Errors
    /// [`Error::Config`] when the client refuses a setting or the topics.
    pub fn join(
        config: &KafkaConfig,
        topics: &[&str],
        group: &str,
        from_beginning: bool,
        overrides: &[(String, String)],
    ) -> Result<Self> {
        let mut settings = settings(config)?;
        settings
            .set("group.id", group)
            .set("enable.auto.commit", "true")
            .set("enable.auto.offset.store", "false")
            .set("session.timeout.ms", config.session_timeout_ms.to_string())
            // Otherwise a topic that comes into being is noticed after five minutes.
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("auto.offset.reset", if from_beginning { "earliest" } else { "latest" });
        let consumer = create(settings, overrides)?;
        consumer.subscribe(topics).map_err(refused_setting)?;
        Ok(Self { consumer, open: None })
    }

    /// The next record of any partition; `None` when none came within `wait`. Blocks.
    ///
    /// # Errors
    /// [`Error::Transport`] when reading failed for good.
    pub fn next(&self, wait: Duration) -> Result<Option<ConsumedRecord>> {
        let give_up_at = Instant::now() + wait;
        loop {
            let left = give_up_at.saturating_duration_since(Instant::now());
            match self.next_or_end(left)? {
                Next::Record(record) => return Ok(Some(record)),
                // The end of what is there now says nothing of what may come.
                Next::Nothing | Next::End if left.is_zero() => return Ok(None),
                Next::Nothing | Next::End => {}
            }
        }
    }

    /// As [`KafkaReader::next`], and tells when everything has been read. Blocks.
    ///
    /// # Errors
    /// As [`KafkaReader::next`].
    pub fn next_or_end(&self, wait: Duration) -> Result<Next> {
        match self.consumer.poll(wait) {
            None => Ok(Next::Nothing),
            Some(Ok(message)) => Ok(Next::Record(consumed(&message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(self.ended(partition)),
            Some(Err(error)) => Err(failed("read the topic", error)),
        }
    }

    /// Marks a record as done with: its group goes on behind it. Outside a group it does nothing.
    ///
    /// # Errors
    /// [`Error::Transport`] when the partition is no longer this member's.
    pub fn mark_done(&self, record: &ConsumedRecord) -> Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        self.consumer
            .store_offset(&record.record.topic, record.partition, record.offset)
            .map_err(|error| failed("mark a record as read", error))
    }

    fn ended(&self, partition: i32) -> Next {
        let Some(open) = &self.open else { return Next::Nothing };
        let mut open: MutexGuard<'_, _> = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&partition);
        if open.is_empty() { Next::End } else { Next::Nothing }
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
            Start::Time(_) => self.offsets_at(&places).map_err(unreachable),
            _ => Ok(places),
        }
    }

    /// The first offsets at or after times. Where there is none yet, the end as it was *before* asking: an end that is
    /// looked up later may lie behind records that came meanwhile.
    fn offsets_at(&self, times: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
        let mut ends = TopicPartitionList::new();
        for place in times.elements() {
            let (_, end) = self.consumer.fetch_watermarks(place.topic(), place.partition(), METADATA_MAX)?;
            ends.add_partition_offset(place.topic(), place.partition(), Offset::Offset(end))?;
        }
        for found in self.consumer.offsets_for_times(times.clone(), METADATA_MAX)?.elements() {
            if let Offset::Offset(_) = found.offset() {
                ends.set_partition_offset(found.topic(), found.partition(), found.offset())?;
            }
        }
        Ok(ends)
    }
}

fn settings(config: &KafkaConfig) -> Result<ClientConfig> {
    let mut settings = consumer_settings(config)?;
    settings.set("isolation.level", "read_committed").set("allow.auto.create.topics", "false");
    Ok(settings)
}

fn create(mut settings: ClientConfig, overrides: &[(String, String)]) -> Result<BaseConsumer<LogContext>> {
    for (name, value) in overrides {
        settings.set(name, value);
    }
    settings.create_with_context(LogContext).map_err(refused_setting)
}
