//! Apache Kafka's protocol through librdkafka: nothing outside of this module knows its types.

pub mod admin;
mod contact;
mod lag;
mod producer;
mod reader;
mod subscription;
mod transaction;
mod writer;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use serde::Deserialize;
use tokio::task::AbortHandle;

use self::contact::Contact;
use self::producer::Producers;
use self::transaction::KafkaTransaction;
use super::{Acknowledgement, Interest, Record, Subscription, Transaction, Transport};
use crate::error::{Error, Result, TooLarge};

pub use admin::{TopicSpec, ensure_topics};
pub use reader::{KafkaReader, Next, Start};
pub use writer::{Acknowledged, InFlight, KafkaWriter};

/// How long a partition is not asked for more while enough of it was fetched ahead; by itself the client takes a second,
/// in which what was fetched is long used up.
const FETCH_PAUSE_MS: &str = "10";
/// How long a stopping producer waits for records in flight.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// How long the cluster may take to say what it now thinks of a topic that took nothing.
const REFRESH_MAX: Duration = Duration::from_secs(2);
/// How long a topic that was just made may be unknown to brokers before records for it fail.
const UNKNOWN_TOPIC_MAX_MS: u64 = 5_000;
/// Longest file with a password.
const PASSWORD_FILE_BYTES_MAX: u64 = 4096;

/// How to reach a Kafka cluster. Empty strings mean "not set".
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// The name that the broker's logs and quotas know this client by.
    pub client_id: String,
    /// The group of whoever reads this configuration and is not given one; the transport does not look at it.
    pub group_id: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub sasl_mechanism: String,
    /// The SASL user.
    pub sasl_username: String,
    /// The SASL password.
    pub sasl_password: Password,
    /// A file with the SASL password, in the place of the one before.
    pub sasl_password_file: String,
    /// A file with the certificate authority's certificates.
    pub ssl_ca: String,
    /// A file with our own certificate (PEM).
    pub ssl_certificate: String,
    /// A file with the private key of it (PEM).
    pub ssl_key: String,
    /// How long the producer gathers records before it sends them, in milliseconds.
    pub linger_ms: u64,
    /// How long a record may wait for its acknowledgement before publishing fails, in milliseconds; 0: as long as it
    /// takes.
    pub delivery_timeout_ms: u64,
    /// After how long without a heartbeat the group gives a member's partitions away, in milliseconds.
    pub session_timeout_ms: u64,
    /// How much a consumer fetches ahead, in KiB.
    pub prefetch_kib: u32,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            client_id: String::new(),
            group_id: String::new(),
            security_protocol: String::new(),
            sasl_mechanism: String::new(),
            sasl_username: String::new(),
            sasl_password: Password::default(),
            sasl_password_file: String::new(),
            ssl_ca: String::new(),
            ssl_certificate: String::new(),
            ssl_key: String::new(),
            linger_ms: 1,
            delivery_timeout_ms: 30_000,
            session_timeout_ms: 10_000,
            prefetch_kib: 4_096,
        }
    }
}

/// A password, which is never printed.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "unset" } else { "***" })
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a producer takes at the most: above the limit of any broker that we know, so that the broker's own decides. The
/// client's default is below the broker's, and a dead letter is larger than its record.
const MESSAGE_BYTES_MAX: &str = "104857600";

/// The facility under which librdkafka has its opinion of settings, which are ours and chosen.
const SETTING_COMMENTED: &str = "CONFWARN";

/// A [`Transport`] over a Kafka cluster.
pub struct KafkaTransport {
    config: KafkaConfig,
    producers: Arc<Producers>,
    refused: Refused,
    contact: Arc<Contact>,
    /// Of the client that watches for itself and for those made of it.
    watching: Option<AbortHandle>,
}

impl std::fmt::Debug for KafkaTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaTransport").field("config", &self.config).finish_non_exhaustive()
    }
}

impl KafkaTransport {
    /// A client for the cluster; connecting happens in the background and is retried for ever. That the cluster is away,
    /// and back, is logged once each.
    ///
    /// # Errors
    /// [`Error::Config`] when librdkafka refuses a setting.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(config: KafkaConfig) -> Result<Self> {
        let contact = Arc::new(Contact::new(&config.client_id));
        let mut transport = Self::with(config, contact)?;
        let watching = contact::watch(transport.contact.clone(), Arc::downgrade(&transport.producers));
        transport.watching = Some(tokio::spawn(watching).abort_handle());
        Ok(transport)
    }

    /// Another client of the same cluster whose records wait for their acknowledgement as long as it takes, in their
    /// order. What is known of the cluster both know, and this one tells it; it has to live as long.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn patient(&self) -> Result<Self> {
        Self::with(KafkaConfig { delivery_timeout_ms: 0, ..self.config.clone() }, self.contact.clone())
    }

    fn with(config: KafkaConfig, contact: Arc<Contact>) -> Result<Self> {
        let settings = producer_settings(&config)?;
        let delivery_timeout = Duration::from_millis(config.delivery_timeout_ms);
        let producers = Arc::new(Producers::new(settings, contact.clone(), delivery_timeout)?);
        Ok(Self { config, producers, refused: Refused::default(), contact, watching: None })
    }

    /// Says that whoever uses this has ended: a cluster that goes away from now on is not told of. It goes on working.
    pub fn close(&self) {
        self.contact.close();
    }

    /// Whether no broker answers, as far as is known: that one is away is noticed when it is spoken to.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.contact.is_away()
    }

    /// What groups of this client may not do, as far as is known, each in a line.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        self.contact.refusals()
    }

    /// Which of `topics` are not there, as far as this client may see.
    ///
    /// # Errors
    /// [`Error::Transport`] when the cluster does not answer.
    pub async fn missing(&self, topics: Vec<String>) -> Result<Vec<String>> {
        let producers = self.producers.clone();
        let ask = move || {
            let found = producers.topics(REFRESH_MAX)?;
            let is_there =
                |name: &String| found.topics().iter().any(|topic| topic.name() == name && topic.error().is_none());
            Ok(topics.into_iter().filter(|name| !is_there(name)).collect())
        };
        let found = tokio::task::spawn_blocking(ask).await.map_err(|_| Error::Stopped)?;
        found.map_err(|error: KafkaError| failed("list the topics", error))
    }
}

/// Topics that took nothing: the client believes that for minutes, unless it is told to ask again.
#[derive(Debug, Clone, Default)]
struct Refused(Arc<Mutex<BTreeSet<String>>>);

impl Refused {
    /// Remembers the topic of an outcome that is such a refusal.
    fn note<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(Error::TopicRefused { topic, .. }) = &outcome {
            lock(&self.0).insert(topic.clone());
        }
        outcome
    }

    /// Has the client ask anew, by `ask`, which blocks, about topics of `records` that took nothing before.
    async fn ask_again(
        &self,
        records: &[Record],
        ask: impl Fn(&str) -> std::result::Result<(), KafkaError> + Clone + Send + 'static,
    ) {
        let concerned: BTreeSet<String> = {
            let mut refused = lock(&self.0);
            records.iter().filter_map(|record| refused.take(&record.topic)).collect()
        };
        for topic in concerned {
            let ask = ask.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || ask(&topic)).await {
                tracing::debug!(%error, "the cluster did not say what it thinks of a topic");
            }
        }
    }
}

impl KafkaTransport {
    async fn ask_again(&self, records: &[Record]) {
        let producers = self.producers.clone();
        self.refused.ask_again(records, move |topic| producers.ask_about(topic, REFRESH_MAX)).await;
    }
}

#[async_trait]
impl Transport for KafkaTransport {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        self.ask_again(&records).await;
        self.refused.note(self.producers.publish(&records).await)?;
        if !records.is_empty() {
            self.contact.regain();
        }
        Ok(())
    }

    async fn hand_over(&self, records: Vec<Record>) -> Result<Acknowledgement> {
        self.ask_again(&records).await;
        let batch = self.refused.note(self.producers.hand_over(&records).await)?;
        let (contact, refused) = (self.contact.clone(), self.refused.clone());
        Ok(Box::pin(async move {
            batch.is_answered().await;
            refused.note(batch.outcome())?;
            contact.regain();
            Ok(())
        }))
    }

    async fn subscribe(&self, interest: Interest) -> Result<Box<dyn Subscription>> {
        Ok(Box::new(subscription::KafkaSubscription::join(&self.config, self.contact.clone(), interest)?))
    }

    async fn subscribe_transacted(
        &self,
        interest: Interest,
        name: &str,
    ) -> Result<(Box<dyn Subscription>, Arc<dyn Transaction>)> {
        let subscription = subscription::KafkaSubscription::join(&self.config, self.contact.clone(), interest)?;
        let (settings, member) = (producer_settings(&self.config)?, subscription.member());
        let transaction = KafkaTransaction::begin_as(name, settings, &self.contact, member)?;
        Ok((Box::new(subscription), Arc::new(transaction)))
    }
}

impl Drop for KafkaTransport {
    fn drop(&mut self) {
        self.watching.iter().for_each(AbortHandle::abort);
        if let Err(error) = self.producers.flush(FLUSH_MAX) {
            tracing::warn!(%error, "records in flight at the end of a producer");
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs all that librdkafka has to say, for tools that people look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client error");
    }
}

impl ConsumerContext for LogContext {}

/// librdkafka says at "error" what it will mend by itself; nothing of it is an error of ours.
fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    if facility == SETTING_COMMENTED {
        return tracing::debug!(message, "kafka client");
    }
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "kafka client");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "kafka client"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, message, "kafka client"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, message, "kafka client"),
    }
}

/// The password, from the file that has it if there is one.
fn sasl_password(config: &KafkaConfig) -> Result<String> {
    if config.sasl_password_file.is_empty() {
        return Ok(config.sasl_password.0.clone());
    }
    let path = &config.sasl_password_file;
    let unreadable = |error: std::io::Error| Error::Config { reason: format!("{path} cannot be read: {error}") };
    if std::fs::metadata(path).map_err(unreadable)?.len() > PASSWORD_FILE_BYTES_MAX {
        return Err(Error::Config { reason: format!("{path} is larger than {PASSWORD_FILE_BYTES_MAX} bytes") });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The client settings of whoever reads.
fn consumer_settings(config: &KafkaConfig) -> Result<ClientConfig> {
    let mut settings = client_settings(config)?;
    settings
        .set("queued.max.messages.kbytes", config.prefetch_kib.to_string())
        .set("fetch.queue.backoff.ms", FETCH_PAUSE_MS);
    Ok(settings)
}

fn client_settings(config: &KafkaConfig) -> Result<ClientConfig> {
    let password = sasl_password(config)?;
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &config.brokers)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set_log_level(RDKafkaLogLevel::Warning);
    let optional = [
        ("client.id", config.client_id.as_str()),
        ("security.protocol", &config.security_protocol),
        ("sasl.mechanism", &config.sasl_mechanism),
        ("sasl.username", &config.sasl_username),
        ("sasl.password", &password),
        ("ssl.ca.location", &config.ssl_ca),
        ("ssl.certificate.location", &config.ssl_certificate),
        ("ssl.key.location", &config.ssl_key),
    ];
    for (name, value) in optional.into_iter().filter(|(_, value)| !value.is_empty()) {
        settings.set(name, value);
    }
    Ok(settings)
}

/// What all producers have: they are idempotent, and all replicas have what they publish.
fn producer_settings(config: &KafkaConfig) -> Result<ClientConfig> {
    let unknown_topic_max_ms = match config.delivery_timeout_ms {
        0 => UNKNOWN_TOPIC_MAX_MS,
        timeout_ms => UNKNOWN_TOPIC_MAX_MS.min(timeout_ms / 2),
    };
    let mut settings = client_settings(config)?;
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", config.linger_ms.to_string())
        .set("topic.metadata.propagation.max.ms", unknown_topic_max_ms.to_string())
        .set("message.max.bytes", MESSAGE_BYTES_MAX);
    Ok(settings)
}

fn refused_setting(error: KafkaError) -> Error {
    Error::Config { reason: format!("kafka client: {error}") }
}

/// Why a record was not delivered; some errors are about its topic and not about the record.
fn undelivered(topic: &str, error: KafkaError) -> Error {
    let is_of_topic = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
        )
    );
    match is_of_topic {
        true => Error::TopicRefused { topic: topic.to_owned(), source: Box::new(error) },
        false => failed(&format!("publish to {topic}"), error),
    }
}

/// Wraps a client error; those that only a person can mend are permanent.
fn failed(operation: &str, error: KafkaError) -> Error {
    let permanent = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                // Of a batch that is larger than a segment; whoever is held is tried again alone.
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::InvalidRecord
                // Of a record whose time is too far from the broker's clock.
                | RDKafkaErrorCode::InvalidTimestamp
                | RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::PolicyViolation
                | RDKafkaErrorCode::UnsupportedForMessageFormat
        )
    );
    let source: Box<dyn std::error::Error + Send + Sync> = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Box::new(TooLarge::new(error)),
        _ => Box::new(error),
    };
    Error::Transport { operation: operation.to_owned(), transient: !permanent, source }
}

#[cfg(test)]
mod tests;
