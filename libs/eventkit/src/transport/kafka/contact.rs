//! Whether the cluster can be reached, told once when that changes: librdkafka itself says it again with every try of
//! every connection of every client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;

use super::producer::Producers;
use super::{lock, log};

/// How long a cluster that was away may take to answer whether it is back.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// How soon to ask again.
const PROBE_PAUSE: Duration = Duration::from_millis(500);
/// What librdkafka calls its words about a connection that failed.
const CONNECTION_FAILED: &str = "FAIL";
/// What it calls its words about a group that has not heard of the client for too long.
const SESSION_TIMED_OUT: &str = "SESSTMOUT";

/// What the clients of one transport know together.
#[derive(Debug)]
pub(super) struct Contact {
    client: String,
    away_since: Mutex<Option<Instant>>,
    lost: Notify,
    /// Nobody needs the cluster any more.
    is_closed: AtomicBool,
    /// What groups may not do, since their partitions were dealt out.
    refusals: Mutex<BTreeMap<String, &'static str>>,
}

impl Contact {
    /// `client` is how the clients call themselves, for the log.
    pub(super) fn new(client: &str) -> Self {
        Self {
            client: client.to_owned(),
            away_since: Mutex::default(),
            lost: Notify::new(),
            is_closed: AtomicBool::new(false),
            refusals: Mutex::default(),
        }
    }

    /// Takes what a client complains of: that no broker answers is told once, that one of them does not is its own
    /// business, and anything else is told.
    pub(super) fn complain(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.lose(reason),
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve,
            ) => tracing::debug!(client = self.client, %error, reason, "kafka connection failed"),
            // The producer is given up, and whoever published is told why.
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::GaplessGuarantee) => {
                tracing::debug!(client = self.client, %error, reason, "kafka producer given up");
            }
            _ => tracing::warn!(client = self.client, %error, reason, "kafka client error"),
        }
    }

    /// Takes what a client wants to have logged; a failed connection also comes as a complaint, and that sessions end
    /// follows from a cluster that is away.
    pub(super) fn note(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match facility {
            CONNECTION_FAILED => tracing::debug!(client = self.client, message, "kafka connection failed"),
            SESSION_TIMED_OUT if self.away().is_some() => {
                tracing::debug!(client = self.client, message, "kafka session timed out");
            }
            _ => log(level, facility, message),
        }
    }

    /// Takes note when a member of `group` may not do what it came for.
    pub(super) fn refuse(&self, group: &str, error: &KafkaError) {
        let refused = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => "may not be joined",
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => "may not read one of its topics",
            _ => return,
        };
        lock(&self.refusals).insert(group.to_owned(), refused);
    }

    /// A member of `group` has got partitions; whatever it may not read is told after that.
    pub(super) fn admit(&self, group: &str) {
        lock(&self.refusals).remove(group);
    }

    /// What groups may not do, each in a line.
    pub(super) fn refusals(&self) -> Vec<String> {
        lock(&self.refusals).iter().map(|(group, refused)| format!("the group {group} {refused}")).collect()
    }

    /// Whether the cluster does not answer, as far as is known.
    pub(super) fn is_away(&self) -> bool {
        self.away().is_some()
    }

    /// The cluster has answered.
    pub(super) fn regain(&self) {
        if let Some(since) = self.away().take() {
            let away_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(client = self.client, away_ms, "kafka is back");
        }
    }

    /// From now on a cluster that goes away is nobody's trouble: clients that are being taken down may outlive it.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn lose(&self, reason: &str) {
        if self.is_closed.load(Ordering::Relaxed) {
            tracing::debug!(client = self.client, reason, "kafka is away, after the end");
            return;
        }
        let mut away = self.away();
        if away.is_none() {
            *away = Some(Instant::now());
            tracing::warn!(client = self.client, reason, "kafka is away; it is tried again until it is back");
            self.lost.notify_one();
        }
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.away_since)
    }
}

/// Asks a cluster that is away whether it is back, since no client tells that by itself; ends with the producer.
pub(super) async fn watch(contact: Arc<Contact>, producers: Weak<Producers>) {
    loop {
        contact.lost.notified().await;
        while contact.away().is_some() {
            tokio::time::sleep(PROBE_PAUSE).await;
            let Some(producers) = producers.upgrade() else { return };
            let probe = move || producers.is_answered(PROBE_MAX);
            if tokio::task::spawn_blocking(probe).await.unwrap_or(false) {
                contact.regain();
            }
        }
    }
}

/// Hands what librdkafka has to say to the transport's contact.
#[derive(Debug, Clone)]
pub(super) struct ContactContext(pub(super) Arc<Contact>);

impl ClientContext for ContactContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.note(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.complain(&error, reason);
    }
}

impl ConsumerContext for ContactContext {}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_down(contact: &Contact) {
        contact.complain(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
    }

    #[test]
    fn a_cluster_that_goes_away_after_the_end_is_not_told_of() {
        let contact = Contact::new("a");
        all_down(&contact);
        assert!(contact.is_away());
        contact.regain();
        contact.close();
        all_down(&contact);
        assert!(!contact.is_away());
    }
}
