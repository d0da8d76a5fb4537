//! The connection to a cluster that all operations go through.

use eventkit::transport::TopicPartition;
use eventkit::transport::kafka::KafkaConfig;
use eventkit::transport::kafka::admin::{Cluster, KafkaAdmin, Topic};

use crate::error::{Error, Result};

/// An operator's connection to a Kafka cluster.
#[derive(Debug)]
pub struct Kafka {
    pub(crate) config: KafkaConfig,
    pub(crate) admin: KafkaAdmin,
}

impl Kafka {
    /// Connects, and makes sure that a broker answers.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when none does.
    pub async fn connect(config: KafkaConfig) -> Result<Self> {
        let kafka = Self::new(config)?;
        kafka.cluster().await?;
        Ok(kafka)
    }

    /// A connection that is made with the first question.
    ///
    /// # Errors
    /// A setting is refused.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        let admin = KafkaAdmin::new(config.clone())?;
        Ok(Self { config, admin })
    }

    /// The brokers and topics there are.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when no broker answers.
    pub async fn cluster(&self) -> Result<Cluster> {
        let brokers = self.config.brokers.clone();
        self.admin.cluster().await.map_err(|source| Error::Unreachable { brokers, source })
    }

    /// How the cluster is reached.
    #[must_use]
    pub fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// The calls below the operations, for tools that speak in Kafka's own terms.
    #[must_use]
    pub fn admin(&self) -> &KafkaAdmin {
        &self.admin
    }
}

/// Every partition of a topic.
pub(crate) fn partitions_of(topic: &Topic) -> Vec<TopicPartition> {
    topic
        .partitions
        .iter()
        .map(|partition| TopicPartition { topic: topic.name.clone(), partition: partition.id })
        .collect()
}

/// The topic of this name.
pub(crate) fn find<'a>(cluster: &'a Cluster, topic: &str) -> Result<&'a Topic> {
    let found = cluster.topics.iter().find(|found| found.name == topic);
    found.ok_or_else(|| Error::NoTopic { topic: topic.to_owned() })
}
