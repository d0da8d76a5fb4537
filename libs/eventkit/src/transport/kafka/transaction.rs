//! Sends and offsets in one transaction: a producer with a name of its own beside a membership in a group.
//!
//! Whoever takes the name over ends what its former owner had begun, and shuts it out; a member that the group has given up
//! cannot commit offsets, whatever its name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::contact::Contact;
use super::producer::{Batch, BatchProducer, send_all, start};
use super::subscription::Member;
use super::{REFRESH_MAX, Refused, failed};
use crate::error::{Error, Result};
use crate::transport::{Acknowledgement, Record, TopicPartition, Transaction};

/// How long one question to the coordinator may take.
const ASK_MAX: Duration = Duration::from_secs(5);
/// How often it is asked the same before it is given up.
const ASKED_MAX: usize = 4;
/// How long a transaction may be open before the coordinator ends it.
const OPEN_MAX_MS: &str = "60000";
/// How long a record of it may wait for its acknowledgement.
const DELIVERY_MAX_MS: &str = "30000";

/// How soon a coordinator that does not answer is asked again for the name.
const TAKE_OVER_PAUSE: Duration = Duration::from_millis(500);

/// The transactions of one member of a group.
pub(super) struct KafkaTransaction {
    producer: Arc<BatchProducer>,
    member: Member,
    /// Topics that took nothing, which the client is told to ask about again.
    refused: Refused,
    /// The name is being taken over; nothing once it is ours.
    taking_over: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl std::fmt::Debug for KafkaTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KafkaTransaction")
    }
}

impl Drop for KafkaTransaction {
    fn drop(&mut self) {
        if let Some(taking_over) = self.taking_over.get_mut() {
            taking_over.abort();
        }
    }
}

impl KafkaTransaction {
    /// Takes the name over, beside everything else: a cluster that is away is waited for. It begins at once, since what
    /// the former owner left open holds back the group's offsets.
    pub(super) fn begin_as(
        name: &str,
        mut settings: ClientConfig,
        contact: &Arc<Contact>,
        member: Member,
    ) -> Result<Self> {
        settings
            .set("transactional.id", name)
            .set("transaction.timeout.ms", OPEN_MAX_MS)
            .set("message.timeout.ms", DELIVERY_MAX_MS);
        let producer = Arc::new(start(&settings, contact)?);
        let taking_over = Mutex::new(Some(tokio::spawn(take_over(producer.clone()))));
        Ok(Self { producer, member, refused: Refused::default(), taking_over })
    }

    /// Asks the coordinator, again if it has no answer for now; beside the runtime, since that blocks.
    async fn ask(
        &self,
        operation: &'static str,
        question: impl Fn(&BatchProducer, &Member) -> KafkaResult<()> + Send + 'static,
    ) -> Result<()> {
        let (producer, member) = (self.producer.clone(), self.member.clone());
        let asking = tokio::task::spawn_blocking(move || {
            let mut asked = 1;
            loop {
                match question(&producer, &member) {
                    Err(KafkaError::Transaction(error)) if error.is_retriable() && asked < ASKED_MAX => asked += 1,
                    outcome => return outcome,
                }
            }
        });
        let outcome = asking.await.map_err(|_| Error::Stopped)?;
        outcome.map_err(|error| match &error {
            KafkaError::Transaction(answer) if answer.txn_requires_abort() && !answer.is_fatal() => {
                failed(operation, error)
            }
            _ => over(operation, error),
        })
    }
}

/// Fenced, or nobody knows how it ended: only a new owner of the name can tell.
fn over(operation: &'static str, error: KafkaError) -> Error {
    Error::TransactionOver { operation, source: Box::new(error) }
}

async fn take_over(producer: Arc<BatchProducer>) -> Result<()> {
    loop {
        let producer = producer.clone();
        let asking = tokio::task::spawn_blocking(move || producer.init_transactions(ASK_MAX));
        match asking.await.map_err(|_| Error::Stopped)? {
            Err(KafkaError::Transaction(answer)) if answer.is_retriable() => tokio::time::sleep(TAKE_OVER_PAUSE).await,
            outcome => return outcome.map_err(|error| over("take a transactional id over", error)),
        }
    }
}

#[async_trait]
impl Transaction for KafkaTransaction {
    async fn begin(&self) -> Result<()> {
        let mut taking_over = self.taking_over.lock().await;
        if let Some(task) = taking_over.as_mut() {
            let outcome = task.await;
            *taking_over = None;
            outcome.map_err(|_| Error::Stopped)??;
        }
        drop(taking_over);
        self.ask("begin a transaction", |producer, _| producer.begin_transaction()).await
    }

    async fn hand_over(&self, records: Vec<Record>) -> Result<Acknowledgement> {
        let producer = self.producer.clone();
        self.refused
            .ask_again(&records, move |topic| producer.client().fetch_metadata(Some(topic), REFRESH_MAX).map(drop))
            .await;
        let batch = Arc::new(Batch::new(records.len()));
        self.refused.note(send_all(&self.producer, &records, &batch).await)?;
        let refused = self.refused.clone();
        Ok(Box::pin(async move {
            batch.is_answered().await;
            refused.note(batch.outcome())
        }))
    }

    async fn commit(&self, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (place, offset) in offsets {
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*offset))
                .map_err(|error| failed("commit a transaction", error))?;
        }
        self.ask("commit offsets in a transaction", move |producer, member| match member.metadata() {
            Some(metadata) => producer.send_offsets_to_transaction(&list, &metadata, ASK_MAX),
            None => Err(KafkaError::Canceled),
        })
        .await?;
        self.ask("commit a transaction", |producer, _| producer.commit_transaction(ASK_MAX)).await
    }

    async fn abort(&self) -> Result<()> {
        self.ask("abort a transaction", |producer, _| producer.abort_transaction(ASK_MAX)).await
    }
}
