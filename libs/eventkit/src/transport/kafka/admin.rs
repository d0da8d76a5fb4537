//! Makes topics exist.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::{KafkaConfig, LogContext, client_settings, failed, refused_setting};
use crate::error::Result;

/// How long the cluster may take to create topics.
const CREATE_MAX: Duration = Duration::from_secs(30);

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

/// Creates the topics that do not exist; those that do are left as they are.
///
/// # Errors
/// [`crate::Error::Transport`] when the cluster does not answer or refuses one.
pub async fn ensure_topics(config: &KafkaConfig, topics: &[TopicSpec]) -> Result<()> {
    let admin: AdminClient<LogContext> =
        client_settings(config).create_with_context(LogContext).map_err(refused_setting)?;
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
    for outcome in outcomes {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(failed(&format!("create topic {topic}"), KafkaError::AdminOp(code)));
            }
        }
    }
    Ok(())
}
