//! Topics: what there is and how much is in it, making and removing them.

use std::collections::BTreeMap;

use eventkit::transport::TopicPartition;
use eventkit::transport::kafka::admin::{NewTopicSpec, OffsetAt, SettingSource};
use serde::Serialize;

use crate::error::Result;
use crate::kafka::{Kafka, find, partitions_of};

/// How the names of topics begin that Kafka keeps for itself.
pub const INTERNAL_PREFIX: &str = "__";

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// The number of its partitions.
    pub partitions: usize,
    /// How many brokers keep each.
    pub replicas: usize,
    /// Offsets between beginning and end, over all partitions; with compaction or transactions some have no record.
    pub records: i64,
    /// How long records are kept, in milliseconds; -1 is for ever.
    pub retention_ms: Option<i64>,
}

/// A topic as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// The id of the broker that leads it.
    pub leader: Option<i32>,
    /// The ids of the brokers that keep it.
    pub replicas: Vec<i32>,
    /// The ids of those that have all of it.
    pub in_sync: Vec<i32>,
    /// The offset of the oldest record.
    pub low: i64,
    /// The offset that the next record will have.
    pub high: i64,
    /// Offsets between the two.
    pub records: i64,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Kafka's name of it.
    pub name: String,
    /// Its value; nothing when the broker keeps it secret.
    pub value: Option<String>,
    /// `topic`, `broker` or `default`: who set it.
    pub set_by: &'static str,
}

/// What deleting a topic would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: usize,
    /// The records in it, as [`Summary::records`] counts.
    pub records: i64,
    /// The groups with offsets in it.
    pub groups: Vec<String>,
}

impl Kafka {
    /// Every topic; Kafka's own only with `internal`.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn list_topics(&self, internal: bool) -> Result<Vec<Summary>> {
        let mut topics = self.cluster().await?.topics;
        topics.retain(|topic| internal || !topic.name.starts_with(INTERNAL_PREFIX));
        let partitions: Vec<TopicPartition> = topics.iter().flat_map(partitions_of).collect();
        let low = self.admin.offsets(&partitions, OffsetAt::Beginning).await?;
        let high = self.admin.offsets(&partitions, OffsetAt::End).await?;
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let settings = self.admin.topic_settings(&names).await?;
        let summary = |topic: &eventkit::transport::kafka::admin::Topic| Summary {
            name: topic.name.clone(),
            partitions: topic.partitions.len(),
            replicas: topic.partitions.first().map_or(0, |partition| partition.replicas.len()),
            records: partitions_of(topic).iter().map(|place| between(&low, &high, place)).sum(),
            retention_ms: settings.get(&topic.name).and_then(|settings| {
                let retention = settings.iter().find(|setting| setting.name == "retention.ms")?;
                retention.value.as_ref()?.parse().ok()
            }),
        };
        Ok(topics.iter().map(summary).collect())
    }

    /// One topic with its partitions and settings.
    ///
    /// # Errors
    /// There is none of this name, or the cluster does not answer.
    pub async fn describe_topic(&self, name: &str) -> Result<Description> {
        let cluster = self.cluster().await?;
        let topic = find(&cluster, name)?;
        let places = partitions_of(topic);
        let low = self.admin.offsets(&places, OffsetAt::Beginning).await?;
        let high = self.admin.offsets(&places, OffsetAt::End).await?;
        let partitions = topic.partitions.iter().zip(&places).map(|(partition, place)| Partition {
            partition: partition.id,
            leader: partition.leader,
            replicas: partition.replicas.clone(),
            in_sync: partition.in_sync.clone(),
            low: low.get(place).copied().unwrap_or_default(),
            high: high.get(place).copied().unwrap_or_default(),
            records: between(&low, &high, place),
        });
        let settings = self.admin.topic_settings(&[name.to_owned()]).await?.remove(name).unwrap_or_default();
        let mut settings: Vec<Setting> = settings
            .into_iter()
            .map(|setting| Setting { name: setting.name, value: setting.value, set_by: set_by(setting.source) })
            .collect();
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Description { name: name.to_owned(), partitions: partitions.collect(), settings })
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// It exists, or the cluster refuses it or does not answer.
    pub async fn create_topic(&self, spec: &NewTopicSpec) -> Result<()> {
        self.cluster().await?;
        Ok(self.admin.create_topic(spec, false).await?)
    }

    /// Changes settings of a topic and leaves its others; with `partitions` it has so many from then on, and keys move.
    ///
    /// # Errors
    /// There is no such topic, or the cluster refuses it or does not answer.
    pub async fn alter_topic(
        &self,
        name: &str,
        partitions: Option<usize>,
        settings: &BTreeMap<String, String>,
    ) -> Result<()> {
        find(&self.cluster().await?, name)?;
        if !settings.is_empty() {
            self.admin.alter_topic_settings(name, settings).await?;
        }
        match partitions {
            Some(partitions) => Ok(self.admin.grow_topic(name, partitions).await?),
            None => Ok(()),
        }
    }

    /// What [`Kafka::delete_topic`] would remove.
    ///
    /// # Errors
    /// There is no such topic, or the cluster does not answer.
    pub async fn plan_deletion(&self, name: &str) -> Result<Deletion> {
        let cluster = self.cluster().await?;
        let places = partitions_of(find(&cluster, name)?);
        let low = self.admin.offsets(&places, OffsetAt::Beginning).await?;
        let high = self.admin.offsets(&places, OffsetAt::End).await?;
        let mut groups = Vec::new();
        for group in self.admin.groups(None).await? {
            if !self.admin.committed(&group.id, &places).await?.is_empty() {
                groups.push(group.id);
            }
        }
        let records = places.iter().map(|place| between(&low, &high, place)).sum();
        Ok(Deletion { topic: name.to_owned(), partitions: places.len(), records, groups })
    }

    /// Deletes a topic with everything in it.
    ///
    /// # Errors
    /// There is no such topic, or the cluster refuses it or does not answer.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        find(&self.cluster().await?, name)?;
        Ok(self.admin.delete_topic(name).await?)
    }
}

fn between(low: &BTreeMap<TopicPartition, i64>, high: &BTreeMap<TopicPartition, i64>, place: &TopicPartition) -> i64 {
    let at = |offsets: &BTreeMap<TopicPartition, i64>| offsets.get(place).copied().unwrap_or_default();
    (at(high) - at(low)).max(0)
}

fn set_by(source: SettingSource) -> &'static str {
    match source {
        SettingSource::Topic => "topic",
        SettingSource::Broker => "broker",
        SettingSource::Default => "default",
    }
}
