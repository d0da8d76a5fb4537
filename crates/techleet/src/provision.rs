//! The topics that have to exist: made at start, or as soon as a broker answers.

use std::time::Duration;

use contracts::topics::required_topics;
use contracts::traffic::{self, Traffic};
use eventkit::transport::kafka::{KafkaConfig, TopicSpec, ensure_topics};
use ops::Kafka;
use ops::health::{Finding, Status};

/// How long to wait before a broker that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(2);

/// Makes the topics that are missing.
pub(crate) async fn topics(kafka: &KafkaConfig) -> eventkit::Result<()> {
    let topics: Vec<TopicSpec> = required_topics()
        .into_iter()
        .map(|topic| TopicSpec { name: topic.name, partitions: topic.partitions, settings: topic.settings })
        .collect();
    ensure_topics(kafka, &topics).await.map(drop)
}

/// Makes the topics that are missing as soon as a broker answers; `part` starts without waiting for that.
pub(crate) fn topics_soon(kafka: KafkaConfig, part: &'static str) {
    tokio::spawn(async move {
        let mut is_told = false;
        while let Err(error) = topics(&kafka).await {
            if are_there(&kafka, part).await {
                tracing::info!(part, "topics are there; this part may make none");
                return;
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(error = eventkit::chain(&error), "topics could not be made yet and will be tried again");
            }
            tokio::time::sleep(PAUSE).await;
        }
        mend(kafka).await;
    });
}

/// Whether somebody else has made those that a part needs, where it may make none; more than those it may not see.
async fn are_there(kafka: &KafkaConfig, part: &str) -> bool {
    let needed = traffic::of(part).map(Traffic::topics).unwrap_or_default();
    match Kafka::new(kafka.clone()) {
        Ok(kafka) => kafka.has_topics(&needed).await.unwrap_or(false),
        Err(_) => false,
    }
}

/// Mends what differs from the table, without holding the start up.
pub(crate) fn mend_soon(kafka: KafkaConfig) {
    tokio::spawn(mend(kafka));
}

/// Lets topics keep records for as long as the table says, which loses nothing. Whatever else differs is told with the
/// command that mends it: fewer partitions cannot be, more move keys, and a shorter retention deletes.
async fn mend(kafka: KafkaConfig) {
    let outcome = async {
        let kafka = Kafka::new(kafka)?;
        let cluster = kafka.cluster().await?;
        for topic in kafka.lengthen_retention(&cluster).await? {
            tracing::warn!(topic, "topic keeps its records longer now, as the table says");
        }
        kafka.check_topics(&cluster).await
    };
    match outcome.await {
        Ok(findings) => {
            for Finding { check, message, advice, .. } in
                findings.into_iter().filter(|found| found.status != Status::Ok)
            {
                tracing::warn!(check, message, advice, "topic is not as the table says");
            }
        }
        Err(error) => tracing::warn!(error = eventkit::chain(&error), "topics could not be compared with the table"),
    }
}
