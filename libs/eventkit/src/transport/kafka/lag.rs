//! How far a group is behind, asked by one of its members: what it has committed, and where its partitions end.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::failed;
use crate::error::Result;
use crate::transport::TopicPartition;

/// How long each of the questions may take; a stopping member waits for none of them.
const ASK_MAX: Duration = Duration::from_secs(2);

/// The records of each partition that the group of `consumer` has not committed. Blocks its thread.
pub(super) fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, i64)>> {
    let committed = consumer
        .committed_offsets(list(partitions, Offset::Invalid)?, ASK_MAX)
        .map_err(|error| failed("ask for committed offsets", error))?;
    let committed = offsets(&committed);
    let ends = listed(consumer, partitions, Offset::End)?;
    // A group begins with the oldest record that is kept.
    let new: Vec<TopicPartition> = partitions.iter().filter(|place| !committed.contains_key(place)).cloned().collect();
    let begins = if new.is_empty() { HashMap::new() } else { listed(consumer, &new, Offset::Beginning)? };
    let lag = partitions.iter().filter_map(|place| {
        let next = committed.get(place).or_else(|| begins.get(place))?;
        Some((place.clone(), ends.get(place)? - next))
    });
    Ok(lag.collect())
}

/// Where partitions begin or end.
fn listed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[TopicPartition],
    at: Offset,
) -> Result<HashMap<TopicPartition, i64>> {
    let answer = consumer
        .offsets_for_times(list(partitions, at)?, ASK_MAX)
        .map_err(|error| failed("ask for the ends of partitions", error))?;
    Ok(offsets(&answer))
}

fn list(partitions: &[TopicPartition], offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for place in partitions {
        list.add_partition_offset(&place.topic, place.partition, offset)
            .map_err(|error| failed("name offsets", error))?;
    }
    Ok(list)
}

/// The offsets that are known.
fn offsets(list: &TopicPartitionList) -> HashMap<TopicPartition, i64> {
    let known = list.elements().into_iter().filter_map(|element| match (element.error(), element.offset()) {
        (Ok(()), Offset::Offset(offset)) => {
            Some((TopicPartition { topic: element.topic().to_owned(), partition: element.partition() }, offset))
        }
        _ => None,
    });
    known.collect()
}
