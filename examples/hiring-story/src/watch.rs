//! Prints every event as it comes onto its topic, and lets the story wait for one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use contracts::topics::TOPICS;
use eventkit::Envelope;
use eventkit::transport::ConsumedRecord;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::say;

/// How long an event is waited for.
const COME_MAX: Duration = Duration::from_secs(90);
/// Bounds how late the end of the story is noticed.
const POLL_MAX: Duration = Duration::from_millis(100);

/// What was seen of an event.
#[derive(Debug)]
struct Seen {
    topic: &'static str,
    key: String,
    event_type: String,
}

#[derive(Debug, Default)]
struct Shared {
    /// What came and was not waited for yet.
    seen: Mutex<Vec<Seen>>,
    came: Notify,
    is_over: AtomicBool,
}

/// Reads all topics, outside of any group: nobody is disturbed by it.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    readers: JoinSet<anyhow::Result<()>>,
}

impl Watch {
    /// Watches everything from `since_ms` on.
    pub(crate) fn open(kafka: &KafkaConfig, since_ms: i64) -> Self {
        let shared = Arc::new(Shared::default());
        let mut readers = JoinSet::new();
        for topic in TOPICS {
            let (kafka, shared) = (kafka.clone(), shared.clone());
            readers.spawn_blocking(move || read(&kafka, topic.name, since_ms, &shared));
        }
        Self { shared, readers }
    }

    /// Waits until such an event has come; each is waited for once.
    pub(crate) async fn wait_for(&self, topic: &'static str, key: &str, event_type: &str) -> anyhow::Result<()> {
        self.wait(topic, Some(key), event_type).await?;
        Ok(())
    }

    /// Waits until an event of this type has come that nobody has waited for yet; answers its key.
    pub(crate) async fn wait_for_next(&self, topic: &'static str, event_type: &str) -> anyhow::Result<String> {
        self.wait(topic, None, event_type).await
    }

    async fn wait(&self, topic: &'static str, key: Option<&str>, event_type: &str) -> anyhow::Result<String> {
        let waiting = tokio::time::timeout(COME_MAX, async {
            loop {
                let came = self.shared.came.notified();
                if let Some(key) = self.shared.take(topic, key, event_type) {
                    return key;
                }
                came.await;
            }
        });
        waiting.await.with_context(|| format!("{event_type} of {} did not come onto {topic}", key.unwrap_or("anybody")))
    }

    /// Ends the reading.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.readers.join_all().await.into_iter().collect()
    }
}

impl Shared {
    fn take(&self, topic: &str, key: Option<&str>, event_type: &str) -> Option<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |event: &Seen| {
            event.topic == topic && event.event_type == event_type && key.is_none_or(|key| event.key == key)
        };
        let index = seen.iter().position(is_it)?;
        Some(seen.remove(index).key)
    }
}

fn read(kafka: &KafkaConfig, topic: &'static str, since_ms: i64, shared: &Shared) -> anyhow::Result<()> {
    let reader = KafkaReader::open(kafka, topic, None, Start::Time(since_ms))?;
    while !shared.is_over.load(Ordering::Relaxed) {
        if let Some(record) = reader.next(POLL_MAX)? {
            let event = seen(topic, &record)?;
            say(&format!("    {topic:<20} {:<28} {}", event.key, event.event_type));
            shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            shared.came.notify_waiters();
        }
    }
    Ok(())
}

/// The key names the entity, the envelope in the value tells the rest.
fn seen(topic: &'static str, consumed: &ConsumedRecord) -> anyhow::Result<Seen> {
    let record = &consumed.record;
    let envelope = Envelope::read(record.value.as_deref().unwrap_or_default())?;
    let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
    Ok(Seen { topic, key, event_type: envelope.event_type })
}
