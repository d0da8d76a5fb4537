//! The coordinator of all transactions: finds them, stores their states, ends those that took too long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::ResponseError;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::producer_ids::ProducerIds;
use crate::catalog::{Catalog, TRANSACTIONS_TOPIC, Topic};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::groups::coordinator::Coordinator as Groups;
use crate::log::control::Marker;
use crate::state_log::{self, Content, Ends, Said, Store};
use crate::sync::lock;
use crate::txns::records;
use crate::txns::transaction::{Claim, Held, Slot, Status, Transaction};

pub(crate) use crate::state_log::ProducerRun;

/// How often transactional ids that nobody uses are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// Pause before an abort that could not be queued is tried again, milliseconds.
const QUEUE_PAUSE_MS: i64 = 1_000;
/// How long a new run of a producer waits for the end of what its last run left open.
const FENCE_PATIENCE: Duration = Duration::from_secs(5);

/// All transactional ids.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(super) config: Arc<Config>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) groups: Arc<Groups>,
    pub(super) producer_ids: Arc<ProducerIds>,
    store: Store,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    /// Told when a deadline may have come nearer.
    nearer: Notify,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// What the coordinator needs of the broker.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) groups: Arc<Groups>,
    pub(crate) producer_ids: Arc<ProducerIds>,
    pub(crate) ends: Ends,
    pub(crate) tasks: TaskTracker,
}

impl Coordinator {
    /// Reads the log of transactions and goes on with what was decided but not finished.
    pub(crate) async fn start(parts: Parts) -> Result<Arc<Self>, Error> {
        let Parts { config, catalog, groups, producer_ids, ends, tasks } = parts;
        let stop = ends.stop.clone();
        let topic = state_log::topic(&catalog, TRANSACTIONS_TOPIC).await?;
        let failed = || Error::Topic { topic: TRANSACTIONS_TOPIC.to_owned(), reason: "it has no partition".to_owned() };
        let (store, writer) = Store::new(&topic).ok_or_else(failed)?;
        let slots = tokio::task::spawn_blocking(move || restore(&topic))
            .await
            .map_err(|_| Error::Worker { operation: "replaying transactions" })??;
        let clock = Arc::clone(&config.clock);
        let (slots, nearer) = (Mutex::new(slots), Notify::new());
        let this = Arc::new(Self { config, clock, catalog, groups, producer_ids, store, slots, nearer, stop, tasks });
        let state = Arc::downgrade(&this);
        this.tasks.spawn(ends.run(async move {
            writer.run(move || state.upgrade().map(|coordinator| coordinator.contents()).unwrap_or_default()).await;
        }));
        this.settle_strays().await;
        for slot in this.list() {
            if lock(&slot.held).current.status.decision().is_some() {
                let this = Arc::clone(&this);
                this.clone().tasks.spawn(async move { this.complete(&slot).await });
            }
        }
        let tending = Arc::clone(&this);
        this.tasks.spawn(async move { tending.tend_until_stop().await });
        Ok(this)
    }

    /// The transactional id, if it is known.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Slot>> {
        lock(&self.slots).get(id).cloned()
    }

    /// All transactional ids.
    pub(crate) fn list(&self) -> Vec<Arc<Slot>> {
        lock(&self.slots).values().cloned().collect()
    }

    /// Begins a run of a producer: what its last run left open is aborted, and the last run fenced.
    ///
    /// # Errors
    /// Kafka's: a timeout that is not allowed, a producer that was fenced, one whose transaction is just ending.
    pub(crate) async fn init(
        self: &Arc<Self>,
        id: String,
        timeout_ms: i32,
        claim: Option<Claim>,
    ) -> Result<ProducerRun, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if !(1..=self.config.transaction_timeout_max_ms).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let this = Arc::clone(self);
        // In a task of its own: what has begun is finished, also if the client is gone.
        let begun = self.tasks.spawn(async move { this.begin_run(&id, timeout_ms, claim).await });
        begun.await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    async fn begin_run(
        self: &Arc<Self>,
        id: &str,
        timeout_ms: i32,
        claim: Option<Claim>,
    ) -> Result<ProducerRun, ResponseError> {
        let Some(slot) = self.get(id) else {
            return self.first_run(id, timeout_ms).await;
        };
        if let Some(begun) = begun_before(&lock(&slot.held), claim) {
            return Ok(begun);
        }
        if let Some(open) = self.abort_open(&slot, claim)? {
            let ended = tokio::time::timeout(FENCE_PATIENCE, self.end_decided(&slot, open)).await;
            ended.map_err(|_| ResponseError::ConcurrentTransactions)??;
        }
        let fresh = if lock(&slot.held).current.is_exhausted() { Some(self.fresh_id().await?) } else { None };
        let (next, stored) = {
            let mut held = lock(&slot.held);
            if held.dead || held.is_busy() || held.current.status == Status::Ongoing {
                return Err(ResponseError::ConcurrentTransactions);
            }
            let next = held.current.run_again(timeout_ms, fresh, self.clock.now_ms());
            let begun = (next.producer, self.queue(&slot, &mut held, next)?);
            // Whoever begins without saying who it was fences all before it, also those that ask again.
            held.renewed = claim.map(|claim| claim.producer);
            begun
        };
        wait(stored).await?;
        Ok(next)
    }

    /// Decides that what is open is aborted; `None` if nothing is.
    fn abort_open(
        &self,
        slot: &Arc<Slot>,
        claim: Option<Claim>,
    ) -> Result<Option<oneshot::Receiver<bool>>, ResponseError> {
        let mut held = lock(&slot.held);
        if held.dead || held.is_busy() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        // A run that begins itself anew must be the present one.
        if let Some(claim) = claim
            && claim.producer != held.current.producer
        {
            return Err(claim.fenced);
        }
        if held.current.status != Status::Ongoing {
            return Ok(None);
        }
        let next = held.current.decided(Marker::Abort, true, self.clock.now_ms());
        self.queue(slot, &mut held, next).map(Some)
    }

    async fn first_run(self: &Arc<Self>, id: &str, timeout_ms: i32) -> Result<ProducerRun, ResponseError> {
        let producer_id = self.fresh_id().await?;
        let transaction = Transaction::new(producer_id, timeout_ms, self.clock.now_ms());
        let (slot, stored) = {
            let mut slots = lock(&self.slots);
            if slots.contains_key(id) {
                return Err(ResponseError::ConcurrentTransactions);
            }
            if slots.len() >= self.config.transactional_ids_max {
                return Err(ResponseError::PolicyViolation);
            }
            let slot = Slot::new(Arc::from(id), transaction.clone());
            let stored = self.queue(&slot, &mut lock(&slot.held), transaction.clone())?;
            slots.insert(Arc::clone(&slot.id), Arc::clone(&slot));
            (slot, stored)
        };
        if let Err(error) = wait(stored).await {
            lock(&slot.held).dead = true;
            lock(&self.slots).remove(id);
            return Err(error);
        }
        Ok(transaction.producer)
    }

    /// Adds partitions to a producer's transaction, which begins with the first; returns when that is on stable storage.
    ///
    /// # Errors
    /// Kafka's: a producer that is unknown or fenced, one whose transaction is just ending.
    pub(crate) async fn add(
        &self,
        id: &str,
        claim: Claim,
        partitions: &[(String, i32)],
    ) -> Result<Arc<Slot>, ResponseError> {
        let slot = self.get(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let stored = {
            let mut held = lock(&slot.held);
            if held.dead {
                return Err(ResponseError::InvalidProducerIdMapping);
            }
            match held.add(claim, partitions, self.clock.now_ms())? {
                None => return Ok(Arc::clone(&slot)),
                Some(next) => self.queue(&slot, &mut held, next)?,
            }
        };
        wait(stored).await?;
        self.nearer.notify_one();
        Ok(slot)
    }

    /// Queues the next state; it is the present one once it is on stable storage.
    pub(super) fn queue(
        &self,
        slot: &Arc<Slot>,
        held: &mut Held,
        next: Transaction,
    ) -> Result<oneshot::Receiver<bool>, ResponseError> {
        let (tell, stored) = oneshot::channel();
        let content = Content::Plain(vec![entry(&slot.id, &next)]);
        let target = Arc::clone(slot);
        let status = next.status;
        let queued = self.store.put(content, move |stored| {
            let mut held = lock(&target.held);
            held.next = None;
            if stored {
                held.current = next;
            }
            drop(held);
            let _ = tell.send(stored);
        });
        if !queued {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        held.next = Some(status);
        Ok(stored)
    }

    /// Takes over a state at once whose loss does no harm, and has it written.
    pub(super) fn take_over(&self, slot: &Slot, held: &mut Held, next: Transaction) {
        let content = Content::Plain(vec![entry(&slot.id, &next)]);
        held.current = next;
        // After a restart the markers would be written once more.
        let _ = self.store.put(content, |_| {});
    }

    /// A producer id that nobody had.
    pub(crate) async fn fresh_id(&self) -> Result<i64, ResponseError> {
        let ids = Arc::clone(&self.producer_ids);
        match tokio::task::spawn_blocking(move || ids.next()).await {
            Ok(Ok(id)) => Ok(id),
            Ok(Err(error)) => {
                tracing::error!(%error, "no producer id could be reserved");
                Err(ResponseError::CoordinatorNotAvailable)
            }
            Err(_) => Err(ResponseError::UnknownServerError),
        }
    }

    /// Aborts transactions whose time is up and forgets ids that nobody uses, until the broker stops.
    async fn tend_until_stop(self: &Arc<Self>) {
        loop {
            let wait = self.abort_overdue().map_or(EXPIRE_EVERY, |wait| wait.min(EXPIRE_EVERY));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.nearer.notified() => continue,
            }
            self.expire();
        }
    }

    /// Begins to abort what is overdue; returns when the next may be.
    fn abort_overdue(self: &Arc<Self>) -> Option<Duration> {
        let now = self.clock.now_ms();
        let mut next: Option<i64> = None;
        for slot in self.list() {
            let mut held = lock(&slot.held);
            if held.current.status != Status::Ongoing || held.next.is_some() {
                continue;
            }
            let left = held.current.started_ms.saturating_add(i64::from(held.current.timeout_ms)).saturating_sub(now);
            if left > 0 {
                next = Some(next.map_or(left, |next| next.min(left)));
                continue;
            }
            tracing::info!(transactional_id = %slot.id, "transaction took too long and is aborted");
            let aborted = held.current.decided(Marker::Abort, true, now);
            match self.queue(&slot, &mut held, aborted) {
                Ok(stored) => {
                    drop(held);
                    let this = Arc::clone(self);
                    self.tasks.spawn(async move { this.end_decided(&slot, stored).await });
                }
                Err(_) => next = Some(QUEUE_PAUSE_MS),
            }
        }
        next.map(|left| Duration::from_millis(crate::num::u64_of(left)))
    }

    /// Forgets ids whose last transaction ended too long ago.
    fn expire(&self) {
        let before = self.clock.now_ms().saturating_sub(self.config.transactional_id_expiration_ms);
        let mut slots = lock(&self.slots);
        slots.retain(|id, slot| {
            let mut held = lock(&slot.held);
            let idle = !held.is_busy() && held.current.status != Status::Ongoing;
            if !idle || held.current.updated_ms >= before {
                return true;
            }
            let removed = Content::Plain(vec![(records::encode_key(id), None)]);
            held.dead = self.store.put(removed, |_| {});
            !held.dead
        });
    }

    /// Everything there is, as it is to be written.
    fn contents(&self) -> Vec<Content> {
        let entries = self.list().iter().map(|slot| entry(&slot.id, &lock(&slot.held).current)).collect();
        vec![Content::Plain(entries)]
    }
}

/// The present run, if the one that asks is the one before and just did not get the answer.
fn begun_before(held: &Held, claim: Option<Claim>) -> Option<ProducerRun> {
    let again = claim.is_some_and(|claim| held.renewed == Some(claim.producer) && held.is_retry(claim.producer));
    (again && !held.is_busy() && held.current.status == Status::Empty).then_some(held.current.producer)
}

fn entry(id: &str, transaction: &Transaction) -> state_log::Entry {
    (records::encode_key(id), Some(records::encode_value(transaction)))
}

/// Returns when what was queued is on stable storage.
pub(super) async fn wait(stored: oneshot::Receiver<bool>) -> Result<(), ResponseError> {
    match stored.await {
        Ok(true) => Ok(()),
        _ => Err(ResponseError::CoordinatorNotAvailable),
    }
}

/// The transactions as the log tells them; blocking.
fn restore(topic: &Topic) -> Result<HashMap<Arc<str>, Arc<Slot>>, Error> {
    let mut transactions: HashMap<String, Transaction> = HashMap::new();
    let Some(partition) = topic.partition(0) else { return Ok(HashMap::new()) };
    let replayed = state_log::replay(partition, |said| {
        let Said::Record(record) = said else { return };
        let Some(id) = record.key.and_then(records::decode_key) else { return };
        match record.value {
            Some(value) => transactions.extend(records::decode_value(value).map(|transaction| (id, transaction))),
            None => {
                transactions.remove(&id);
            }
        }
    });
    let replayed =
        replayed.map_err(|error| Error::Topic { topic: TRANSACTIONS_TOPIC.to_owned(), reason: error.to_string() })?;
    tracing::debug!(records = replayed, transactional_ids = transactions.len(), "transactions restored");
    let slots = transactions.into_iter().map(|(id, transaction)| {
        let id: Arc<str> = Arc::from(id);
        (Arc::clone(&id), Slot::new(id, transaction))
    });
    Ok(slots.collect())
}
