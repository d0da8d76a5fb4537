//! A topic that disappears under a running part is told by its health, and made again where the part may do that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::topics::required_topics;
use contracts::traffic;
use eventkit::chain;
use eventkit::transport::kafka::{KafkaConfig, KafkaTransport, TopicSpec, ensure_topics};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::http::{Health, HealthChecks};

/// How often the topics are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks after the topics of one part until it is dropped.
#[derive(Debug)]
pub(crate) struct TopicWatch(AbortHandle);

impl TopicWatch {
    /// None for a part that is not told of in the table of traffic.
    pub(crate) fn start(
        part: &'static str,
        kafka: KafkaConfig,
        transport: &Arc<KafkaTransport>,
        checks: &HealthChecks,
    ) -> Option<Self> {
        let topics = traffic::of(part)?.topics();
        let (tell, missing) = watch::channel(Vec::<String>::new());
        checks.add("topics", move || {
            let missing = missing.borrow().join(", ");
            async move {
                match missing.is_empty() {
                    true => Health::Ready,
                    false => Health::degraded(format!("not there, or not to be seen by this part: {missing}")),
                }
            }
        });
        let transport = Arc::downgrade(transport);
        let watching = async move {
            let mut look = tokio::time::interval_at(tokio::time::Instant::now() + LOOK_EVERY, LOOK_EVERY);
            loop {
                look.tick().await;
                let Some(transport) = transport.upgrade() else { return };
                // That the cluster is away is told elsewhere.
                let Ok(missing) = transport.missing(topics.clone()).await else { continue };
                let is_news = *tell.borrow() != missing;
                if !missing.is_empty() {
                    make(part, &kafka, &missing, is_news).await;
                }
                tell.send_replace(missing);
            }
        };
        Some(Self(tokio::spawn(watching).abort_handle()))
    }
}

/// Makes topics that are missing; whether they are there then is seen at the next look.
async fn make(part: &str, kafka: &KafkaConfig, missing: &[String], is_news: bool) {
    let names: BTreeSet<&str> = missing.iter().map(String::as_str).collect();
    let specs: Vec<TopicSpec> = required_topics()
        .into_iter()
        .filter(|topic| names.contains(topic.name.as_str()))
        .map(|topic| TopicSpec { name: topic.name, partitions: topic.partitions, settings: topic.settings })
        .collect();
    let topics = missing.join(", ");
    match ensure_topics(kafka, &specs).await {
        // Another part was faster, or they were there all the time and this one may not see them.
        Ok(made) if made.is_empty() => {}
        Ok(made) => tracing::error!(
            part,
            topics = made.join(", "),
            "topics were missing and are made again: what was on them is gone; `techleet events replay` tells it again"
        ),
        Err(error) if is_news => {
            let error = chain(&error);
            tracing::error!(
                part,
                topics,
                error,
                "topics are missing, or this part may not see them, and it may make none"
            );
        }
        Err(_) => {}
    }
}

impl Drop for TopicWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
