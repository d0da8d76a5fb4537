//! One transactional id: its producer, its state, and what may follow on what. No I/O and no clock of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kafka_protocol::ResponseError;

use crate::log::control::Marker;
use crate::state_log::ProducerRun;
use crate::sync::lock;

/// The last epoch that a producer id is given; its successor is left for the marker that ends it.
const EPOCH_LAST: i16 = i16::MAX - 1;

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl Status {
    const ALL: [(Self, i8, &'static str); 6] = [
        (Self::Empty, 0, "Empty"),
        (Self::Ongoing, 1, "Ongoing"),
        (Self::PrepareCommit, 2, "PrepareCommit"),
        (Self::PrepareAbort, 3, "PrepareAbort"),
        (Self::CompleteCommit, 4, "CompleteCommit"),
        (Self::CompleteAbort, 5, "CompleteAbort"),
    ];

    /// Its number in the log.
    pub(crate) fn wire(self) -> i8 {
        Self::ALL.iter().find(|(status, ..)| *status == self).map_or(0, |(_, number, _)| *number)
    }

    pub(crate) fn of_wire(number: i8) -> Option<Self> {
        Self::ALL.iter().find(|(_, wire, _)| *wire == number).map(|(status, ..)| *status)
    }

    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, ..)| *status == self).map_or("", |(.., name)| *name)
    }

    /// Whether Kafka knows a state of that name.
    pub(crate) fn is_name(name: &str) -> bool {
        Self::ALL.iter().any(|(.., known)| *known == name) || matches!(name, "Dead" | "PrepareEpochFence")
    }

    /// What the markers of a decision say.
    pub(crate) fn decision(self) -> Option<Marker> {
        match self {
            Self::PrepareCommit => Some(Marker::Commit),
            Self::PrepareAbort => Some(Marker::Abort),
            _ => None,
        }
    }
}

/// What is kept of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) producer: ProducerRun,
    pub(crate) timeout_ms: i32,
    pub(crate) status: Status,
    pub(crate) partitions: BTreeSet<(String, i32)>,
    pub(crate) updated_ms: i64,
    /// When the present transaction began, -1 if there is none.
    pub(crate) started_ms: i64,
}

/// A transactional id with what is on its way to the log.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: Arc<str>,
    pub(crate) held: Mutex<Held>,
}

/// What a [`Slot`] guards.
#[derive(Debug)]
pub(crate) struct Held {
    /// What the log says.
    pub(crate) current: Transaction,
    /// The status that it will say when what is queued is written.
    pub(crate) next: Option<Status>,
    /// The run that began the present one by itself, if it did: only that one may ask again. As in Kafka it is in no log.
    pub(crate) renewed: Option<ProducerRun>,
    /// Removed from the coordinator.
    pub(crate) dead: bool,
}

/// What an EndTxn leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EndStep {
    /// It was done before: answer so.
    Done(ProducerRun),
    /// This is to be written, then the markers.
    Prepare(Transaction),
}

/// Who asks, as the wire has it, and the code for one whose epoch is not the present one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) producer: ProducerRun,
    pub(crate) fenced: ResponseError,
}

impl Transaction {
    /// A new transactional id.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer: ProducerRun { id: producer_id, epoch: 0 },
            timeout_ms,
            status: Status::Empty,
            partitions: BTreeSet::new(),
            updated_ms: now_ms,
            started_ms: -1,
        }
    }

    /// Whether the producer needs a new id for its next run.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.producer.epoch >= EPOCH_LAST
    }

    /// Whether the epoch is the one that is left for a marker, in which no producer runs.
    pub(crate) fn is_over(&self) -> bool {
        self.producer.epoch > EPOCH_LAST
    }

    /// Checks the producer.
    fn check(&self, claim: Claim) -> Result<(), ResponseError> {
        if claim.producer.id != self.producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if claim.producer.epoch == self.producer.epoch { Ok(()) } else { Err(claim.fenced) }
    }

    /// Its next run, after its last was initialised anew; `fresh` is the id for one that has no more epochs.
    pub(crate) fn run_again(&self, timeout_ms: i32, fresh: Option<i64>, now_ms: i64) -> Self {
        let producer = match fresh {
            Some(id) => ProducerRun { id, epoch: 0 },
            None => ProducerRun { epoch: self.producer.epoch.saturating_add(1), ..self.producer },
        };
        Self { producer, ..Self::new(producer.id, timeout_ms, now_ms) }
    }

    /// With more partitions; `None` if all were in it.
    fn with(&self, partitions: &[(String, i32)], now_ms: i64) -> Option<Self> {
        let mut next = self.clone();
        if self.status != Status::Ongoing {
            next.status = Status::Ongoing;
            next.partitions.clear();
            next.started_ms = now_ms;
        } else if partitions.iter().all(|partition| self.partitions.contains(partition)) {
            return None;
        }
        next.partitions.extend(partitions.iter().cloned());
        next.updated_ms = now_ms;
        Some(next)
    }

    /// Decided, and if `fence` in an epoch that the present run of the producer does not have.
    pub(crate) fn decided(&self, marker: Marker, fence: bool, now_ms: i64) -> Self {
        let mut next = self.clone();
        next.status = if marker == Marker::Commit { Status::PrepareCommit } else { Status::PrepareAbort };
        if self.status != Status::Ongoing {
            next.partitions.clear();
        }
        if fence {
            next.producer.epoch = self.producer.epoch.saturating_add(1);
        }
        next.updated_ms = now_ms;
        next
    }

    /// After its markers are written; `fresh` is the id for a producer that has no more epochs.
    pub(crate) fn completed(&self, fresh: Option<i64>, now_ms: i64) -> Self {
        let status = if self.status == Status::PrepareCommit { Status::CompleteCommit } else { Status::CompleteAbort };
        let producer = fresh.map_or(self.producer, |id| ProducerRun { id, epoch: 0 });
        Self { producer, status, partitions: BTreeSet::new(), updated_ms: now_ms, started_ms: -1, ..self.clone() }
    }
}

impl Held {
    /// Whether something about it is being decided or written.
    pub(crate) fn is_busy(&self) -> bool {
        self.next.is_some() || self.current.status.decision().is_some()
    }

    /// A producer adds partitions; `Ok(None)` if all were in it.
    pub(crate) fn add(
        &self,
        claim: Claim,
        partitions: &[(String, i32)],
        now_ms: i64,
    ) -> Result<Option<Transaction>, ResponseError> {
        self.current.check(claim)?;
        if self.is_busy() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        Ok(self.current.with(partitions, now_ms))
    }

    /// A producer ends its transaction. Since version 5 of the API, `bumps`, each end begins a new epoch.
    pub(crate) fn end(&self, claim: Claim, marker: Marker, bumps: bool, now_ms: i64) -> Result<EndStep, ResponseError> {
        let current = &self.current;
        let ended = match marker {
            Marker::Commit => Status::CompleteCommit,
            Marker::Abort => Status::CompleteAbort,
        };
        if bumps && self.is_retry(claim.producer) {
            return match current.status {
                _ if self.is_busy() => Err(ResponseError::ConcurrentTransactions),
                status if status == ended => Ok(EndStep::Done(current.producer)),
                _ => Err(claim.fenced),
            };
        }
        current.check(claim)?;
        if self.is_busy() {
            return Err(ResponseError::ConcurrentTransactions);
        }
        match current.status {
            Status::Ongoing => Ok(EndStep::Prepare(current.decided(marker, bumps, now_ms))),
            // A transaction to which nothing was added leaves nothing to commit, but may be aborted.
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort if bumps && marker == Marker::Abort => {
                Ok(EndStep::Prepare(current.decided(marker, true, now_ms)))
            }
            status if status == ended && !bumps => Ok(EndStep::Done(current.producer)),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Whether the producer is of the run whose end began the present one: its answer was lost.
    pub(super) fn is_retry(&self, producer: ProducerRun) -> bool {
        let present = self.current.producer;
        producer.id == present.id && producer.epoch.checked_add(1) == Some(present.epoch)
    }
}

impl Slot {
    pub(crate) fn new(id: Arc<str>, current: Transaction) -> Arc<Self> {
        Arc::new(Self { id, held: Mutex::new(Held { current, next: None, renewed: None, dead: false }) })
    }

    /// Does something that must come before the end of the transaction, if that is open over the partition.
    pub(crate) fn while_open<T>(
        &self,
        producer: ProducerRun,
        topic: &str,
        partition: i32,
        then: impl FnOnce() -> T,
    ) -> Result<T, ResponseError> {
        let held = lock(&self.held);
        held.current.check(Claim { producer, fenced: ResponseError::InvalidProducerEpoch })?;
        let ends = held.next.is_some_and(|next| next != Status::Ongoing);
        let holds = held.current.partitions.iter().any(|(name, index)| name == topic && *index == partition);
        if held.current.status != Status::Ongoing || ends || !holds {
            return Err(ResponseError::InvalidTxnState);
        }
        Ok(then())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn held(status: Status, epoch: i16) -> Held {
        let mut current = Transaction::new(7, 1_000, 0);
        current.producer.epoch = epoch;
        current.status = status;
        current.partitions.insert(("t".to_owned(), 0));
        Held { current, next: None, renewed: None, dead: false }
    }

    fn claim(epoch: i16) -> Claim {
        Claim { producer: ProducerRun { id: 7, epoch }, fenced: ResponseError::ProducerFenced }
    }

    #[test]
    fn an_end_bumps_the_epoch_only_for_clients_that_expect_it() {
        let ongoing = held(Status::Ongoing, 3);
        for (bumps, epoch) in [(false, 3), (true, 4)] {
            let EndStep::Prepare(next) = ongoing.end(claim(3), Marker::Commit, bumps, 9).unwrap() else {
                panic!("it is to be prepared")
            };
            assert_eq!((next.status, next.producer.epoch, next.partitions.len()), (Status::PrepareCommit, epoch, 1));
        }
    }

    #[test]
    fn an_end_whose_answer_was_lost_is_answered_again() {
        let old = held(Status::CompleteCommit, 3);
        let done = ProducerRun { id: 7, epoch: 3 };
        assert_eq!(old.end(claim(3), Marker::Commit, false, 9), Ok(EndStep::Done(done)));
        assert_eq!(old.end(claim(3), Marker::Abort, false, 9), Err(ResponseError::InvalidTxnState));
        assert_eq!(old.end(claim(2), Marker::Commit, true, 9), Ok(EndStep::Done(done)), "before the bump");
        assert_eq!(old.end(claim(2), Marker::Abort, true, 9), Err(ResponseError::ProducerFenced));
        assert_eq!(old.end(claim(1), Marker::Commit, true, 9), Err(ResponseError::ProducerFenced));
        assert_eq!(old.end(claim(2), Marker::Commit, false, 9), Err(ResponseError::ProducerFenced));
        let preparing = held(Status::PrepareCommit, 3);
        assert_eq!(preparing.end(claim(2), Marker::Commit, true, 9), Err(ResponseError::ConcurrentTransactions));
    }

    #[test]
    fn nothing_can_be_aborted_by_new_clients_and_committed_by_none() {
        let empty = held(Status::Empty, 0);
        let EndStep::Prepare(next) = empty.end(claim(0), Marker::Abort, true, 9).unwrap() else {
            panic!("it is to be prepared")
        };
        assert_eq!((next.producer.epoch, next.partitions.len()), (1, 0));
        assert_eq!(empty.end(claim(0), Marker::Commit, true, 9), Err(ResponseError::InvalidTxnState));
        assert_eq!(empty.end(claim(0), Marker::Abort, false, 9), Err(ResponseError::InvalidTxnState));
    }

    #[test]
    fn partitions_are_added_to_the_open_transaction_or_begin_the_next() {
        let added = [("t".to_owned(), 1)];
        let next = held(Status::Ongoing, 0).add(claim(0), &added, 9).unwrap().unwrap();
        assert_eq!(next.partitions.len(), 2);
        assert_eq!(held(Status::Ongoing, 0).add(claim(0), &[("t".to_owned(), 0)], 9), Ok(None), "nothing is new");
        let next = held(Status::CompleteAbort, 0).add(claim(0), &added, 9).unwrap().unwrap();
        assert_eq!((next.partitions.len(), next.started_ms), (1, 9), "what was in the last one is not in this one");
        let refused = held(Status::PrepareAbort, 0).add(claim(0), &added, 9);
        assert_eq!(refused, Err(ResponseError::ConcurrentTransactions));
        let foreign = Claim { producer: ProducerRun { id: 8, epoch: 0 }, ..claim(0) };
        assert_eq!(held(Status::Ongoing, 0).add(foreign, &added, 9), Err(ResponseError::InvalidProducerIdMapping));
    }

    #[test]
    fn nothing_comes_into_a_transaction_that_is_ending() {
        let slot = Slot::new(Arc::from("tx"), held(Status::Ongoing, 0).current);
        let producer = ProducerRun { id: 7, epoch: 0 };
        assert_eq!(slot.while_open(producer, "t", 0, || 5), Ok(5));
        assert_eq!(slot.while_open(producer, "t", 1, || 5), Err(ResponseError::InvalidTxnState), "not added");
        let stale = ProducerRun { id: 7, epoch: 1 };
        assert_eq!(slot.while_open(stale, "t", 0, || 5), Err(ResponseError::InvalidProducerEpoch));
        lock(&slot.held).next = Some(Status::Ongoing);
        assert_eq!(slot.while_open(producer, "t", 0, || 5), Ok(5), "a partition is being added");
        lock(&slot.held).next = Some(Status::PrepareCommit);
        assert_eq!(slot.while_open(producer, "t", 0, || 5), Err(ResponseError::InvalidTxnState));
    }
}
