//! A client that makes topics, gives them partitions and deletes them, under the same few names again and again.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::batch::{batch, decode};
use crate::support::wire::{Ask, Wire, text, topic_name};

use super::clients::{Door, Told};

const NAMES: usize = 4;
const PARTITIONS_MAX: i32 = 6;
/// Records that stay when it deletes records.
const LEFT: i64 = 15;

/// What it knows of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Is {
    Gone,
    /// `first` is its only record, if that was acknowledged.
    There {
        partitions: i32,
        first: Option<String>,
    },
    /// A change was asked for and not answered.
    Unknown,
}

/// The owner of topics.
#[derive(Debug)]
pub(super) struct Owner {
    topics: BTreeMap<String, Is>,
    /// A topic of others, of which it deletes records.
    trimmed: String,
    made: usize,
    random: StdRng,
}

impl Owner {
    pub(super) fn new(prefix: &str, trimmed: &str, seed: u64) -> Self {
        let topics = (0..NAMES).map(|at| (format!("{prefix}-{at}"), Is::Gone)).collect();
        Self { topics, trimmed: trimmed.to_owned(), made: 0, random: StdRng::seed_from_u64(seed) }
    }

    pub(super) async fn go_on(&mut self, door: &Door, told: &Told) {
        let mut wire = door.wire().await;
        loop {
            let at = self.random.random_range(0..NAMES);
            let name = self.topics.keys().nth(at).unwrap().clone();
            let before = self.topics.insert(name.clone(), Is::Unknown).unwrap();
            let is = match before {
                Is::Gone => self.make(&mut wire, &name).await,
                Is::There { partitions, .. } if partitions == PARTITIONS_MAX || self.random.random_bool(0.5) => {
                    assert_eq!(delete(&mut wire, &name).await, 0, "deleting {name}");
                    Is::Gone
                }
                Is::There { partitions, first } => {
                    let topic = CreatePartitionsTopic::default().with_name(topic_name(&name));
                    let topic = topic.with_count(partitions + 1).with_assignments(None);
                    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
                    assert_eq!(wire.call(3, &request).await.results[0].error_code, 0, "partitions for {name}");
                    Is::There { partitions: partitions + 1, first }
                }
                Is::Unknown => panic!("{name} was not looked at"),
            };
            self.topics.insert(name, is);
            let (_, end) = wire.watermarks_or_zero(&self.trimmed).await;
            let (code, log_start) = wire.delete_records(&self.trimmed, 0, (end - LEFT).max(0)).await;
            assert_eq!(code, 0, "deleting records of {}", self.trimmed);
            told.of(&self.trimmed, |told| told.saw_log_start(0, log_start));
        }
    }

    /// Makes a topic with one record.
    async fn make(&mut self, wire: &mut Wire, name: &str) -> Is {
        assert_eq!(create(wire, name, &[]).await, 0, "making {name}");
        self.made += 1;
        let value = format!("{name}, {} made", self.made);
        // From here on it is there, with the record or without.
        self.topics.insert(name.to_owned(), Is::There { partitions: 1, first: None });
        let produced = wire.produce(name, 0, batch(&[&value])).await;
        assert_eq!((produced.error_code, produced.base_offset), (0, 0), "the first record of {name}");
        Is::There { partitions: 1, first: Some(value) }
    }

    /// Compares what it knows with what a broker shows; answers what does not go together.
    pub(super) async fn judge(&mut self, wire: &mut Wire) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, known) in &mut self.topics {
            let shown = show(wire, name).await;
            let fits = match (&*known, &shown) {
                (Is::Unknown, _) => true,
                (Is::There { partitions, first: None }, Is::There { partitions: shown, .. }) => partitions == shown,
                (known, shown) => known == shown,
            };
            if !fits {
                faults.push(format!("{name} was {known:?} and is {shown:?}"));
            }
            *known = shown;
        }
        faults
    }
}

async fn show(wire: &mut Wire, name: &str) -> Is {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
    let topic = wire.call(12, &request).await.topics.remove(0);
    if topic.error_code == ResponseError::UnknownTopicOrPartition.code() {
        return Is::Gone;
    }
    assert_eq!(topic.error_code, 0, "{name}");
    let partition = wire.fetch(name, 0, Ask::at(0)).await;
    assert_eq!(partition.error_code, 0, "{name}");
    let records = partition.records.filter(|bytes| !bytes.is_empty()).map(|bytes| decode(&bytes)).unwrap_or_default();
    assert!(records.len() < 2, "{name} shows {records:?}");
    Is::There {
        partitions: i32::try_from(topic.partitions.len()).unwrap(),
        first: records.into_iter().next().map(|(_, _, value)| value),
    }
}

/// Makes a topic of one partition; returns the code.
pub(super) async fn create(wire: &mut Wire, name: &str, configs: &[(&str, &str)]) -> i16 {
    let config = |(key, value): &(&str, &str)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(configs.iter().map(config).collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    wire.call(5, &request).await.topics[0].error_code
}

/// Deletes a topic; returns the code.
pub(super) async fn delete(wire: &mut Wire, name: &str) -> i16 {
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(5_000);
    wire.call(5, &request).await.responses[0].error_code
}
