//! Offsets: where partitions begin and end, where a group stands, and moving it.

use std::collections::BTreeMap;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{ASK_MAX, KafkaAdmin, asking_for, blocking, failed};
use crate::error::Result;
use crate::transport::TopicPartition;

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The oldest record that is kept.
    Beginning,
    /// The next record to be written.
    End,
    /// The first record at or after this time, in milliseconds since 1970; the end when there is none.
    Time(i64),
}

/// What a group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next record that it wants.
    pub offset: i64,
    /// What the committer noted beside it.
    pub metadata: String,
}

impl KafkaAdmin {
    /// An offset of each of these partitions.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the cluster does not answer, or a partition has no leader.
    pub async fn offsets(&self, partitions: &[TopicPartition], at: OffsetAt) -> Result<BTreeMap<TopicPartition, i64>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let time = match at {
            OffsetAt::Beginning => Offset::Beginning,
            OffsetAt::End => Offset::End,
            // The field of the offset carries the time into the question.
            OffsetAt::Time(time_ms) => Offset::Offset(time_ms),
        };
        let asked = list(partitions.iter().map(|partition| (partition.clone(), time)))?;
        let answers = self
            .ask(move |consumer| {
                let answer =
                    consumer.offsets_for_times(asked, ASK_MAX).map_err(|error| failed("ask for offsets", error))?;
                let mut offsets = BTreeMap::new();
                for element in answer.elements() {
                    element.error().map_err(|error| failed("ask for offsets", error))?;
                    let offset = match element.offset() {
                        Offset::Offset(offset) => Some(offset),
                        _ => None,
                    };
                    offsets.insert(place(element.topic(), element.partition()), offset);
                }
                Ok(offsets)
            })
            .await?;
        let open: Vec<TopicPartition> =
            answers.iter().filter(|(_, offset)| offset.is_none()).map(|(partition, _)| partition.clone()).collect();
        // No record is as young as that: then it is the end.
        let ends = match at {
            OffsetAt::Time(_) => Box::pin(self.offsets(&open, OffsetAt::End)).await?,
            OffsetAt::Beginning | OffsetAt::End => BTreeMap::new(),
        };
        let known = answers.into_iter().filter_map(|(partition, offset)| Some((partition, offset?)));
        Ok(known.chain(ends).collect())
    }

    /// What `group` has committed for these partitions; those without a commit are missing.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the cluster does not answer.
    pub async fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Committed>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let consumer = asking_for(&self.config, group)?;
        let asked = list(partitions.iter().map(|partition| (partition.clone(), Offset::Invalid)))?;
        let operation = format!("ask for the offsets of group {group}");
        blocking(move || {
            let answer = consumer.committed_offsets(asked, ASK_MAX).map_err(|error| failed(&operation, error))?;
            let mut committed = BTreeMap::new();
            for element in answer.elements() {
                if let Offset::Offset(offset) = element.offset() {
                    let metadata = element.metadata().to_owned();
                    committed.insert(place(element.topic(), element.partition()), Committed { offset, metadata });
                }
            }
            Ok(committed)
        })
        .await
    }

    /// Commits offsets in the name of `group`, which must have no members.
    ///
    /// # Errors
    /// [`crate::Error::Transport`] when the cluster refuses it, as when the group has members, or does not answer.
    pub async fn commit(&self, group: &str, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        let consumer = asking_for(&self.config, group)?;
        let places = list(offsets.iter().map(|(partition, offset)| (partition.clone(), Offset::Offset(*offset))))?;
        let operation = format!("commit offsets for group {group}");
        blocking(move || consumer.commit(&places, CommitMode::Sync).map_err(|error| failed(&operation, error))).await
    }
}

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), partition }
}

fn list(places: impl Iterator<Item = (TopicPartition, Offset)>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in places {
        list.add_partition_offset(&partition.topic, partition.partition, offset)
            .map_err(|error| failed("name offsets", error))?;
    }
    Ok(list)
}
