//! Ending transactions: the decision to the log, then a marker to every partition, then done.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use crate::catalog::OFFSETS_TOPIC;
use crate::log::control::Marker;
use crate::log::partition::{AppendError, Partition};
use crate::sync::lock;
use crate::txns::coordinator::{Coordinator, ProducerRun, wait};
use crate::txns::transaction::{Claim, EndStep, Slot, Status, Transaction};

/// Pause before markers that could not be written are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a transaction waits for its markers before the decision alone is answered.
const MARKERS_PATIENCE: Duration = Duration::from_secs(5);

impl Coordinator {
    /// Ends a producer's transaction; returns the run that the producer has from now on.
    ///
    /// # Errors
    /// Kafka's: a producer that is unknown or fenced, no transaction to end, one that is ending.
    pub(crate) async fn end(
        self: &Arc<Self>,
        id: String,
        claim: Claim,
        marker: Marker,
        bumps: bool,
    ) -> Result<ProducerRun, ResponseError> {
        let this = Arc::clone(self);
        // In a task of its own: what is decided is finished, also if the client is gone.
        let ended = self.tasks.spawn(async move { this.decide_and_end(&id, claim, marker, bumps).await });
        ended.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    async fn decide_and_end(
        self: &Arc<Self>,
        id: &str,
        claim: Claim,
        marker: Marker,
        bumps: bool,
    ) -> Result<ProducerRun, ResponseError> {
        let slot = self.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let stored = {
            let mut held = lock(&slot.held);
            match held.end(claim, marker, bumps, self.clock.now_ms())? {
                EndStep::Done(producer) => return Ok(producer),
                EndStep::Prepare(next) => self.queue(&slot, &mut held, next)?,
            }
        };
        self.end_decided(&slot, stored).await?;
        Ok(lock(&slot.held).current.producer)
    }

    /// Waits for a decision to be stored and for its markers, the latter with patience but not for ever.
    pub(super) async fn end_decided(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        stored: oneshot::Receiver<bool>,
    ) -> Result<(), ResponseError> {
        wait(stored).await?;
        let (this, target) = (Arc::clone(self), Arc::clone(slot));
        let completing = self.tasks.spawn(async move { this.complete(&target).await });
        // The decision stands; markers that are late are written in the background.
        let _ = tokio::time::timeout(MARKERS_PATIENCE, completing).await;
        Ok(())
    }

    /// Writes the markers of a decision until every partition has its own, then notes that it is done.
    pub(super) async fn complete(&self, slot: &Arc<Slot>) {
        let decided = lock(&slot.held).current.clone();
        let Some(marker) = decided.status.decision() else { return };
        let mut left = decided.partitions.clone();
        loop {
            left = self.mark(&decided, marker, left).await;
            if left.is_empty() {
                break;
            }
            tracing::warn!(transactional_id = %slot.id, partitions = left.len(), "markers could not be written yet");
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
        let fresh = if decided.is_over() { self.fresh_id().await.ok() } else { None };
        let mut held = lock(&slot.held);
        if held.current == decided {
            let done = decided.completed(fresh, self.clock.now_ms());
            self.take_over(slot, &mut held, done);
        }
    }

    /// Writes a marker to each partition and waits until they are durable; returns those that have none.
    async fn mark(
        &self,
        decided: &Transaction,
        marker: Marker,
        partitions: BTreeSet<(String, i32)>,
    ) -> BTreeSet<(String, i32)> {
        let producer = decided.producer;
        let mut left = BTreeSet::new();
        let mut logs = Vec::new();
        for (topic, index) in partitions {
            if topic == OFFSETS_TOPIC {
                if !self.groups.decide(producer, marker).await {
                    left.insert((topic, index));
                }
            } else if let Some(partition) = self.catalog.get(&topic).and_then(|topic| topic.partition(index).cloned()) {
                // A topic that is gone needs no marker.
                logs.push((topic, index, partition));
            }
        }
        let partitions: Vec<Arc<Partition>> = logs.iter().map(|(.., partition)| Arc::clone(partition)).collect();
        let appending = tokio::task::spawn_blocking(move || {
            partitions.iter().map(|partition| partition.append_marker(producer, marker)).collect::<Vec<_>>()
        });
        let appended = appending.await.unwrap_or_default();
        let mut appended = appended.into_iter();
        for (topic, index, partition) in logs {
            let lost = || Err(AppendError::Storage(io::Error::other("worker was lost")));
            let written = match appended.next().unwrap_or_else(lost) {
                Ok(appended) => partition.wait_synced(appended.end).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(()) | Err(AppendError::Deleted) => {}
                Err(_) => {
                    left.insert((topic, index));
                }
            }
        }
        left
    }

    /// Ends what is open in a partition though no transaction here says so: its marker was lost to damage on the disk.
    pub(super) async fn settle_strays(&self) {
        let known: HashMap<i64, Transaction> = self
            .list()
            .iter()
            .map(|slot| lock(&slot.held).current.clone())
            .map(|current| (current.producer.id, current))
            .collect();
        for partition in self.catalog.partitions() {
            for producer in partition.producers().into_iter().filter(|producer| producer.open_since.is_some()) {
                let place = (partition.topic.to_string(), partition.index);
                let owner = known.get(&producer.id);
                if owner.is_some_and(|owner| owner.partitions.contains(&place)) {
                    continue;
                }
                let committed = owner.is_some_and(|owner| owner.status == Status::CompleteCommit);
                let marker = if committed { Marker::Commit } else { Marker::Abort };
                let run = ProducerRun { id: producer.id, epoch: producer.epoch };
                tracing::error!(topic = %partition.topic, partition = partition.index, producer_id = producer.id, ?marker, "transaction without its marker is ended");
                if &*partition.topic == OFFSETS_TOPIC {
                    self.groups.decide(run, marker).await;
                    continue;
                }
                let partition = Arc::clone(&partition);
                let marked = tokio::task::spawn_blocking(move || partition.append_marker(run, marker)).await;
                if !matches!(marked, Ok(Ok(_))) {
                    tracing::error!(producer_id = run.id, "its marker could not be written");
                }
            }
        }
    }
}
