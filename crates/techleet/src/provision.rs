//! The topics that have to exist: made at start, or as soon as a broker answers.

use std::time::Duration;

use contracts::topics::required_topics;
use eventkit::transport::kafka::{KafkaConfig, TopicSpec, ensure_topics};

/// How long to wait before a broker that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(2);

/// Makes the topics that are missing.
pub(crate) async fn topics(kafka: &KafkaConfig) -> eventkit::Result<()> {
    let topics: Vec<TopicSpec> = required_topics()
        .into_iter()
        .map(|topic| TopicSpec { name: topic.name, partitions: topic.partitions, settings: topic.settings })
        .collect();
    ensure_topics(kafka, &topics).await
}

/// Makes the topics that are missing as soon as a broker answers; a part starts without waiting for that.
pub(crate) fn topics_soon(kafka: KafkaConfig) {
    tokio::spawn(async move {
        while let Err(error) = topics(&kafka).await {
            tracing::warn!(error = eventkit::chain(&error), "topics could not be made yet");
            tokio::time::sleep(PAUSE).await;
        }
    });
}
