//! What an operator does to a cluster: topics, offsets and groups; and what a start does: makes topics exist.

mod groups;
mod offsets;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::{KafkaConfig, LogContext, client_settings, failed, refused_setting};
use crate::error::{Error, Result};

pub use groups::{Group, Member};
pub use offsets::{Committed, OffsetAt};
pub use topics::{Broker, Cluster, NewTopicSpec, Partition, Setting, SettingSource, Topic};

/// How long the cluster may take to create topics.
const CREATE_MAX: Duration = Duration::from_secs(30);
/// How long the cluster may take to answer a question, the first connection included.
const ASK_MAX: Duration = Duration::from_secs(8);

/// A topic as it is to be created, with as many replicas as the cluster gives by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// The number of its partitions.
    pub partitions: i32,
    /// Settings by Kafka's names, such as `retention.ms`.
    pub settings: BTreeMap<String, String>,
}

/// Creates the topics that do not exist and answers their names; those that do are left as they are.
///
/// # Errors
/// [`crate::Error::Transport`] when the cluster does not answer or refuses one.
pub async fn ensure_topics(config: &KafkaConfig, topics: &[TopicSpec]) -> Result<Vec<String>> {
    let admin: AdminClient<LogContext> =
        client_settings(config)?.create_with_context(LogContext).map_err(refused_setting)?;
    let new_topics: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
            topic.settings.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(CREATE_MAX)).operation_timeout(Some(CREATE_MAX));
    let outcomes = admin.create_topics(&new_topics, &options).await;
    // Ending the client takes a poll interval, which nobody needs to wait for.
    tokio::task::spawn_blocking(move || drop(admin));
    let outcomes = outcomes.map_err(|error| failed("create topics", error))?;
    let mut created = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(topic) => created.push(topic),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(failed(&format!("create topic {topic}"), KafkaError::AdminOp(code)));
            }
        }
    }
    Ok(created)
}

/// An operator's view of a cluster. Nothing here joins a group; what commits an offset says so.
pub struct KafkaAdmin {
    config: KafkaConfig,
    client: Arc<AdminClient<LogContext>>,
    /// Asks what no admin call answers: metadata, groups, offsets.
    asking: Arc<BaseConsumer<LogContext>>,
}

impl std::fmt::Debug for KafkaAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaAdmin").field("config", &self.config).finish_non_exhaustive()
    }
}

impl KafkaAdmin {
    /// A client for the cluster; it connects with the first question.
    ///
    /// # Errors
    /// [`Error::Config`] when librdkafka refuses a setting.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        let client = client_settings(&config)?.create_with_context(LogContext).map_err(refused_setting)?;
        let asking = asking_for(&config, "techleet-admin")?;
        Ok(Self { config, client: Arc::new(client), asking: Arc::new(asking) })
    }

    /// Where it connects first, `host:port` separated by commas.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.config.brokers
    }

    /// Runs a question that blocks its thread.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<LogContext>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let asking = self.asking.clone();
        blocking(move || question(&asking)).await
    }
}

/// Ending the clients takes poll intervals, which nobody needs to wait for.
impl Drop for KafkaAdmin {
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (client, asking) = (self.client.clone(), self.asking.clone());
            runtime.spawn_blocking(move || drop((client, asking)));
        }
    }
}

/// A consumer that speaks for `group` without being its member.
fn asking_for(config: &KafkaConfig, group: &str) -> Result<BaseConsumer<LogContext>> {
    client_settings(config)?
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        // The end of a partition is where the next record goes, whether transactions are finished or not.
        .set("isolation.level", "read_uncommitted")
        .set("allow.auto.create.topics", "false")
        .create_with_context(LogContext)
        .map_err(refused_setting)
}

async fn blocking<T: Send + 'static>(question: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(question).await.unwrap_or(Err(Error::Stopped))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CREATE_MAX)).operation_timeout(Some(CREATE_MAX))
}
