//! Brokers and topics: what there is, how it is set, making and removing it.

use std::collections::BTreeMap;

use rdkafka::admin::{
    AlterConfig, ConfigSource, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;

use super::{ASK_MAX, KafkaAdmin, failed, options};
use crate::error::{Error, Result};

/// Topics whose settings are asked for in one request.
const SETTINGS_TOPICS_MAX: usize = 100;

/// The brokers and topics of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The brokers, by id.
    pub brokers: Vec<Broker>,
    /// The topics, by name.
    pub topics: Vec<Topic>,
}

/// A broker as it is advertised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: i32,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
}

/// A partition and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 0.
    pub id: i32,
    /// The id of the broker that leads it; `None` when nobody does.
    pub leader: Option<i32>,
    /// The ids of the brokers that keep it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The ids of those of them that have all of it.
    pub in_sync: Vec<i32>,
}

/// A topic's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name of it, such as `retention.ms`.
    pub name: String,
    /// Its value; `None` when the broker keeps it secret.
    pub value: Option<String>,
    /// Who set it.
    pub source: SettingSource,
}

/// Who set a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSource {
    /// Whoever made or altered the topic.
    Topic,
    /// The broker's own configuration.
    Broker,
    /// Nobody.
    Default,
}

/// A topic to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopicSpec {
    /// Its name.
    pub name: String,
    /// The number of its partitions; `None` lets the cluster decide.
    pub partitions: Option<i32>,
    /// How many brokers keep each; `None` lets the cluster decide.
    pub replicas: Option<i32>,
    /// Settings by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

impl KafkaAdmin {
    /// The brokers and topics there are.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster does not answer.
    pub async fn cluster(&self) -> Result<Cluster> {
        self.ask(|consumer| {
            let metadata =
                consumer.fetch_metadata(None, ASK_MAX).map_err(|error| failed("ask what the cluster has", error))?;
            let broker = |broker: &rdkafka::metadata::MetadataBroker| Broker {
                id: broker.id(),
                host: broker.host().to_owned(),
                port: broker.port(),
            };
            let mut cluster = Cluster {
                brokers: metadata.brokers().iter().map(broker).collect(),
                topics: metadata.topics().iter().filter(|topic| topic.error().is_none()).map(topic).collect(),
            };
            cluster.brokers.sort_by_key(|broker| broker.id);
            cluster.topics.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(cluster)
        })
        .await
    }

    /// The cluster's own id; `None` when it does not tell.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the runtime is ending.
    pub async fn cluster_id(&self) -> Result<Option<String>> {
        self.ask(|consumer| Ok(consumer.client().fetch_cluster_id(ASK_MAX))).await
    }

    /// The settings of topics, by topic; each list is in the broker's order.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster does not answer or does not know one of them.
    pub async fn topic_settings(&self, topics: &[String]) -> Result<BTreeMap<String, Vec<Setting>>> {
        let mut all = BTreeMap::new();
        for some in topics.chunks(SETTINGS_TOPICS_MAX) {
            let resources: Vec<_> = some.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
            let answers = self.client.describe_configs(&resources, &options()).await;
            for answer in answers.map_err(|error| failed("ask for settings of topics", error))? {
                let resource =
                    answer.map_err(|code| failed("ask for settings of topics", KafkaError::AdminOp(code)))?;
                let OwnedResourceSpecifier::Topic(topic) = resource.specifier else { continue };
                let settings = resource.entries.into_iter().map(|entry| Setting {
                    name: entry.name,
                    value: entry.value,
                    source: match entry.source {
                        ConfigSource::DynamicTopic => SettingSource::Topic,
                        ConfigSource::DynamicBroker
                        | ConfigSource::DynamicDefaultBroker
                        | ConfigSource::StaticBroker => SettingSource::Broker,
                        ConfigSource::Default | ConfigSource::Unknown => SettingSource::Default,
                    },
                });
                all.insert(topic, settings.collect());
            }
        }
        Ok(all)
    }

    /// Creates a topic, or only asks whether it could be created.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster refuses it, also because it exists, or does not answer.
    pub async fn create_topic(&self, spec: &NewTopicSpec, validate_only: bool) -> Result<()> {
        let new = NewTopic::new(
            &spec.name,
            spec.partitions.unwrap_or(-1),
            TopicReplication::Fixed(spec.replicas.unwrap_or(-1)),
        );
        let new = spec.settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let operation = format!("create topic {}", spec.name);
        let outcomes = self.client.create_topics([&new], &options().validate_only(validate_only)).await;
        settled(&operation, outcomes)
    }

    /// Deletes a topic with everything in it.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster refuses it or does not answer.
    pub async fn delete_topic(&self, topic: &str) -> Result<()> {
        settled(&format!("delete topic {topic}"), self.client.delete_topics(&[topic], &options()).await)
    }

    /// Changes settings of a topic by Kafka's names; those that it has besides stay as they are.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster refuses one or does not answer.
    pub async fn alter_topic_settings(&self, topic: &str, changes: &BTreeMap<String, String>) -> Result<()> {
        // The request replaces all that is set on the topic.
        let found = self.topic_settings(&[topic.to_owned()]).await?.remove(topic).unwrap_or_default();
        let own = found.into_iter().filter(|setting| setting.source == SettingSource::Topic);
        let mut settings: BTreeMap<String, String> =
            own.filter_map(|setting| Some((setting.name, setting.value?))).collect();
        settings.extend(changes.clone());
        let altered = settings
            .iter()
            .fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |altered, (name, value)| altered.set(name, value));
        let operation = format!("change settings of {topic}");
        let outcomes = self.client.alter_configs([&altered], &options()).await;
        for outcome in outcomes.map_err(|error| failed(&operation, error))? {
            outcome.map_err(|(_, code)| failed(&operation, KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }

    /// Gives a topic more partitions: `partitions` in all.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster refuses it or does not answer.
    pub async fn grow_topic(&self, topic: &str, partitions: usize) -> Result<()> {
        let new = NewPartitions::new(topic, partitions);
        settled(&format!("add partitions to {topic}"), self.client.create_partitions([&new], &options()).await)
    }
}

type Outcomes = rdkafka::error::KafkaResult<Vec<rdkafka::admin::TopicResult>>;

fn settled(operation: &str, outcomes: Outcomes) -> Result<()> {
    for outcome in outcomes.map_err(|error| failed(operation, error))? {
        outcome.map_err(|(_, code)| failed(operation, KafkaError::AdminOp(code)))?;
    }
    Ok(())
}

fn topic(found: &MetadataTopic) -> Topic {
    let mut partitions: Vec<Partition> = found
        .partitions()
        .iter()
        .map(|partition| Partition {
            id: partition.id(),
            leader: Some(partition.leader()).filter(|leader| *leader >= 0),
            replicas: partition.replicas().to_vec(),
            in_sync: partition.isr().to_vec(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.id);
    Topic { name: found.name().to_owned(), partitions }
}

impl Cluster {
    /// The topic of this name.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none.
    pub fn topic(&self, name: &str) -> Result<&Topic> {
        let found = self.topics.iter().find(|topic| topic.name == name);
        found.ok_or_else(|| Error::Config { reason: format!("there is no topic {name}") })
    }
}
