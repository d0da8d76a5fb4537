//! A route reads topics in transactions: what its records send, their dead letters and their offsets count together or not
//! at all.
//!
//! Records are taken in batches, one transaction each, which are bounded by their number, their bytes and the bytes of what
//! they send. Of what an exchange sends nothing leaves before it has been through the route, so that one that fails sends
//! nothing but its dead letter. A transaction that cannot be committed is aborted, and each half of its records is done
//! again in one of its own: in the end a record that the broker refuses fails alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::Text;
use crate::run::Inlet;

use super::consume::{Leaving, RETRY_FIRST, RETRY_MAX, until};
use super::lanes::Lanes;
use super::outbox::Scope;
use super::{Broken, InRecord, Incoming, Reader, Transaction};

/// How many records a transaction has at the most.
const BATCH_MAX: usize = 500;

/// Records of one transaction.
type Batch = Vec<InRecord>;

/// How a transaction came out.
enum Outcome {
    Committed,
    /// Nothing of it counts.
    Aborted,
}

/// Reads in transactions.
pub(super) struct Transacted<'t> {
    pub(super) inlet: Inlet,
    pub(super) transaction: Arc<dyn Transaction>,
    pub(super) in_flight_max: usize,
    pub(super) lanes: &'t mut Lanes,
    leaving: Vec<Leaving>,
    retry: Duration,
}

impl<'t> Transacted<'t> {
    pub(super) fn new(
        inlet: Inlet,
        transaction: Arc<dyn Transaction>,
        in_flight_max: usize,
        lanes: &'t mut Lanes,
    ) -> Self {
        Self { inlet, transaction, in_flight_max, lanes, leaving: Vec::new(), retry: RETRY_FIRST }
    }

    /// Takes records and lets them end. Comes back when the route is to stop, or when the membership is over.
    pub(super) async fn read(mut self, reader: &mut dyn Reader) -> Result<(), String> {
        loop {
            // Nothing is under way here: what goes to somebody else may go.
            self.leaving.clear();
            let inlet = self.inlet.clone();
            let incoming = tokio::select! {
                biased;
                () = inlet.stopped() => return Ok(()),
                incoming = reader.next(self.in_flight_max.min(BATCH_MAX)) => incoming?,
            };
            if let Incoming::Records(records) = incoming {
                self.take(records, reader).await?;
            }
        }
    }

    /// Has records done, in as many transactions as it takes.
    async fn take(&mut self, records: Batch, reader: &mut dyn Reader) -> Result<(), String> {
        let bytes_max = self.inlet.core().limits.open_bytes_max;
        let mut batches: VecDeque<_> = batches(records, bytes_max).into_iter().map(|batch| (batch, false)).collect();
        while let Some((batch, is_again)) = batches.pop_front() {
            if batch.is_empty() {
                continue;
            }
            if self.inlet.is_stopped() {
                // They come again after the next start.
                return Ok(());
            }
            match self.transact(&batch, is_again, reader).await? {
                Outcome::Committed => self.retry = RETRY_FIRST,
                Outcome::Aborted => {
                    if is_again && batch.len() == 1 {
                        tokio::time::sleep(self.retry).await;
                        self.retry = (self.retry * 2).min(RETRY_MAX);
                    }
                    let mut first = batch;
                    let second = first.split_off(first.len().div_ceil(2));
                    batches.push_front((second, true));
                    batches.push_front((first, true));
                }
            }
            // What went to somebody else is theirs to do.
            let gone: Vec<_> = self.leaving.drain(..).flat_map(|leaving| leaving.places).collect();
            for (batch, _) in &mut batches {
                batch.retain(|record| !gone.contains(&(record.topic.clone(), record.partition)));
            }
        }
        Ok(())
    }

    /// Has records done in one transaction, if that can be.
    async fn transact(&mut self, batch: &Batch, is_again: bool, reader: &mut dyn Reader) -> Result<Outcome, String> {
        self.transaction.begin().await.map_err(|broken| broken.to_string())?;
        let bytes_max = self.inlet.core().limits.transaction_bytes_max;
        let scope = Scope::new(Arc::clone(&self.transaction), is_again && batch.len() == 1, bytes_max);
        self.lanes.transact(Some(scope.clone()));
        for record in batch {
            self.lanes.begin(record.clone());
        }
        let is_whole = self.run(reader).await;
        self.lanes.transact(None);
        if !is_whole? || scope.is_doomed() {
            self.lanes.cut_off();
            return self.abort("what was sent in it was refused or too much, or its partitions went to others").await;
        }
        match self.transaction.commit(next_of(batch)).await {
            Ok(()) => Ok(Outcome::Committed),
            Err(Broken::Aborted(reason)) => self.abort(&reason).await,
            Err(Broken::Over(reason)) => Err(reason),
        }
    }

    /// Lets all that has begun end; false if partitions could not wait for it.
    async fn run(&mut self, reader: &mut dyn Reader) -> Result<bool, String> {
        while self.lanes.under_way() > 0 {
            let let_go_at = self.leaving.iter().map(|leaving| leaving.until).min();
            tokio::select! {
                biased;
                _ = self.lanes.step() => {}
                () = until(let_go_at) => return Ok(false),
                incoming = reader.next(0) => {
                    if let Incoming::Revoked { places, done } = incoming? {
                        self.leaving.push(Leaving::new(places, done));
                    }
                }
            }
        }
        Ok(true)
    }

    async fn abort(&mut self, reason: &str) -> Result<Outcome, String> {
        tracing::warn!(route = %self.inlet.route().id(), reason, "transaction is aborted, its records are done again");
        self.transaction.abort().await.map_err(|broken| broken.to_string())?;
        Ok(Outcome::Aborted)
    }
}

/// Records in batches that are not larger than this; a larger record is one of its own.
fn batches(records: Batch, bytes_max: usize) -> Vec<Batch> {
    let mut batches = vec![Batch::new()];
    let mut bytes = 0_usize;
    for record in records {
        bytes = bytes.saturating_add(record.bytes());
        match batches.last_mut() {
            Some(batch) if bytes <= bytes_max || batch.is_empty() => batch.push(record),
            _ => {
                bytes = record.bytes();
                batches.push(vec![record]);
            }
        }
    }
    batches
}

/// What is to be read after these records, of each partition.
fn next_of(batch: &Batch) -> Vec<(Text, i32, i64)> {
    let mut next = BTreeMap::new();
    for record in batch {
        let place = (record.topic.clone(), record.partition);
        let after = next.entry(place).or_insert(0);
        *after = record.offset.saturating_add(1).max(*after);
    }
    next.into_iter().map(|((topic, partition), next)| (topic, partition, next)).collect()
}
